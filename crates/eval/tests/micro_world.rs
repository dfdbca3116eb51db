//! The whole evaluation, with a tiny untrained model on a tiny written world.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use candor_data::formats;
use candor_data::image::PixelBounds;
use candor_eval::answer::{Ask, Generator};
use candor_eval::curve::{Curve, trace};
use candor_eval::questions::AnswerLine;
use candor_eval::{EvalError, EvalRecipe};
use candor_judge::{Benchmark, Finding, Results, Run, Verdict};
use candor_model::{Adapter, Bundle, ImageFeatures, LoraConfig, ModelFolder, Template};
use candor_recipe::Reader;
use candor_run::{Ranks, StopSignal};
use candor_testing::files::{files, lines, rows};
use candor_testing::model::TinyModel;
use candor_world::{World, WorldConfig};
use serde_json::Value;
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
    let text = |row| template.render(row).unwrap().text;
    TinyModel {
        texts: descriptions.iter().map(text).collect(),
        seed: 1,
        system: "",
        width: 32,
        n_positions: 512,
        image_px: 32,
        feature_layer: -2,
        ..TinyModel::default()
    }
    .bundle()
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

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

fn share<T>(items: &[T], test: impl Fn(&T) -> bool) -> f64 {
    items.iter().filter(|item| test(item)).count() as f64 / items.len() as f64
}

/// Evaluates to the end.
fn evaluate(
    recipe: &EvalRecipe,
    bundle: &Bundle,
    adapter: Option<&Adapter>,
) -> Result<Results, EvalError> {
    let found = candor_eval::evaluate(
        recipe,
        bundle,
        adapter,
        &StopSignal::detached(),
        &Ranks::alone(),
    )?;
    Ok(found.expect("nobody asked to stop"))
}

fn value(results: &Results, benchmark: Benchmark, key: &str) -> f64 {
    results.figure(benchmark, key).unwrap().value.unwrap()
}

/// What the exact judge found, with claims where they say.
fn finding(verdict: &Verdict) -> &Finding {
    let finding = verdict.finding.as_ref().unwrap();
    for claim in &finding.claims {
        assert_eq!(&verdict.answer[claim.start..claim.end], claim.words);
    }
    finding
}

fn check_answers(out: &Path, results: &Results) {
    let mut free = Vec::new();
    for (benchmark, files) in [
        (Benchmark::Mmhal, &["mmhal"][..]),
        (
            Benchmark::Pope,
            &["pope_random", "pope_popular", "pope_adversarial"],
        ),
        (Benchmark::Chair, &["chair"]),
        (Benchmark::LlavaBench, &["llava_bench"]),
    ] {
        let files = files.iter().map(|name| format!("answers/{name}.jsonl"));
        let answers: Vec<AnswerLine> = files.flat_map(|file| rows(&out.join(file))).collect();
        let ended = |line: &AnswerLine| line.finished || line.n_tokens == 8;
        assert!(answers.iter().all(|line| line.n_tokens <= 8 && ended(line)));
        let cut = share(&answers, |line| !line.finished);
        assert!(near(value(results, benchmark, "cut"), cut));
        let tokens: Vec<usize> = answers.iter().map(|line| line.n_tokens).collect();
        let mean = tokens.iter().sum::<usize>() as f64 / tokens.len() as f64;
        assert!(near(value(results, benchmark, "tokens"), mean));
        if benchmark == Benchmark::Pope {
            let suffix = "?\nAnswer the question using a single word or phrase.";
            assert!(answers.iter().all(|line| line.question.ends_with(suffix)));
        } else {
            assert!(answers.iter().all(|line| !line.question.contains('\n')));
            free.extend(tokens);
        }
    }
    let mean = free.iter().sum::<usize>() as f64 / free.len() as f64;
    assert_eq!(results.free_tokens(), Some(mean));
}

fn check_mmhal(verdicts: &[Verdict], results: &Results) {
    let scored = &results.benchmarks[&Benchmark::Mmhal];
    let groups = &scored.figures["score"].groups;
    assert_eq!((verdicts.len(), scored.n, groups.len()), (384, 384, 8));
    let ratings = verdicts.iter().map(|verdict| finding(verdict).score);
    let sum: u32 = ratings.map(u32::from).sum();
    let of = Benchmark::Mmhal;
    assert!(near(value(results, of, "score"), f64::from(sum) / 384.0));
    let wrong = share(verdicts, |verdict| finding(verdict).score < 3);
    assert!(near(value(results, of, "hallucination"), wrong));
}

fn check_pope(verdicts: &[Verdict], results: &Results) {
    let of = Benchmark::Pope;
    assert_eq!(verdicts.len(), results.benchmarks[&of].n);
    let says = |verdict: &Verdict, word: &str| verdict.read_as == [word];
    let right = share(verdicts, |v| says(v, v.reference.as_deref().unwrap()));
    assert!(near(value(results, of, "accuracy"), right));
    let yes = share(verdicts, |verdict| says(verdict, "yes"));
    assert!(near(value(results, of, "yes_ratio"), yes));
    // The true questions are the same in all splits, so their answers are, too.
    let mut answers: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for verdict in verdicts {
        let key = (verdict.image.as_str(), verdict.question.as_str());
        let first = *answers.entry(key).or_insert(&verdict.answer);
        assert_eq!(first, verdict.answer);
    }
    assert!(answers.len() < verdicts.len());
}

fn check_chair(verdicts: &[Verdict], results: &Results) {
    let of = Benchmark::Chair;
    assert_eq!((verdicts.len(), results.benchmarks[&of].n), (150, 150));
    let wrong = share(verdicts, |verdict| !verdict.read_as.is_empty());
    assert!(near(value(results, of, "chair_s"), wrong));
    let (mut n_left_out, mut n_present) = (0, 0);
    for verdict in verdicts {
        let present = verdict.reference.as_ref().unwrap().split(", ");
        let present: Vec<&str> = present.collect();
        let is_there = |object: &String| present.contains(&object.as_str());
        assert!(!verdict.read_as.iter().any(is_there));
        let forgotten = &finding(verdict).left_out;
        assert!(forgotten.iter().all(is_there));
        n_left_out += forgotten.len();
        n_present += present.len();
    }
    let recall = 1.0 - n_left_out as f64 / n_present as f64;
    assert!(near(value(results, of, "recall"), recall));
}

fn check_llava_bench(verdicts: &[Verdict], results: &Results) {
    let of = Benchmark::LlavaBench;
    assert_eq!((verdicts.len(), results.benchmarks[&of].n), (90, 90));
    let (mut reference, mut answer) = (0.0, 0.0);
    for verdict in verdicts {
        let marks = verdict.read_as[0].split_once(' ').unwrap();
        let [first, second] = [marks.0, marks.1].map(|mark| mark.parse::<f64>().unwrap());
        // The references are true, so a judge that finds them hallucinated would be wrong.
        assert!(first >= 5.5, "{verdict:?}");
        // A line from 0, which is 1, to 6, which is 10.
        assert!(near(second, 1.0 + 1.5 * f64::from(finding(verdict).score)));
        reference += first;
        answer += second;
    }
    let relative = 100.0 * answer / reference;
    assert!(near(value(results, of, "relative"), relative));
}

/// The files of a run but for what names its folder.
fn without_paths(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = files(out);
    assert!(all.remove("resolved.toml").is_some() && all.remove("results.json").is_some());
    all
}

#[test]
fn files_and_numbers_agree_and_come_out_the_same_again() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bundle = bundle();
    let results = evaluate(&recipe(first.path(), &[]), &bundle, None).unwrap();
    let out = first.path();
    check_answers(out, &results);
    let run = Run::open(out).unwrap();
    assert_eq!(run.results.as_ref(), Some(&results));
    check_mmhal(&run.verdicts[&Benchmark::Mmhal], &results);
    check_pope(&run.verdicts[&Benchmark::Pope], &results);
    check_chair(&run.verdicts[&Benchmark::Chair], &results);
    check_llava_bench(&run.verdicts[&Benchmark::LlavaBench], &results);
    assert_eq!(run.images(), Some(&*WORLD.path().join("images")));

    let again = evaluate(&recipe(second.path(), &[]), &bundle, None).unwrap();
    for (benchmark, scored) in &results.benchmarks {
        assert_eq!(again.benchmarks[benchmark].figures, scored.figures);
        let is_pope = *benchmark == Benchmark::Pope;
        assert!(scored.by_truth != is_pope && scored.judged.is_none());
    }
    let (first, second) = (without_paths(out), without_paths(second.path()));
    assert_eq!(first.len(), 10);
    assert_eq!(first, second);
}

#[test]
fn only_what_the_recipe_names_is_run_and_an_adapter_is_heard() {
    let (plain, tuned) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bundle = bundle();
    let only = ["run.benchmarks=[\"chair\"]"];
    let results = evaluate(&recipe(plain.path(), &only), &bundle, None).unwrap();
    let benchmarks: Vec<&Benchmark> = results.benchmarks.keys().collect();
    assert_eq!(benchmarks, [&Benchmark::Chair]);
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
    let answers = |out: &Path| rows::<AnswerLine>(&out.join("answers/chair.jsonl"));
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
    let results = candor_eval::run(
        &recipe,
        &StopSignal::detached(),
        Device::Cpu,
        &Ranks::alone(),
    )
    .unwrap();
    assert!(results.unwrap().benchmarks.contains_key(&Benchmark::Chair));
}

#[test]
fn a_stop_ends_after_the_lot_that_is_being_answered_and_leaves_no_numbers() {
    let out = tempfile::tempdir().unwrap();
    let bundle = bundle();
    let recipe = recipe(out.path(), &["answers.batch_rows=7"]);
    evaluate(&recipe, &bundle, None).unwrap();
    let asks: Vec<Ask> = rows::<AnswerLine>(&out.path().join("answers/chair.jsonl"))
        .into_iter()
        .map(|line| Ask {
            id: line.id,
            image: line.image,
            text: line.question,
        })
        .collect();
    let images = asks.iter().map(|ask| ask.image.clone());
    let features = ImageFeatures::encode(&bundle, &recipe.images, images, |_, _| ()).unwrap();
    let alone = Ranks::alone();
    let generator = Generator {
        bundle: &bundle,
        adapter: None,
        features: &features,
        batch_rows: recipe.batch_rows,
        max_new_tokens: recipe.max_new_tokens,
        ranks: &alone,
    };
    let stop = StopSignal::detached();
    let mut heard = Vec::new();
    let answers = generator.answer(&asks, &stop, |n| {
        heard.push(n);
        if heard.len() == 2 {
            stop.request();
        }
    });
    // Four batches of seven are asked at once.
    assert_eq!((answers.unwrap(), heard), (None, vec![28, 56]));
    // The numbers of the run before are of answers that are being replaced.
    let stopped = candor_eval::evaluate(&recipe, &bundle, None, &stop, &alone).unwrap();
    assert_eq!(stopped, None);
    assert!(!out.path().join("results.json").exists());
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
    let stop = StopSignal::detached();
    let traced = || trace(&recipe, &bundle, ppo.path(), &stop);
    let message = traced().unwrap_err().to_string();
    assert!(message.contains("snapshot_every"), "{message}");

    let tuned = adapter(&bundle, Some(0.3));
    let folder = |step: u64| ppo.path().join(format!("adapters/step-{step}"));
    adapter(&bundle, None).save(&folder(0)).unwrap();
    tuned.save(&folder(10)).unwrap();
    let curve = traced().unwrap().unwrap();
    assert_eq!(curve.rollouts, []);
    let steps: Vec<u64> = curve.points.iter().map(|point| point.step).collect();
    assert_eq!(steps, [0, 10]);
    // A fresh adapter changes nothing.
    for (point, adapter) in curve.points.iter().zip([None, Some(&tuned)]) {
        let results = evaluate(&recipe, &bundle, adapter).unwrap();
        let figure = |key: &str| results.figure(Benchmark::Chair, key).unwrap();
        assert_eq!(point.chair_i, figure("chair_i").value);
        assert_eq!(point.recall, figure("recall").value);
        assert_eq!(point.ci95_chair_i, figure("chair_i").ci95);
        assert_eq!(Some(point.mean_response_tokens), figure("tokens").value);
    }

    let path = out.path().join("curve-facts.json");
    curve.write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(serde_json::from_str::<Curve>(&text).unwrap(), curve);
    stop.request();
    assert_eq!(traced().unwrap(), None);
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
    assert!(results.benchmarks[&Benchmark::Pope].n > 0);
    assert_eq!(results.free_tokens(), None);
    let message = run("[\"pope\", \"chair\"]").unwrap_err().to_string();
    assert!(
        message.contains("scenes.jsonl") && message.contains("[\"pope\"]"),
        "{message}"
    );
}

/// A folder that bounds images to a few tokens has room for answers that a photograph would not leave.
#[test]
fn room_is_reckoned_with_images_as_the_model_bounds_them() {
    let out = tempfile::tempdir().unwrap();
    let published = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../model/tests/golden/qwen/folders/published"
    );
    let recipe = recipe(out.path(), &["answers.max_new_tokens=128"]);
    let stop = StopSignal::detached();
    stop.request();
    let begun = |max| {
        let folder = ModelFolder::find(Path::new(published)).unwrap();
        let bounds = PixelBounds { min: None, max };
        let folder = folder.with_pixels(bounds);
        let bundle = Bundle::load(folder, Device::Cpu, recipe.base_precision).unwrap();
        candor_eval::evaluate(&recipe, &bundle, None, &stop, &Ranks::alone())
    };
    // It has 512 positions, and a token is 28 pixels high and wide: 640 x 480 are 23 x 17 of them.
    let message = begun(None).unwrap_err().to_string();
    assert!(message.contains("take 519"), "{message}");
    assert_eq!(begun(Some(6272)).unwrap(), None);
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
    assert!(error.to_string().contains("/nonexistent"), "{error}");

    let blind = recipe(
        out.path(),
        &["data.images=\"nowhere\"", "run.benchmarks=[\"pope\"]"],
    );
    let error = evaluate(&blind, &bundle, None).unwrap_err();
    assert!(matches!(error, EvalError::Images(_)), "{error}");
    // With those who ask about them: each is asked about in every split.
    let message = error.to_string();
    let rows = lines(&WORLD.path().join("eval/pope_random.jsonl"));
    let image = |row: &&Value| row["image"].as_str().unwrap().to_owned();
    let first = rows.iter().min_by_key(image).unwrap();
    let (image, id) = (image(&first), first["question_id"].to_string());
    for part in [
        "75 of 75 images",
        image.as_str(),
        &format!("\"{id}\""),
        "pope_adversarial.jsonl, and by",
        "and 55 more",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}
