//! The benchmarks with the true answers of their own files: what is true must score as true.

use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use candor_data::formats;
use candor_world::{World, WorldConfig};
use tempfile::TempDir;

use super::{ChairTask, LlavaBenchTask, MmhalTask, PopeTask, Task};
use crate::answer::Answer;
use crate::truth::Truth;

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

fn truth() -> Rc<Truth> {
    Rc::new(Truth::read(WORLD.path()).unwrap())
}

fn folder() -> std::path::PathBuf {
    WORLD.path().join("eval")
}

fn said(texts: impl IntoIterator<Item = String>) -> Vec<Answer> {
    let answer = |text: String| Answer {
        n_tokens: text.split_whitespace().count(),
        text,
        finished: true,
    };
    texts.into_iter().map(answer).collect()
}

#[test]
fn mmhal_finds_no_hallucination_in_its_own_answers_and_none_of_worth_in_silence() {
    let task = MmhalTask::read(&folder(), truth()).unwrap();
    let rows = formats::mmhal::read(&folder().join("mmhal.json")).unwrap();
    let ideal = said(rows.into_iter().map(|row| row.gt_answer));
    let (lines, scores) = task.judge(&ideal, 0).unwrap();
    assert!(
        lines
            .iter()
            .all(|line| !line.hallucinated && line.score >= 5)
    );
    assert!(scores.hallucination_rate.abs() < 1e-12 && scores.score >= 5.0);

    let (lines, scores) = task
        .judge(&said(vec![String::new(); lines.len()]), 0)
        .unwrap();
    assert!(scores.score.abs() < 1e-12);
    assert!(
        lines
            .iter()
            .all(|line| line.standing == "silent" && line.claims.is_empty())
    );
}

#[test]
fn pope_counts_right_answers_and_always_yes() {
    let task = PopeTask::read(
        |split| folder().join(format!("pope_{split}.jsonl")),
        "  Answer in a word. ",
    )
    .unwrap();
    let asks = task.asks();
    assert!(
        asks.iter()
            .all(|ask| ask.text.ends_with("?\nAnswer in a word."))
    );
    let splits = ["random", "popular", "adversarial"]
        .map(|split| formats::pope::read(&folder().join(format!("pope_{split}.jsonl"))).unwrap());
    let labels = splits
        .iter()
        .flatten()
        .map(|row| format!("{:?}.", row.label));
    let (lines, scores) = task.judge(&said(labels), 0).unwrap();
    assert!(lines.iter().all(|line| line.right && !line.neither));
    assert!((scores.overall.accuracy - 1.0).abs() < 1e-12);
    assert_eq!(scores.splits.len(), 3);

    let (_, scores) = task
        .judge(&said(vec!["Yes".to_owned(); asks.len()]), 0)
        .unwrap();
    // The world asks as often for what is there as for what is not.
    assert!((scores.overall.accuracy - 0.5).abs() < 1e-12);
}

#[test]
fn chair_counts_objects_by_their_synonyms() {
    let task = ChairTask::read(&folder(), "Describe the image in detail.", truth()).unwrap();
    let instances = formats::coco::read_instances(&folder().join("chair_instances.json")).unwrap();
    let objects = instances.objects_by_file();
    let sentence = |name: &&str| format!("There is a {name}.");
    let listed = |names: &Vec<&str>| names.iter().map(sentence).collect::<Vec<_>>().join(" ");
    let (_, scores) = task.judge(&said(objects.values().map(listed)), 0).unwrap();
    assert_eq!((scores.chair_i, scores.recall), (Some(0.0), Some(1.0)));
    assert_eq!(scores.object_f1, Some(1.0));

    let bicycle = said(
        objects
            .values()
            .map(|_| "A bicycle stands here.".to_owned()),
    );
    let (lines, scores) = task.judge(&bicycle, 0).unwrap();
    let n_bikes = objects
        .values()
        .filter(|names| names.contains(&"bike"))
        .count();
    assert!(n_bikes > 0 && lines.iter().all(|line| line.mentioned == ["bike"]));
    let wrong = (lines.len() - n_bikes) as f64 / lines.len() as f64;
    assert!((scores.chair_i.unwrap() - wrong).abs() < 1e-12);
}

#[test]
fn llava_bench_gives_its_references_a_hundred() {
    let task = LlavaBenchTask::read(&folder(), truth()).unwrap();
    let path = folder().join("llava_bench/answers.jsonl");
    let references = formats::llava_bench::read_answers(&path).unwrap();
    let (_, scores) = task
        .judge(&said(references.into_iter().map(|row| row.text)), 0)
        .unwrap();
    assert!((scores.overall.relative_score.unwrap() - 100.0).abs() < 1e-9);
    assert!(scores.categories.values().all(|figures| figures.n == 30));
    assert!(scores.overall.mean_reference > 7.0);
}

#[test]
fn a_question_without_reference_and_an_image_without_scene_are_named() {
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = elsewhere.path().join("llava_bench");
    std::fs::create_dir(&copied).unwrap();
    let copy = |name: &str, keep: usize| {
        let text = std::fs::read_to_string(folder().join("llava_bench").join(name)).unwrap();
        let kept: Vec<&str> = text.lines().take(keep).collect();
        std::fs::write(copied.join(name), kept.join("\n")).unwrap();
    };
    copy("questions.jsonl", 90);
    copy("answers.jsonl", 5);
    let error = LlavaBenchTask::read(elsewhere.path(), truth()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("question 5") && message.contains("answers.jsonl"),
        "{message}"
    );

    let error = truth()
        .judge("no.png", "Describe the image.", "A dog.")
        .unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("no.png") && message.contains("scenes.jsonl"),
        "{message}"
    );
    assert!(Truth::read(Path::new("/nonexistent")).is_err());
}
