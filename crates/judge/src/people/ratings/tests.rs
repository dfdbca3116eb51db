use std::path::PathBuf;

use super::*;
use crate::people::project;

/// A run of MMHal-Bench: image, answer, and the judge's score.
fn run(name: &str, answers: &[(&str, &str, Option<f64>)]) -> Run {
    let verdict = |(id, &(image, answer, score)): (usize, &(&str, &str, Option<f64>))| {
        let mut verdict = Verdict {
            id: id.to_string(),
            image: image.to_owned(),
            question: format!("Q{id}?"),
            answer: answer.to_owned(),
            ..Verdict::default()
        };
        if let Some(score) = score {
            verdict.measures.insert("score".to_owned(), [score, 1.0]);
            let wrong = f64::from(u8::from(score < 3.0));
            verdict
                .measures
                .insert("hallucination".to_owned(), [wrong, 1.0]);
        }
        verdict
    };
    let verdicts = answers.iter().enumerate().map(verdict).collect();
    Run {
        name: name.to_owned(),
        verdicts: [(Benchmark::Mmhal, verdicts)].into(),
        ..Run::default()
    }
}

fn two() -> [Run; 2] {
    [
        run(
            "old",
            &[("a.png", "one", Some(1.0)), ("b.png", "two", Some(6.0))],
        ),
        run("new", &[("a.png", "three", Some(5.0)), ("b.png", "", None)]),
    ]
}

fn file(folder: &Path, rows: &[(&str, &str, &[u8], Option<u8>)]) -> PathBuf {
    let line = |&(id, answer, given, decided): &(&str, &str, &[u8], Option<u8>)| {
        let given = given.iter().map(
            |rating| serde_json::json!({"annotator": "anna", "rating": rating, "unix_secs": 1}),
        );
        let mut row = serde_json::json!({
            "id": id, "image": "x.png", "question": "Q", "answer": answer, "ratings": given.collect::<Vec<_>>(),
        });
        if let Some(decided) = decided {
            row["decided"] = decided.into();
        }
        format!("{row}\n")
    };
    let path = folder.join("ratings.jsonl");
    std::fs::write(&path, rows.iter().map(line).collect::<String>()).unwrap();
    path
}

fn assert_close(found: Option<f64>, expected: f64, what: &str) {
    let found = found.unwrap_or_else(|| panic!("{what} is not defined"));
    assert!((found - expected).abs() < 1e-12, "{what}: {found}");
}

#[test]
fn scores_and_agreement_are_those_worked_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(
        dir.path(),
        &[
            ("old/mmhal/0", "one", &[0, 2], None),
            ("old/mmhal/1", "two", &[4, 4], None),
            ("new/mmhal/0", "three", &[2, 5], Some(6)),
        ],
    );
    let found = Ratings::read(&path, &two(), 0).unwrap();
    let [old, new] = found.runs.as_slice() else {
        panic!("{:?}", found.runs);
    };
    // Means 1 and 4; both ratings of the first are below 3, none of the second.
    assert_eq!((old.n_items, old.n_ratings), (2, 4));
    assert_eq!(
        (old.score.value, old.hallucination.value),
        (Some(2.5), Some(0.5))
    );
    // What was decided stands alone.
    assert_eq!((new.n_items, new.n_ratings), (1, 2));
    assert_eq!(
        (new.score.value, new.hallucination.value),
        (Some(6.0), Some(0.0))
    );
    // Six ratings, sum 17, squares 65: 2 (6 · 65 − 289) = 202 of all; within the items 8, 0 and 18; 1 − 5 · 26 / 202.
    assert_close(found.alpha.value, 1.0 - 130.0 / 202.0, "alpha");
    // Below 3: yes yes, no no, yes no. Coincidences that differ 2, n = 6, three of each: 1 − 5 · 2 / (36 − 18).
    assert_close(
        found.alpha_hallucinated.value,
        1.0 - 10.0 / 18.0,
        "alpha of halves",
    );
    assert_eq!(found.n_open, 1, "the empty answer");
    let judge = found.judge.unwrap();
    // People 1, 4, 6; the judge 1, 6, 5: differences 0, 2, −1.
    assert_eq!(judge.n, 3);
    assert_close(judge.difference.value, 1.0 / 3.0, "difference");
    // Ranks 1 2 3 and 1 3 2: products of deviations 1 + 0 + 0 over 2.
    assert_close(judge.spearman.value, 0.5, "spearman");
    // Both say of the first alone that it hallucinates.
    assert_close(judge.kappa.value, 1.0, "kappa");
}

#[test]
fn an_answer_hallucinates_by_most_of_its_ratings_and_not_by_their_mean() {
    let dir = tempfile::tempdir().unwrap();
    let judged = [
        ("a.png", "one", Some(1.0)),
        ("b.png", "two", Some(6.0)),
        ("c.png", "three", Some(6.0)),
        ("d.png", "four", Some(5.0)),
    ];
    let mut run = run("old", &judged);
    // Two of three ratings of the judge say that the last one hallucinates, though their mean is 3.
    let verdict = &mut run.verdicts.get_mut(&Benchmark::Mmhal).unwrap()[3];
    for (key, ratio) in [("score", [9.0, 3.0]), ("hallucination", [2.0, 3.0])] {
        verdict.measures.insert(key.to_owned(), ratio);
    }
    let path = file(
        dir.path(),
        &[
            // A mean of 10 / 3, and two of three below 3.
            ("old/mmhal/0", "one", &[2, 2, 6], None),
            // A mean of 8 / 3, and one of three.
            ("old/mmhal/1", "two", &[0, 4, 4], None),
            // One half is not most; the mean is 2.5.
            ("old/mmhal/2", "three", &[2, 3], None),
            ("old/mmhal/3", "four", &[0, 1, 1], None),
        ],
    );
    let found = Ratings::read(&path, &[run], 0).unwrap();
    // Both say so of the first and the last.
    assert_close(found.judge.unwrap().kappa.value, 1.0, "kappa");
}

#[test]
fn rows_of_other_answers_and_runs_of_one_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = two();
    for (id, answer, words) in [
        ("old/mmhal/7", "one", "is no answer of the runs"),
        ("old/mmhal/0", "two", "is about another answer"),
    ] {
        let path = file(dir.path(), &[(id, answer, &[3], None)]);
        let runs = [old.clone(), new.clone()];
        let message = Ratings::read(&path, &runs, 0).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains(id), "{message}");
    }
    let path = file(dir.path(), &[("old/mmhal/0", "one", &[3], None)]);
    let twice = [old.clone(), old];
    let message = Ratings::read(&path, &twice, 0).unwrap_err().to_string();
    assert!(message.contains("the same name"), "{message}");
}

#[test]
fn the_project_has_every_free_answer_of_all_runs() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.png", "b.png"] {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    let out = dir.path().join("ratings");
    assert_eq!(
        project::write_to_rate(&out, &two(), dir.path(), 7).unwrap(),
        4
    );
    let rows: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("answers.json")).unwrap()).unwrap();
    assert_eq!(
        rows[2],
        serde_json::json!({"id": "new/mmhal/0", "image": "a.png", "question": "Q0?", "answer": "three"})
    );
    let text = std::fs::read_to_string(out.join("project.toml")).unwrap();
    assert!(
        text.contains("seed = 7") && text.contains("format = \"answers\""),
        "{text}"
    );
    // Three ratings on two sides always have a majority.
    assert!(
        text.contains("overlap = 3") && text.contains("dispute = \"any_difference\""),
        "{text}"
    );
    let message = project::write_to_rate(&out, &two(), dir.path(), 7)
        .unwrap_err()
        .to_string();
    assert!(message.contains("it is there already"), "{message}");
}
