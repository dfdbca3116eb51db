//! The whole evaluation, with a tiny untrained model on a tiny written world.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use candor_data::formats;
use candor_data::image::ImageProcessor;
use candor_eval::curve::{Curve, trace};
use candor_eval::verdicts::{
    AnswerLine, ChairLine, ClaimLine, LlavaBenchLine, MmhalLine, PopeLine,
};
use candor_eval::{EvalError, EvalRecipe, Results, evaluate};
use candor_model::{Adapter, Bundle, Llava, LlavaConfig, LoraConfig, Template, Tokenizer};
use candor_train::Reader;
use candor_world::{World, WorldConfig};
use serde::de::DeserializeOwned;
use tch::Device;
use tempfile::TempDir;

const RECIPE: &str = include_str!("../../../recipes/demo/6-eval.toml");

/// The world, written once for all tests.
static WORLD: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let config = WorldConfig {
        seed: 3,
        n_train: 30,
        n_preference: 0,
        n_rl: 0,
        n_eval: 150,
        image_px: 32,
        ..WorldConfig::default()
    };
    candor_world::write(&World::generate(&config).unwrap(), dir.path()).unwrap();
    dir
});

/// A model that has learned nothing, but whose tokens are the world's words.
fn bundle() -> Bundle {
    let descriptions = formats::llava::read(&WORLD.path().join("sft/descriptions.json")).unwrap();
    let template = Template::VicunaV1 {
        system: String::new(),
    };
    let texts = descriptions
        .iter()
        .map(|row| template.render(row).unwrap().text);
    let tokenizer = Tokenizer::train(texts.collect::<Vec<_>>().into_iter(), 400).unwrap();
    let mut config: LlavaConfig = serde_json::from_str(
        r#"{"text_config": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                            "num_attention_heads": 2, "max_position_embeddings": 512},
            "vision_config": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
                              "num_attention_heads": 2, "image_size": 32, "patch_size": 16}}"#,
    )
    .unwrap();
    config.image_token_index = tokenizer.image;
    config.text_config.vocab_size = tokenizer.vocab_size() as i64;
    Bundle {
        model: Llava::fresh(config, 1, Device::Cpu).unwrap(),
        tokenizer,
        template,
        processor: ImageProcessor::clip(32),
    }
}

fn recipe(out: &Path, more: &[&str]) -> EvalRecipe {
    let mut sets = vec![
        format!("data.root={:?}", WORLD.path()),
        format!("run.out={out:?}"),
        "answers.max_new_tokens=8".to_owned(),
    ];
    sets.extend(more.iter().map(|set| (*set).to_owned()));
    EvalRecipe::read(Reader::parse("6-eval.toml", RECIPE, &sets)).unwrap()
}

fn lines<T: DeserializeOwned>(out: &Path, file: &str) -> Vec<T> {
    let text = std::fs::read_to_string(out.join(file)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// All files of a folder and below, with their content.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = files(&path).into_iter();
            all.extend(inner.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            all.insert(name, std::fs::read(&path).unwrap());
        }
    }
    all
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

fn share<T>(items: &[T], test: impl Fn(&T) -> bool) -> f64 {
    items.iter().filter(|item| test(item)).count() as f64 / items.len() as f64
}

fn check_claims(answer: &str, claims: &[ClaimLine]) {
    for claim in claims {
        assert_eq!(&answer[claim.start..claim.end], claim.words);
    }
}

fn check_answers(out: &Path, results: &Results) {
    let mut free = Vec::new();
    let mut n_cut = 0;
    for name in ["mmhal", "pope", "chair", "llava_bench"] {
        let answers: Vec<AnswerLine> = lines(out, &format!("answers/{name}.jsonl"));
        assert!(answers.iter().all(|line| line.n_tokens <= 8), "{name}");
        assert!(
            answers
                .iter()
                .all(|line| line.finished || line.n_tokens == 8)
        );
        n_cut += answers.iter().filter(|line| !line.finished).count();
        let tokens: Vec<usize> = answers.iter().map(|line| line.n_tokens).collect();
        let mean = tokens.iter().sum::<usize>() as f64 / tokens.len() as f64;
        assert!(near(results.response_tokens[name], mean), "{name}");
        if name == "pope" {
            let suffix = "?\nAnswer the question using a single word or phrase.";
            assert!(answers.iter().all(|line| line.question.ends_with(suffix)));
        } else {
            assert!(answers.iter().all(|line| !line.question.contains('\n')));
            free.extend(tokens);
        }
    }
    let mean = free.iter().sum::<usize>() as f64 / free.len() as f64;
    assert!(near(results.mean_response_tokens.unwrap(), mean));
    assert_eq!(results.n_cut, n_cut);
}

fn check_mmhal(out: &Path, results: &Results) {
    let verdicts: Vec<MmhalLine> = lines(out, "verdicts/mmhal.jsonl");
    let scores = results.mmhal.as_ref().unwrap();
    assert_eq!(
        (verdicts.len(), scores.n, scores.types.len()),
        (384, 384, 8)
    );
    let sum: u32 = verdicts.iter().map(|line| u32::from(line.score)).sum();
    assert!(near(scores.score, f64::from(sum) / 384.0));
    assert!(near(
        scores.hallucination_rate,
        share(&verdicts, |line| line.score < 3)
    ));
    assert!(
        verdicts
            .iter()
            .all(|line| line.hallucinated == (line.score < 3))
    );
    for line in &verdicts {
        check_claims(&line.answer, &line.claims);
    }
}

fn check_pope(out: &Path, results: &Results) {
    let verdicts: Vec<PopeLine> = lines(out, "verdicts/pope.jsonl");
    let scores = results.pope.as_ref().unwrap();
    assert_eq!(verdicts.len(), scores.overall.n);
    assert!(near(
        scores.overall.accuracy,
        share(&verdicts, |line| line.right)
    ));
    assert!(near(
        scores.overall.yes_ratio,
        share(&verdicts, |line| line.read_as == "yes")
    ));
    // The true questions are the same in all splits, so their answers are, too.
    let mut answers: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for line in &verdicts {
        let key = (line.image.as_str(), line.question.as_str());
        assert_eq!(*answers.entry(key).or_insert(&line.answer), line.answer);
    }
    assert!(answers.len() < verdicts.len());
}

fn check_chair(out: &Path, results: &Results) {
    let verdicts: Vec<ChairLine> = lines(out, "verdicts/chair.jsonl");
    let scores = results.chair.as_ref().unwrap();
    assert_eq!((verdicts.len(), scores.n), (150, 150));
    assert!(near(
        scores.chair_s,
        share(&verdicts, |line| !line.hallucinated.is_empty())
    ));
    let sum = |part: fn(&ChairLine) -> usize| verdicts.iter().map(part).sum::<usize>() as f64;
    let right = sum(|line| line.mentioned.len() - line.hallucinated.len());
    assert!(near(
        scores.recall.unwrap(),
        right / sum(|line| line.present.len())
    ));
    for line in &verdicts {
        assert!(!line.present.is_empty());
        assert!(
            line.hallucinated
                .iter()
                .all(|object| !line.present.contains(object))
        );
        check_claims(&line.answer, &line.claims);
    }
}

fn check_llava_bench(out: &Path, results: &Results) {
    let verdicts: Vec<LlavaBenchLine> = lines(out, "verdicts/llava_bench.jsonl");
    let scores = results.llava_bench.as_ref().unwrap();
    assert_eq!((verdicts.len(), scores.overall.n), (90, 90));
    let sum = |part: fn(&LlavaBenchLine) -> f64| verdicts.iter().map(part).sum::<f64>();
    let relative = 100.0 * sum(|line| line.mark) / sum(|line| line.reference_mark);
    assert!(near(scores.overall.relative_score.unwrap(), relative));
    // The references are true, so a judge that finds them hallucinated would be wrong.
    assert!(verdicts.iter().all(|line| line.reference_score >= 3));
    for line in &verdicts {
        check_claims(&line.answer, &line.claims);
    }
}

#[test]
fn files_and_numbers_agree_and_come_out_the_same_again() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bundle = bundle();
    let results = evaluate(&recipe(first.path(), &[]), &bundle, None).unwrap();
    let out = first.path();
    check_answers(out, &results);
    check_mmhal(out, &results);
    check_pope(out, &results);
    check_chair(out, &results);
    check_llava_bench(out, &results);
    let written = std::fs::read_to_string(out.join("results.json")).unwrap();
    assert_eq!(serde_json::from_str::<Results>(&written).unwrap(), results);

    let again = evaluate(&recipe(second.path(), &[]), &bundle, None).unwrap();
    assert_eq!(again, results);
    let (mut first, mut second) = (files(out), files(second.path()));
    // They differ in the folder that they name.
    assert!(first.remove("resolved.toml").is_some() && second.remove("resolved.toml").is_some());
    assert_eq!(first.len(), 9);
    assert_eq!(first, second);
}

#[test]
fn only_what_the_recipe_names_is_run_and_an_adapter_is_heard() {
    let (plain, tuned) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bundle = bundle();
    let only = ["run.benchmarks=[\"chair\"]"];
    let results = evaluate(&recipe(plain.path(), &only), &bundle, None).unwrap();
    assert!(results.chair.is_some() && results.pope.is_none() && results.mmhal.is_none());
    assert_eq!(results.response_tokens.len(), 1);
    let names: Vec<String> = files(plain.path()).into_keys().collect();
    let expected = [
        "answers/chair.jsonl",
        "resolved.toml",
        "results.json",
        "verdicts/chair.jsonl",
    ];
    assert_eq!(names, expected);

    let adapter = adapter(&bundle, Some(0.3));
    evaluate(&recipe(tuned.path(), &only), &bundle, Some(&adapter)).unwrap();
    let answers = |out: &Path| lines::<AnswerLine>(out, "answers/chair.jsonl");
    assert_ne!(answers(plain.path()), answers(tuned.path()));
}

#[test]
fn a_quantised_model_is_evaluated() {
    let (model, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    bundle().save(model.path()).unwrap();
    let sets = [
        &format!("model.base={:?}", model.path()),
        "run.benchmarks=[\"chair\"]",
        "model.base_precision=\"int8\"",
    ];
    let recipe = recipe(out.path(), &sets);
    let results = candor_eval::run(&recipe, Device::Cpu).unwrap();
    assert!(results.chair.is_some());
}

/// An adapter, and the same one with every number set to `fill`.
#[test]
fn a_question_whose_logits_are_no_numbers_is_named() {
    let bundle = bundle();
    let head = &bundle.model.parameters()["language_model.lm_head.weight"];
    let _ = tch::no_grad(|| head.get(0).fill_(f64::NAN));
    let out = tempfile::tempdir().unwrap();
    let message = evaluate(&recipe(out.path(), &[]), &bundle, None).unwrap_err();
    let message = message.to_string();
    assert!(
        message.contains("sample `") && message.contains("token 1 of the answer"),
        "{message}"
    );
}

fn adapter(bundle: &Bundle, fill: Option<f64>) -> Adapter {
    let targets = ["q_proj", "down_proj"].map(str::to_owned);
    let config = LoraConfig::new(4, 8.0, &targets);
    let adapter = Adapter::fresh(config, &bundle.model, 5).unwrap();
    for tensor in adapter.parameters().values() {
        if let Some(value) = fill {
            let _ = tch::no_grad(|| tensor.shallow_clone().fill_(value));
        }
    }
    adapter
}

#[test]
fn a_curve_has_the_numbers_of_each_snapshot() {
    let (out, ppo) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bundle = bundle();
    let recipe = recipe(out.path(), &["run.benchmarks=[\"chair\"]"]);
    let message = trace(&recipe, &bundle, ppo.path()).unwrap_err().to_string();
    assert!(message.contains("snapshot_every"), "{message}");

    let tuned = adapter(&bundle, Some(0.3));
    let folder = |step: u64| ppo.path().join(format!("adapters/step-{step}"));
    adapter(&bundle, None).save(&folder(0)).unwrap();
    tuned.save(&folder(10)).unwrap();
    let curve = trace(&recipe, &bundle, ppo.path()).unwrap();
    assert_eq!(curve.rollouts, []);
    let steps: Vec<u64> = curve.points.iter().map(|point| point.step).collect();
    assert_eq!(steps, [0, 10]);
    // A fresh adapter changes nothing.
    for (point, adapter) in curve.points.iter().zip([None, Some(&tuned)]) {
        let results = evaluate(&recipe, &bundle, adapter).unwrap();
        let chair = results.chair.unwrap();
        assert_eq!((point.chair_i, point.recall), (chair.chair_i, chair.recall));
        assert_eq!(point.ci95_chair_i, chair.ci95_chair_i);
        assert!(near(
            point.mean_response_tokens,
            results.response_tokens["chair"]
        ));
    }

    let path = out.path().join("curve-facts.json");
    curve.write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<Curve>(&text).unwrap(), curve);
}

#[test]
fn pope_needs_no_ground_truth_and_the_others_say_that_they_do() {
    let (data, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let eval = data.path().join("eval");
    std::fs::create_dir(&eval).unwrap();
    for entry in std::fs::read_dir(WORLD.path().join("eval")).unwrap() {
        let from = entry.unwrap().path();
        if from.is_file() {
            std::fs::copy(&from, eval.join(from.file_name().unwrap())).unwrap();
        }
    }
    std::os::unix::fs::symlink(WORLD.path().join("images"), data.path().join("images")).unwrap();
    let root = format!("data.root={:?}", data.path());
    let bundle = bundle();
    let run = |benchmarks: &str| {
        let recipe = recipe(
            out.path(),
            &[&root, &format!("run.benchmarks={benchmarks}")],
        );
        evaluate(&recipe, &bundle, None)
    };
    let results = run("[\"pope\"]").unwrap();
    assert!(results.pope.unwrap().overall.n > 0);
    assert_eq!(results.mean_response_tokens, None);
    let message = run("[\"pope\", \"chair\"]").unwrap_err().to_string();
    assert!(
        message.contains("scenes.jsonl") && message.contains("[\"pope\"]"),
        "{message}"
    );
}

#[test]
fn what_cannot_work_is_refused_before_the_first_answer() {
    let out = tempfile::tempdir().unwrap();
    let bundle = bundle();
    let long = recipe(out.path(), &["answers.max_new_tokens=512"]);
    let message = evaluate(&long, &bundle, None).unwrap_err().to_string();
    assert!(message.contains("512 positions"), "{message}");

    let nowhere = recipe(out.path(), &["data.root=\"/nonexistent\""]);
    let error = evaluate(&nowhere, &bundle, None).unwrap_err();
    assert!(matches!(error, EvalError::Data(_)), "{error}");

    let blind = recipe(
        out.path(),
        &["data.images=\"nowhere\"", "run.benchmarks=[\"pope\"]"],
    );
    let error = evaluate(&blind, &bundle, None).unwrap_err();
    assert!(matches!(error, EvalError::Model(_)), "{error}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}
