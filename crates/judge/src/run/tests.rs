use super::*;
use crate::compare::compare;

#[test]
fn a_folder_without_verdicts_and_verdicts_that_are_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("policy");
    std::fs::create_dir_all(folder.join("verdicts")).unwrap();
    let message = Run::open(&folder).unwrap_err().to_string();
    assert!(message.contains("no verdicts"), "{message}");
    let write = |text: &str| std::fs::write(folder.join("verdicts/pope.jsonl"), text).unwrap();
    let sound = r#"{"id":"random-1","image":"a.png","group":"random","question":"Q","answer":"No.","measures":{"accuracy":[0.0,1.0]}}"#;
    write(sound);
    let run = Run::open(&folder).unwrap();
    assert_eq!((run.name.as_str(), &run.results), ("policy", &None));
    let part = run.verdicts[&Benchmark::Pope][0].part("accuracy");
    assert_eq!(part.map(f64::to_bits), [0.0, 1.0].map(f64::to_bits));
    for (second, said) in [
        ("{\"id\":1}", "line 2"),
        // What no number can be made of.
        (&sound.replace("\"measures\"", "\"right\""), "measures"),
        (&sound.replace("0.0,1.0", "1e999,1.0"), "line 2"),
        (sound, "second verdict"),
    ] {
        write(&format!("{sound}\n{second}\n"));
        let message = Run::open(&folder).unwrap_err().to_string();
        assert!(
            message.contains("pope.jsonl") && message.contains(said),
            "{message}"
        );
    }
}

#[test]
fn answers_that_nobody_judged_are_opened_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("answers/mmhal.jsonl");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let rows = [
        r#"{"id":"0","image":"a.png","question":"What?","answer":"Two dogs."}"#,
        r#"{"id":"1","image":"a.png","question":"Why?","answer":""}"#,
    ];
    std::fs::write(&path, rows.join("\n")).unwrap();
    let run = Run::open(dir.path()).unwrap();
    let items = &run.verdicts[&Benchmark::Mmhal];
    assert_eq!(
        (items[0].question.as_str(), items[0].answer.as_str()),
        ("What?", "Two dogs.")
    );
    assert!((items[0].part("words")[0] - 2.0).abs() < 1e-12);
    let found = compare(&[run], 0);
    let keys: Vec<&str> = found.rows.iter().map(|row| row.measure.as_str()).collect();
    assert_eq!(keys, ["words"]);
    assert!(
        found
            .warnings
            .iter()
            .any(|text| text.contains("nobody has judged")),
        "{:?}",
        found.warnings
    );
    std::fs::write(&path, r#"{"id":"0","answer":"x"}"#).unwrap();
    let message = Run::open(dir.path()).unwrap_err().to_string();
    assert!(
        message.contains("mmhal.jsonl") && message.contains("answer 1"),
        "{message}"
    );
}

#[test]
fn new_answers_are_not_shown_with_the_verdicts_on_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let old = Verdict {
        id: "0".to_owned(),
        image: "a.png".to_owned(),
        question: "What?".to_owned(),
        answer: "old".to_owned(),
        measures: [("score".to_owned(), [6.0, 1.0])].into(),
        ..Verdict::default()
    };
    let verdicts = [(Benchmark::Mmhal, vec![old])].into();
    Results::default().write(dir.path(), &verdicts).unwrap();
    let path = dir.path().join("answers/mmhal.jsonl");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let new = r#"{"id":"0","image":"a.png","question":"What?","answer":"new"}"#;
    std::fs::write(&path, new).unwrap();
    Results::discard(dir.path()).unwrap();
    let run = Run::open(dir.path()).unwrap();
    let answers: Vec<&str> = run.verdicts[&Benchmark::Mmhal]
        .iter()
        .map(|verdict| verdict.answer.as_str())
        .collect();
    assert_eq!((answers, &run.results), (vec!["new"], &None));
    let warnings = compare(&[run], 0).warnings;
    assert!(
        warnings.len() == 1 && warnings[0].contains("nobody has judged"),
        "{warnings:?}"
    );
    // What is not there need not be removed.
    Results::discard(dir.path()).unwrap();
}

#[test]
fn runs_of_folders_with_one_name_are_told_apart_by_the_folders_above() {
    let dir = tempfile::tempdir().unwrap();
    let named = |folders: &[&str]| {
        let folders: Vec<PathBuf> = folders.iter().map(|of| dir.path().join(of)).collect();
        let verdicts = [(Benchmark::Pope, vec![Verdict::default()])].into();
        for folder in &folders {
            Results::default().write(folder, &verdicts).unwrap();
        }
        let runs = Run::open_all(&folders).unwrap();
        runs.into_iter().map(|run| run.name).collect::<Vec<_>>()
    };
    for (folders, expected) in [
        (
            &["runs/sft/pope", "runs/rlhf/pope"][..],
            &["sft/pope", "rlhf/pope"][..],
        ),
        (
            &["s/step-100/pope", "s/step-200/pope", "other"],
            &["step-100/pope", "step-200/pope", "other"],
        ),
        // As many as are needed of each.
        (
            &["a/x/pope", "b/x/pope", "b/y/pope"],
            &["a/x/pope", "b/x/pope", "y/pope"],
        ),
        (&["a/x/pope", "a/x/pope"], &["pope", "pope"]),
    ] {
        assert_eq!(named(folders), expected);
    }
}
