//! A user's own questions, each scored by the rule that it names.

use candor_judge::Benchmark;
use candor_judge::benchmarks::Files;
use candor_judge::score::score;
use candor_judge::settings::Templates;

use crate::scripted::{Sheet, file, near, run, value};

const QUESTIONS: &str = r#"{"id":"a","image":"a.jpg","question":"How many?","answer":"3","rule":"exact","category":"counting"}
{"id":"b","image":"a.jpg","question":"Any?","answer":"no","rule":"yes-no","category":"counting"}
{"id":"c","image":"b.jpg","question":"Which?","options":["wood","steel"],"answer":"A","rule":"letter"}
{"id":"d","image":"b.jpg","question":"Describe it.","reference":"A dog.","rule":"judge"}
"#;
const ANSWERS: &str = r#"{"id":"d","answer":"Two dogs."}
{"id":"a","answer":" 3. "}
{"id":"b","answer":"Yes"}
{"id":"c","answer":"I cannot tell"}
"#;

fn sheet(folder: &std::path::Path, limit: Option<usize>) -> Sheet {
    Sheet {
        files: Files {
            questions: vec![file(folder, "own.jsonl", QUESTIONS)],
            limit,
            ..Files::default()
        },
        answers: vec![file(folder, "answers.jsonl", ANSWERS)],
    }
}

#[test]
fn rules_score_what_they_can_and_a_judge_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let sheet = sheet(dir.path(), None);
    let scored = run(Benchmark::Own, &sheet, &Templates::default(), |prompt| {
        assert!(
            prompt.contains("A dog.") && prompt.contains("Two dogs."),
            "{prompt}"
        );
        vec!["Not two.\nRating: 1".to_owned()]
    })
    .unwrap();
    // Of "3", "Yes" and silence the first is right; the judge rates the fourth.
    near(value(&scored, "accuracy"), 1.0 / 3.0);
    near(value(&scored, "score"), 1.0);
    near(value(&scored, "unparsed"), 0.25);
    assert_eq!(
        (scored.n, scored.unparsed.as_slice()),
        (4, &["c".to_owned()][..])
    );
    near(
        scored.figures["accuracy"].groups["counting"].value.unwrap(),
        0.5,
    );
    assert_eq!(scored.judged.unwrap().template, "candor's own");
}

#[test]
fn without_a_judge_only_rules_can_score() {
    let dir = tempfile::tempdir().unwrap();
    let all = sheet(dir.path(), None);
    let message = score(Benchmark::Own, &all.files, &all.answers, None, 0)
        .unwrap_err()
        .to_string();
    assert!(message.contains("--judge"), "{message}");

    let ruled: Vec<&str> = ANSWERS.lines().skip(1).collect();
    let sheet = Sheet {
        answers: vec![file(dir.path(), "ruled.jsonl", &ruled.join("\n"))],
        ..sheet(dir.path(), Some(3))
    };
    let (_, scored) = score(Benchmark::Own, &sheet.files, &sheet.answers, None, 0).unwrap();
    assert_eq!((scored.n, scored.limit), (3, Some(3)));
    assert!(scored.judged.is_none() && scored.figures["score"].value.is_none());
}
