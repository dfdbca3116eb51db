use std::path::PathBuf;

use super::*;

fn run(name: &str, answers: &[(&str, &str, &str)]) -> Run {
    let verdict = |&(id, image, answer): &(&str, &str, &str)| Verdict {
        id: id.to_owned(),
        image: image.to_owned(),
        question: format!("Q{id}?"),
        answer: answer.to_owned(),
        ..Verdict::default()
    };
    Run {
        name: name.to_owned(),
        verdicts: [(Benchmark::Mmhal, answers.iter().map(verdict).collect())].into(),
        ..Run::default()
    }
}

fn two() -> [Run; 2] {
    [
        run(
            "old",
            &[
                ("0", "a.png", "one"),
                ("1", "b.png", "one"),
                ("2", "c.png", "one"),
                ("3", "d.png", "same"),
                ("4", "d.png", "one"),
            ],
        ),
        run(
            "new",
            &[
                ("0", "a.png", "two"),
                ("1", "b.png", "two"),
                ("2", "c.png", "two"),
                ("3", "d.png", "same"),
                ("4", "d.png", "two"),
                ("9", "e.png", "two"),
            ],
        ),
    ]
}

fn log(folder: &Path, rows: &[(&str, [&str; 2], &str)]) -> PathBuf {
    let line = |(id, [first, second], said): &(&str, [&str; 2], &str)| {
        format!(
            "{{\"id\":\"{id}\",\"image\":\"x.png\",\"conversations\":[{{\"from\":\"human\",\"value\":\"<image>\\nQ\"}}],\
             \"outputs\":[\"{first}\",\"{second}\"],{said}}}\n"
        )
    };
    let path = folder.join("preferences.log.jsonl");
    std::fs::write(&path, rows.iter().map(line).collect::<String>()).unwrap();
    path
}

#[test]
fn wins_ties_and_losses_are_counted_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let both = ["one", "two"];
    let path = log(
        dir.path(),
        &[
            ("mmhal/0", both, r#""fewer_hallucinations":"second""#),
            (
                "mmhal/1",
                both,
                r#""fewer_hallucinations":"tie","more_helpful":"second""#,
            ),
            ("mmhal/2", both, r#""fewer_hallucinations":"first""#),
        ],
    );
    let [old, new] = two();
    let found = People::read(&path, [&old, &new], 0).unwrap();
    let counts = |tally: &Tally| (tally.wins, tally.ties, tally.losses);
    assert_eq!(counts(&found.truer), (1, 1, 1));
    assert_eq!(counts(&found.preferred), (2, 0, 1));
    assert_eq!(found.truer.rate, Some(0.5));
    assert_eq!(found.preferred.rate, Some(2.0 / 3.0));
    // Three images of one item each, two for and one against: any of the 8 outcomes is as far from one half.
    assert_eq!(
        (found.preferred.p, found.preferred.is_exact),
        (Some(1.0), true)
    );
    // "3" is answered the same, "4" is not judged, "9" was asked of one run only.
    assert_eq!((found.n_equal, found.n_open), (1, 1));
    assert_eq!(found.items["mmhal/1"].truer, Winner::Tie);
    assert_eq!(found.runs, ["old", "new"]);
}

#[test]
fn a_log_of_other_answers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = two();
    for (row, expected) in [
        ("mmhal/9", "no item that both runs answered"),
        ("mmhal/0", "about other answers"),
    ] {
        let path = log(
            dir.path(),
            &[(row, ["two", "one"], r#""fewer_hallucinations":"first""#)],
        );
        let message = People::read(&path, [&old, &new], 0)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains(expected) && message.contains(row),
            "{message}"
        );
    }
}

#[test]
fn the_project_holds_what_differs_and_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("the \"images\"");
    std::fs::create_dir(&images).unwrap();
    for name in ["a.png", "b.png", "c.png", "d.png"] {
        std::fs::write(images.join(name), "x").unwrap();
    }
    let [old, new] = two();
    let out = dir.path().join("people");
    assert_eq!(project::write(&out, [&old, &new], &images, 7).unwrap(), 4);
    let pairs: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("pairs.json")).unwrap()).unwrap();
    let names: Vec<&str> = pairs
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["mmhal/0", "mmhal/1", "mmhal/2", "mmhal/4"]);
    assert_eq!(pairs[0]["conversations"][0]["value"], "<image>\nQ0?");
    assert_eq!(
        (&pairs[0]["output_1"], &pairs[0]["output_2"]),
        (&"one".into(), &"two".into())
    );
    let project: toml::Table =
        toml::from_str(&std::fs::read_to_string(out.join("project.toml")).unwrap()).unwrap();
    assert_eq!(project["seed"].as_integer(), Some(7));
    let folder = project["import"][0]["images"].as_str().unwrap();
    assert_eq!(Path::new(folder), images.canonicalize().unwrap());
    let again = project::write(&out, [&old, &new], &images, 7)
        .unwrap_err()
        .to_string();
    assert!(again.contains("there already"), "{again}");
    std::fs::remove_file(images.join("c.png")).unwrap();
    let message = project::write(&dir.path().join("b"), [&old, &new], &images, 7)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("c.png") && message.contains("mmhal/2"),
        "{message}"
    );
}
