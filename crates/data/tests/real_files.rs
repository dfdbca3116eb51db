//! Public files as they were published read, and survive being written again.
//!
//! The files are not in the repository; where they are missing the tests say so on stderr and check nothing.

use std::path::{Path, PathBuf};

use candor_data::formats::{llava_bench, mmhal, pope};
use candor_data::image::{ImageLimits, ImageProcessor, decode, load_batch};
use candor_testing::shared;

#[test]
fn mmhal_bench_reads_and_comes_back_byte_for_byte_as_json() {
    let Some(path) = shared("mmhal_bench/response_template.json") else {
        return;
    };
    let rows = mmhal::read(&path).unwrap();
    assert_eq!(rows.len(), 96);
    // The official script takes the type from the position.
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row.question_type, rows[i % 8].question_type, "question {i}");
        assert!(row.model_answer.is_empty());
    }
    assert_eq!(rows[0].image_content, ["Fire hydrant"]);
    assert_same_json(&path, &mmhal::render(&path, &rows).unwrap());
}

#[test]
fn pope_reads_in_all_three_splits() {
    for (split, n_rows) in [("random", 2910), ("popular", 3000), ("adversarial", 3000)] {
        let Some(path) = shared(&format!("pope/coco_pope_{split}.jsonl")) else {
            return;
        };
        let rows = pope::read(&path).unwrap();
        assert_eq!(rows.len(), n_rows);
        let n_yes = rows
            .iter()
            .filter(|row| row.label == pope::Label::Yes)
            .count();
        assert_eq!(n_yes, 1500, "{split}");
        assert_eq!(rows[0].text, "Is there a snowboard in the image?");
        assert_same_lines(&path, &pope::render(&path, &rows).unwrap());
    }
}

#[test]
fn llava_bench_reads() {
    let Some(path) = shared("llava_bench_coco/qa90_questions.jsonl") else {
        return;
    };
    let questions = llava_bench::read_questions(&path).unwrap();
    assert_eq!(questions.len(), 90);
    for category in [
        llava_bench::Category::Conv,
        llava_bench::Category::Detail,
        llava_bench::Category::Complex,
    ] {
        let n = questions
            .iter()
            .filter(|row| row.category == category)
            .count();
        assert_eq!(n, 30);
    }
    assert_same_lines(
        &path,
        &llava_bench::render_questions(&path, &questions).unwrap(),
    );

    let path = path.with_file_name("qa90_gpt4_answer.jsonl");
    let answers = llava_bench::read_answers(&path).unwrap();
    assert_eq!(answers.len(), 90);
    assert_same_lines(
        &path,
        &llava_bench::render_answers(&path, &answers).unwrap(),
    );

    let path = path.with_file_name("caps_boxes_coco2014_val_80.jsonl");
    let contexts = llava_bench::read_contexts(&path).unwrap();
    assert_eq!(contexts.len(), 80);
    assert_eq!(contexts[0].instances[0].category, "donut");
    assert_same_lines(
        &path,
        &llava_bench::render_contexts(&path, &contexts).unwrap(),
    );

    let path = path.with_file_name("rule.json");
    let rules = llava_bench::read_rules(&path).unwrap();
    assert_eq!(rules["conv"].role, "Assistant");
    let written = llava_bench::render_rules(&path, &rules).unwrap();
    assert_eq!(llava_bench::parse_rules(&path, &written).unwrap(), rules);
}

#[test]
fn photographs_are_the_same_bytes_on_any_number_of_threads() {
    let Some(folder) = shared("photos") else {
        return;
    };
    let mut photos: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    photos.sort();
    let (processor, limits) = (ImageProcessor::clip(96), ImageLimits::default());
    let with_threads = |n| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build()
            .unwrap();
        pool.install(|| load_batch(&photos, &processor, &limits).unwrap())
    };
    let one = with_threads(1);
    assert_eq!(one, with_threads(4));
    let last = processor
        .fit(&decode(photos.last().unwrap(), &limits).unwrap())
        .unwrap();
    assert_eq!(one.last(), Some(&last));
}

fn assert_same_json(path: &Path, written: &str) {
    let original: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let written: serde_json::Value = serde_json::from_str(written).unwrap();
    assert_eq!(original, written);
}

fn assert_same_lines(path: &Path, written: &str) {
    let original = std::fs::read_to_string(path).unwrap();
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let original: Vec<_> = original
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(json)
        .collect();
    let written: Vec<_> = written.lines().map(json).collect();
    assert_eq!(original, written);
}
