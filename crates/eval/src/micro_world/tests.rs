//! The benchmarks with the true answers of their own files: what is true must score as true.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use candor_data::formats;
use candor_judge::figures::{Figure, figures};
use candor_judge::score::verdicts;
use candor_judge::{Finding, Verdict};
use candor_recipe::Reader;
use candor_world::{World, WorldConfig};
use tempfile::TempDir;

use super::*;
use crate::answer::Answer;

const DEMO: &str = include_str!("../../../../recipes/demo/6-eval.toml");

static WORLD: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let config = WorldConfig {
        seed: 8,
        n_train: 10,
        n_preference: 0,
        n_rl: 0,
        n_eval: 150,
        image_px: 32,
        ..WorldConfig::default()
    };
    candor_world::write(&World::generate(&config).unwrap(), dir.path()).unwrap();
    dir
});

fn folder() -> PathBuf {
    WORLD.path().join("eval")
}

/// The questions of a benchmark in a data folder.
fn questions(benchmark: Benchmark, data: &Path) -> Result<Questions, EvalError> {
    let sets = [
        format!("data.root={data:?}"),
        format!("run.benchmarks=[{:?}]", benchmark.key()),
        "pope.suffix=\"  Answer in a word. \"".to_owned(),
    ];
    let recipe = EvalRecipe::read(Reader::parse("6-eval.toml", DEMO, &sets)).unwrap();
    Ok(recipe.questions()?.remove(0))
}

fn read(benchmark: Benchmark) -> Questions {
    questions(benchmark, WORLD.path()).unwrap()
}

/// What these answers to all questions are worth.
fn judged(questions: &Questions, texts: impl IntoIterator<Item = String>) -> Vec<Verdict> {
    let answer = |text: String| Answer {
        n_tokens: text.split_whitespace().count(),
        text,
        finished: true,
    };
    let answers: Vec<Answer> = texts.into_iter().map(answer).collect();
    assert_eq!(answers.len(), questions.asks.len());
    verdicts(&*questions.task, &questions.answered(&answers)).unwrap()
}

fn figure(benchmark: Benchmark, verdicts: &[Verdict], key: &str) -> Figure {
    figures(benchmark, verdicts, 0)[key].clone()
}

fn value(benchmark: Benchmark, verdicts: &[Verdict], key: &str) -> f64 {
    figure(benchmark, verdicts, key).value.unwrap()
}

fn finding(verdict: &Verdict) -> &Finding {
    verdict.finding.as_ref().unwrap()
}

#[test]
fn mmhal_finds_no_hallucination_in_its_own_answers_and_none_of_worth_in_silence() {
    let of = Benchmark::Mmhal;
    let questions = read(of);
    let rows = formats::mmhal::read(&folder().join("mmhal.json")).unwrap();
    let found = judged(&questions, rows.iter().map(|row| row.gt_answer.clone()));
    assert!(found.iter().all(|verdict| finding(verdict).score >= 5));
    assert!(value(of, &found, "hallucination").abs() < 1e-12);
    assert!(value(of, &found, "score") >= 5.0);
    // Nobody was asked, so there is nothing official about it.
    assert_eq!(figure(of, &found, "score_official").value, None);
    assert_eq!(figure(of, &found, "score").groups.len(), 8);

    let found = judged(&questions, rows.iter().map(|_| String::new()));
    assert!(value(of, &found, "score").abs() < 1e-12);
    assert!((value(of, &found, "hallucination") - 1.0).abs() < 1e-12);
    let silent = |verdict: &Verdict| {
        let found = finding(verdict);
        found.standing == "silent" && found.claims.is_empty()
    };
    assert!(found.iter().all(silent));
}

#[test]
fn pope_counts_right_answers_and_always_yes() {
    let of = Benchmark::Pope;
    let questions = read(of);
    let texts = || questions.asks.iter().map(|ask| ask.text.as_str());
    assert!(texts().all(|text| text.ends_with("?\nAnswer in a word.")));
    let splits = ["random", "popular", "adversarial"]
        .map(|split| formats::pope::read(&folder().join(format!("pope_{split}.jsonl"))).unwrap());
    let labels = splits.iter().flatten();
    let found = judged(&questions, labels.map(|row| format!("{:?}.", row.label)));
    assert!((value(of, &found, "accuracy") - 1.0).abs() < 1e-12);
    assert!(value(of, &found, "neither").abs() < 1e-12);
    assert_eq!(figure(of, &found, "accuracy").groups.len(), 3);
    let ids: BTreeSet<&str> = found.iter().map(|verdict| verdict.id.as_str()).collect();
    assert!(ids.len() == found.len() && ids.contains("adversarial-1"));

    let found = judged(&questions, texts().map(|_| "Yes".to_owned()));
    // The world asks as often for what is there as for what is not.
    assert!((value(of, &found, "accuracy") - 0.5).abs() < 1e-12);
}

#[test]
fn chair_counts_objects_by_their_synonyms() {
    let of = Benchmark::Chair;
    let questions = read(of);
    let instances = formats::coco::read_instances(&folder().join("chair_instances.json")).unwrap();
    let objects = instances.objects_by_file();
    let sentence = |name: &&str| format!("There is a {name}.");
    let listed = |names: &Vec<&str>| names.iter().map(sentence).collect::<Vec<_>>().join(" ");
    let found = judged(&questions, objects.values().map(listed));
    for (key, expected) in [("chair_i", 0.0), ("recall", 1.0), ("object_f1", 1.0)] {
        assert!((value(of, &found, key) - expected).abs() < 1e-12, "{key}");
    }
    assert!(
        found
            .iter()
            .all(|verdict| finding(verdict).left_out.is_empty())
    );

    let bicycle = || "A bicycle stands here.".to_owned();
    let found = judged(&questions, objects.values().map(|_| bicycle()));
    let has_bike = |names: &Vec<&str>| names.contains(&"bike");
    let n_bikes = objects.values().filter(|names| has_bike(names)).count();
    assert!(n_bikes > 0);
    for (verdict, names) in found.iter().zip(objects.values()) {
        let made_up: &[&str] = if has_bike(names) { &[] } else { &["bike"] };
        assert_eq!(verdict.read_as, made_up);
        let others = names.iter().filter(|name| **name != "bike").copied();
        let others: BTreeSet<&str> = others.collect();
        let left_out = finding(verdict).left_out.iter().map(String::as_str);
        assert_eq!(left_out.collect::<BTreeSet<_>>(), others);
    }
    let wrong = (found.len() - n_bikes) as f64 / found.len() as f64;
    assert!((value(of, &found, "chair_i") - wrong).abs() < 1e-12);
}

#[test]
fn llava_bench_gives_its_references_a_hundred() {
    let of = Benchmark::LlavaBench;
    let path = folder().join("llava_bench/answers.jsonl");
    let references = formats::llava_bench::read_answers(&path).unwrap();
    let found = judged(&read(of), references.into_iter().map(|row| row.text));
    assert!((value(of, &found, "relative") - 100.0).abs() < 1e-9);
    let groups = figure(of, &found, "relative").groups;
    assert!(groups.len() == 3 && groups.values().all(|figure| figure.n == 30));
    assert!(value(of, &found, "reference_mark") > 7.0);
}

#[test]
fn a_question_without_reference_and_an_image_without_scene_are_named() {
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = elsewhere.path().join("eval/llava_bench");
    std::fs::create_dir_all(&copied).unwrap();
    let scenes = WORLD.path().join("scenes.jsonl");
    std::fs::copy(&scenes, elsewhere.path().join("scenes.jsonl")).unwrap();
    let copy = |name: &str, keep: usize| {
        let text = std::fs::read_to_string(folder().join("llava_bench").join(name)).unwrap();
        let kept: Vec<&str> = text.lines().take(keep).collect();
        std::fs::write(copied.join(name), kept.join("\n")).unwrap();
    };
    copy("questions.jsonl", 90);
    copy("answers.jsonl", 5);
    let error = questions(Benchmark::LlavaBench, elsewhere.path());
    let message = error.err().unwrap().to_string();
    assert!(
        message.contains("question \"5\"") && message.contains("answers.jsonl"),
        "{message}"
    );

    let scenes = Scenes::read(WORLD.path()).unwrap();
    let error = scenes.judge("no.png", "Describe the image.", "A dog.");
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("no.png") && message.contains("scenes.jsonl"),
        "{message}"
    );
    assert!(Scenes::read(Path::new("/nonexistent")).is_err());
}
