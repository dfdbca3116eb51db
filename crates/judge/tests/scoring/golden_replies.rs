//! Thousands of made-up replies, read and scored as plain Python does: `parity/fixtures/replies.py`.

use candor_judge::benchmarks::Files;
use candor_judge::score::score;
use candor_judge::{Benchmark, llava_bench, mmhal, pope};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::scripted::{file, recited, value};

#[derive(Deserialize)]
struct Golden {
    n: usize,
    seed: u64,
    vocabulary: BTreeMap<String, Vec<String>>,
    read: BTreeMap<String, String>,
    numbers: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Golden {
    fn open() -> Self {
        serde_json::from_str(include_str!("../golden/replies.json")).unwrap()
    }

    /// The replies that Python made, by the same generator.
    fn replies(&self, kind: &str) -> Vec<String> {
        let fragments = &self.vocabulary[kind];
        let mut state = self.seed;
        let mut draw = |n: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let replies = (0..self.n).map(|_| {
            let n = 1 + draw(6);
            (0..n)
                .map(|_| fragments[draw(fragments.len())].as_str())
                .collect()
        });
        replies.collect()
    }

    fn near(&self, kind: &str, name: &str, found: f64) {
        let expected = self.numbers[kind][name];
        assert!(
            (found - expected).abs() < 1e-9,
            "{kind} {name}: {found}, expected {expected}"
        );
    }
}

fn same(replies: &[String], found: &[String], expected: &[String]) {
    assert_eq!(found.len(), expected.len());
    for ((reply, found), expected) in replies.iter().zip(found).zip(expected) {
        assert_eq!(found, expected, "{reply:?}");
    }
}

fn letters(text: &str) -> Vec<String> {
    text.chars().map(String::from).collect()
}

#[test]
fn ratings_and_their_numbers() {
    let golden = Golden::open();
    let replies = golden.replies("mmhal");
    let ratings: Vec<Option<u8>> = replies
        .iter()
        .map(|reply| mmhal::parse_rating(reply))
        .collect();
    let found: Vec<String> = ratings
        .iter()
        .map(|rating| rating.map_or("-".to_owned(), |r| r.to_string()))
        .collect();
    same(&replies, &found, &letters(&golden.read["mmhal"]));
    // The official numbers are those of one reply to each answer.
    let rows = (0..replies.len()).map(|i| {
        json!({
            "question_type": "t", "question_topic": "t", "image_id": (i % 50).to_string(), "image_src": "x",
            "image_content": [], "question": format!("Q{i}?"), "gt_answer": "G", "model_answer": format!("A{i}"),
        })
    });
    let sheet = Value::from(rows.collect::<Vec<_>>()).to_string();
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "sheet.json", &sheet);
    let files = Files {
        questions: vec![path.clone()],
        ..Files::default()
    };
    let scored = recited(Benchmark::Mmhal, &files, &[path], &replies);
    golden.near("mmhal", "score", value(&scored, "score_official"));
    golden.near(
        "mmhal",
        "hallucination",
        value(&scored, "hallucination_official"),
    );
}

#[test]
fn pairs_of_marks_and_their_numbers() {
    let golden = Golden::open();
    let replies = golden.replies("llava_bench");
    let spelled = |pair: Option<[f64; 2]>| pair.map_or("-".to_owned(), |[a, b]| format!("{a}/{b}"));
    let read = |rule: fn(&str) -> Option<[f64; 2]>| -> Vec<Option<[f64; 2]>> {
        replies.iter().map(|reply| rule(reply)).collect()
    };
    let (ours, official) = (
        read(llava_bench::parse_pair),
        read(llava_bench::official_pair),
    );
    for (name, pairs) in [("llava_bench", &ours), ("llava_bench_official", &official)] {
        let found: Vec<String> = pairs.iter().map(|pair| spelled(*pair)).collect();
        let expected: Vec<String> = golden.read[name].split(' ').map(str::to_owned).collect();
        same(&replies, &found, &expected);
    }
    let lines = |row: fn(usize) -> Value| -> String {
        (0..replies.len())
            .map(|i| row(i).to_string() + "\n")
            .collect()
    };
    let dir = tempfile::tempdir().unwrap();
    let questions = lines(
        |i| json!({"question_id": i, "image": (i % 50).to_string(), "category": "conv", "text": format!("Q{i}?")}),
    );
    let answers = lines(|i| json!({"question_id": i, "text": format!("A{i}")}));
    let context = lines(
        |i| json!({"id": i.to_string(), "image": i.to_string(), "captions": [], "instances": []}),
    );
    let answers = file(dir.path(), "answers.jsonl", &answers);
    let files = Files {
        questions: vec![file(dir.path(), "questions.jsonl", &questions)],
        references: Some(answers.clone()),
        context: Some(file(dir.path(), "context.jsonl", &context)),
        ..Files::default()
    };
    let scored = recited(Benchmark::LlavaBench, &files, &[answers], &replies);
    golden.near("llava_bench", "relative", value(&scored, "relative"));
    golden.near(
        "llava_bench",
        "relative_official",
        value(&scored, "relative_official"),
    );
}

#[test]
fn yes_no_and_their_numbers() {
    let golden = Golden::open();
    let replies = golden.replies("pope");
    let read: Vec<pope::Read> = replies.iter().map(|reply| pope::read(reply)).collect();
    let spelled = |read: &pope::Read| {
        if read.neither {
            "?"
        } else if read.yes {
            "y"
        } else {
            "n"
        }
    };
    let found: Vec<String> = read.iter().map(|read| spelled(read).to_owned()).collect();
    same(&replies, &found, &letters(&golden.read["pope"]));
    let rows = |row: &dyn Fn(usize) -> Value| -> String {
        (0..replies.len())
            .map(|i| row(i).to_string() + "\n")
            .collect()
    };
    let label = |i: usize| if i.is_multiple_of(3) { "yes" } else { "no" };
    let questions = rows(
        &|i| json!({"question_id": i, "image": (i % 50).to_string(), "text": format!("Q{i}?"), "label": label(i)}),
    );
    let answers = rows(&|i| json!({"question_id": i, "text": replies[i]}));
    let dir = tempfile::tempdir().unwrap();
    let files = Files {
        questions: vec![file(dir.path(), "pope_random.jsonl", &questions)],
        ..Files::default()
    };
    let answers = file(dir.path(), "answers.jsonl", &answers);
    let (_, scored) = score(Benchmark::Pope, &files, &[answers], None, 0).unwrap();
    for name in ["accuracy", "precision", "recall", "f1", "yes_ratio"] {
        golden.near("pope", name, value(&scored, name));
    }
}
