//! Questions of a user's own on images of the micro-world, and images that stand in a table.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use candor_eval::files::answer;
use candor_judge::Benchmark;
use candor_run::{Ranks, StopSignal};
use candor_world::{World, WorldConfig};
use tch::Device;
use tempfile::TempDir;

use crate::candidate::{ask, ask_and_score, eval_run, model};

/// A world with images, written once for all tests.
static WORLD: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let config = WorldConfig {
        seed: 3,
        n_train: 5,
        n_preference: 0,
        n_rl: 0,
        n_eval: 150,
        image_px: 32,
        ..WorldConfig::default()
    };
    candor_world::write(&World::generate(&config).unwrap(), dir.path()).unwrap();
    dir
});

pub fn images() -> PathBuf {
    WORLD.path().join("images")
}

/// Names of the first images.
pub fn names(n: usize) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(images())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.truncate(n);
    names
}

/// Questions of different lengths about some images, the same about each and some twice.
pub fn own_questions(folder: &Path) -> PathBuf {
    let mut text = String::new();
    for (at, image) in names(5).iter().enumerate() {
        for (k, (question, rule)) in [
            (
                "Is there a red bus in the image?",
                r#""answer":"yes","rule":"yes-no""#,
            ),
            ("How many?", r#""answer":"3","rule":"exact""#),
            (
                "What is it made of?",
                r#""answer":"A","options":["wood","steel"],"rule":"letter""#,
            ),
            (
                "Describe the person on the left and say what is near.",
                r#""rule":"judge""#,
            ),
            ("How many?", r#""answer":"4","rule":"exact""#),
        ]
        .into_iter()
        .enumerate()
        {
            writeln!(
                text,
                r#"{{"id":"{at}-{k}","image":"{image}","question":"{question}",{rule}}}"#
            )
            .unwrap();
        }
    }
    let path = folder.join("own.jsonl");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn batches_of_any_size_give_the_same_answers() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let questions = own_questions(dir.path());
    let run = |batch_rows: usize, temperature: f64| {
        let out = dir.path().join(format!("{batch_rows}-{temperature}"));
        let mut eval_run = eval_run(
            Benchmark::Own,
            model.path(),
            vec![questions.clone()],
            &images(),
            &out,
        );
        eval_run.batch_rows = batch_rows;
        eval_run.temperature = temperature;
        eval_run.max_new_tokens = 80;
        let answers = ask(&eval_run).unwrap();
        std::fs::read_to_string(&answers[0]).unwrap()
    };
    for temperature in [0.0, 1.0] {
        let alone = run(1, temperature);
        assert_eq!(alone.lines().count(), 25);
        for batch_rows in [3, 8, 64] {
            assert_eq!(
                run(batch_rows, temperature),
                alone,
                "{batch_rows} at {temperature}"
            );
        }
    }
    assert_ne!(run(8, 0.0), run(8, 1.0));
}

#[test]
fn without_a_judge_the_answers_are_there_and_known_to_lack_one() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let lacks_judge = |limit: usize| {
        let out = dir.path().join(limit.to_string());
        let questions = own_questions(dir.path());
        let mut eval_run = eval_run(
            Benchmark::Own,
            model.path(),
            vec![questions],
            &images(),
            &out,
        );
        eval_run.files.limit = Some(limit);
        let answered = answer(
            &eval_run,
            None,
            &StopSignal::detached(),
            Device::Cpu,
            &Ranks::alone(),
        );
        let answered = answered.unwrap().unwrap();
        assert!(answered.files[0].exists());
        answered.lacks_judge
    };
    // The fourth question is the first for a judge.
    assert_eq!([lacks_judge(3), lacks_judge(4)], [false, true]);
}

#[test]
fn questions_are_asked_as_their_rules_want_and_scored_by_them() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let questions = own_questions(dir.path());
    let eval_run = eval_run(
        Benchmark::Own,
        model.path(),
        vec![questions],
        &images(),
        &dir.path().join("out"),
    );
    let (verdicts, scored, n_ahead) = ask_and_score(&eval_run, "Rating: 4");
    assert_eq!((verdicts.len(), n_ahead), (25, 5));
    assert_eq!(scored.figures["score"].value, Some(4.0));
    assert_eq!(scored.figures["accuracy"].n, 20);
    let answers = std::fs::read_to_string(dir.path().join("out/answers/own.jsonl")).unwrap();
    let short = "Answer the question using a single word or phrase.";
    let letter = "Answer with the letter of the right option.";
    for (k, expected) in [
        format!(r#""question":"Is there a red bus in the image?\n{short}""#),
        format!(r#""question":"How many?\n{short}""#),
        format!(r#""question":"What is it made of?\nA. wood\nB. steel\n{letter}""#),
        r#""question":"Describe the person on the left and say what is near.""#.to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        let line = answers.lines().nth(k).unwrap();
        assert!(line.contains(&expected), "{line}");
    }
}

#[test]
fn images_in_a_table_are_seen() {
    let (model, dir) = (model(1), tempfile::tempdir().unwrap());
    let image = |name: &String| base64(&std::fs::read(images().join(name)).unwrap());
    let names = names(2);
    let mut table = "index\tquestion\tA\tB\tanswer\timage\n".to_owned();
    for (at, name) in names.iter().enumerate() {
        let index = at + 1;
        writeln!(table, "{index}\tWhich?\tcup\tdish\tA\t{}", image(name)).unwrap();
        writeln!(
            table,
            "{}\tWhich?\tdish\tcup\tB\t{index}",
            index + 1_000_000
        )
        .unwrap();
    }
    let questions = dir.path().join("mmbench.tsv");
    std::fs::write(&questions, table).unwrap();
    let out = dir.path().join("out");
    let nowhere = Path::new("/nonexistent");
    let mut asked = eval_run(
        Benchmark::Mmbench,
        model.path(),
        vec![questions],
        nowhere,
        &out,
    );
    asked.max_new_tokens = 40;
    let (_, scored, _) = ask_and_score(&asked, "");
    assert_eq!((scored.n, scored.figures["circular"].n), (4, 2));

    // The same as files.
    let mut text = String::new();
    let rest = r#""question":"Which?","options":["cup","dish"],"answer":"A","rule":"letter""#;
    for name in &names {
        writeln!(text, r#"{{"id":"{name}","image":"{name}",{rest}}}"#).unwrap();
    }
    let questions = dir.path().join("own.jsonl");
    std::fs::write(&questions, text).unwrap();
    let other = dir.path().join("other");
    let mut own = eval_run(
        Benchmark::Own,
        model.path(),
        vec![questions],
        &images(),
        &other,
    );
    own.max_new_tokens = 40;
    own.instruction = Some("Answer the question using a single word or phrase.".to_owned());
    ask(&own).unwrap();
    let said = |path: PathBuf| -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap();
        let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
        text.lines()
            .map(|line| value(line)["answer"].to_string())
            .collect()
    };
    let (table, files) = (
        said(out.join("answers/mmbench.jsonl")),
        said(other.join("answers/own.jsonl")),
    );
    assert_eq!([&table[0], &table[2]], [&files[0], &files[1]]);
    assert_ne!(files[0], files[1], "two images look the same to the model");
}

/// Base64 by its definition.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let padded = [
            chunk[0],
            *chunk.get(1).unwrap_or(&0),
            *chunk.get(2).unwrap_or(&0),
        ];
        let bits = padded
            .iter()
            .fold(0_u32, |bits, &byte| (bits << 8) | u32::from(byte));
        for k in 0..4 {
            let digit = DIGITS[((bits >> (18 - 6 * k)) & 63) as usize];
            text.push(if k <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}
