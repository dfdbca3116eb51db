//! The benchmarks' own files, which stand beside the repository where they are at all, with other photographs in the
//! place of theirs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candor_data::formats;
use candor_judge::Benchmark;
use candor_testing::shared;
use tempfile::TempDir;

use crate::candidate::{ask, ask_and_score, eval_run, model};

/// A folder in which every image that is asked for is one of the photographs.
fn substitutes(names: impl IntoIterator<Item = String>) -> Option<TempDir> {
    let mut photos: Vec<PathBuf> = std::fs::read_dir(shared("photos")?)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    photos.sort();
    let folder = tempfile::tempdir().unwrap();
    let names: BTreeSet<String> = names.into_iter().collect();
    for (name, photo) in names.iter().zip(photos.iter().cycle()) {
        std::fs::copy(photo, folder.path().join(name)).unwrap();
    }
    Some(folder)
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap().lines().count()
}

#[test]
fn all_questions_of_mmhal_are_answered_and_judged() {
    let Some(questions) = shared("mmhal_bench/response_template.json") else {
        return;
    };
    let rows = formats::mmhal::read(&questions).unwrap();
    let last = |row: formats::mmhal::Question| row.image_src.rsplit('/').next().unwrap().to_owned();
    let Some(images) = substitutes(rows.into_iter().map(last)) else {
        return;
    };
    let (model, out) = (model(1), tempfile::tempdir().unwrap());
    let eval_run = eval_run(
        Benchmark::Mmhal,
        model.path(),
        vec![questions],
        images.path(),
        out.path(),
    );
    let (verdicts, scored, n_ahead) = ask_and_score(&eval_run, "Nonsense.\nRating: 1");
    assert_eq!((verdicts.len(), n_ahead), (96, 96));
    assert_eq!(scored.figures["score"].value, Some(1.0));
    assert_eq!(scored.figures["hallucination"].value, Some(1.0));
    assert_eq!(scored.figures["score"].groups.len(), 8);
    assert_eq!(lines(&out.path().join("answers/mmhal.jsonl")), 96);
    assert!(verdicts.iter().any(|verdict| !verdict.answer.is_empty()));
}

#[test]
fn all_questions_of_llava_bench_are_answered_and_judged() {
    let Some(questions) = shared("llava_bench_coco/qa90_questions.jsonl") else {
        return;
    };
    let rows = formats::llava_bench::read_questions(&questions).unwrap();
    let Some(images) = substitutes(rows.into_iter().map(|row| row.image)) else {
        return;
    };
    let (model, out) = (model(1), tempfile::tempdir().unwrap());
    let mut eval_run = eval_run(
        Benchmark::LlavaBench,
        model.path(),
        vec![questions],
        images.path(),
        out.path(),
    );
    eval_run.files.references = shared("llava_bench_coco/qa90_gpt4_answer.jsonl");
    eval_run.files.context = shared("llava_bench_coco/caps_boxes_coco2014_val_80.jsonl");
    let (verdicts, scored, n_ahead) = ask_and_score(&eval_run, "8 4\nLess than the first.");
    assert_eq!((verdicts.len(), n_ahead), (90, 90));
    assert_eq!(scored.figures["relative"].value, Some(50.0));
    assert_eq!(scored.figures["relative"].groups["detail"].n, 30);
}

#[test]
fn questions_of_all_splits_of_pope_are_answered_once_and_read_by_the_rule() {
    let splits = ["random", "popular", "adversarial"];
    let files = splits.map(|split| shared(&format!("pope/coco_pope_{split}.jsonl")));
    let Some(files) = files.into_iter().collect::<Option<Vec<PathBuf>>>() else {
        return;
    };
    let rows = files.iter().flat_map(|path| {
        let rows = formats::pope::read(path).unwrap();
        rows.into_iter().take(60).map(|row| row.image)
    });
    let Some(images) = substitutes(rows) else {
        return;
    };
    let (model, out) = (model(1), tempfile::tempdir().unwrap());
    let mut eval_run = eval_run(
        Benchmark::Pope,
        model.path(),
        files,
        images.path(),
        out.path(),
    );
    eval_run.files.limit = Some(60);
    let answers = ask(&eval_run).unwrap();
    let names: Vec<&str> = answers
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "pope_random.jsonl",
            "pope_popular.jsonl",
            "pope_adversarial.jsonl"
        ]
    );
    assert!(answers.iter().all(|path| lines(path) == 60));
    let told = std::fs::read_to_string(&answers[0]).unwrap();
    assert!(
        told.lines()
            .all(|line| line.contains("?\\nAnswer the question using a single word or phrase."))
    );
    let scored = candor_judge::score::score(eval_run.benchmark, &eval_run.files, &answers, None, 0);
    let (verdicts, scored) = scored.unwrap();
    assert_eq!((scored.n, scored.limit), (180, Some(60)));
    let right = verdicts
        .iter()
        .filter(|verdict| verdict.reference.as_ref() == verdict.read_as.first())
        .count();
    assert_eq!(scored.figures["accuracy"].value, Some(right as f64 / 180.0));
    // The true questions are the same in all splits: they are answered once, and so alike.
    let log = std::fs::read_to_string(out.path().join("answers.log")).unwrap();
    let n_prompts = log.matches("\"prompt\":").count();
    let distinct: BTreeSet<(&str, &str)> = verdicts
        .iter()
        .map(|verdict| (verdict.image.as_str(), verdict.question.as_str()))
        .collect();
    assert!(
        n_prompts == distinct.len() && n_prompts < 180,
        "{n_prompts}"
    );
}
