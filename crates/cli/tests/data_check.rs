//! `candor data check` and `candor data convert` as people run them.

use std::path::Path;
use std::process::{Command, Output};

const WEBP: &[u8] = include_bytes!("../../data/tests/golden/webp/lossy.webp");

fn check(folder: &Path, file: &str, content: &[u8], arguments: &[&str]) -> (Option<i32>, String) {
    std::fs::write(folder.join(file), content).unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_candor"))
        .current_dir(folder)
        .args(["data", "check", file])
        .args(arguments)
        .output()
        .unwrap();
    let said = [stdout, stderr].concat();
    (status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn rows_without_images_are_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let rows = br#"[{"id": "a", "image": null, "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}]"#;
    let checked = check(
        dir.path(),
        "a.json",
        rows,
        &["--format", "llava", "--images", "."],
    );
    assert_eq!(
        checked,
        (Some(0), "a.json: 1 conversations, 0 images\n".into())
    );
}

#[test]
fn rows_that_no_stage_takes_for_their_places_of_images_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let row = |image: &str, asked: &str| {
        format!(
            r#"{{"id": "a", {image}"conversations": [{{"from": "human", "value": "{asked}"}}, {{"from": "gpt", "value": "A"}}]}}"#
        )
    };
    // A key that is no field's, and an image that no turn shows.
    let rows = [
        row("\"image\": \"x.png\", ", "<image>"),
        row("\"Image\": \"x.png\", ", "<image>"),
        row("\"image\": \"x.png\", ", "What?"),
    ];
    let rows = format!("[{}]", rows.join(","));
    let (code, said) = check(
        dir.path(),
        "a.json",
        rows.as_bytes(),
        &["--format", "llava"],
    );
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "a.json: 3 conversations, 1 images\n",
        "a.json: 2 of 3 rows have more or fewer `<image>` than images, the first of them row 1;",
    ] {
        assert!(said.contains(part), "{said}\nlacks {part}");
    }
}

#[test]
fn every_image_is_decoded_and_all_that_cannot_be_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x07.webp"), WEBP).unwrap();
    let questions = |ids: &[u64]| {
        let rows: Vec<String> = ids
            .iter()
            .map(|id| format!(r#"{{"image_id": {id}, "question": "Q?", "question_id": {id}}}"#))
            .collect();
        format!(r#"{{"questions": [{}]}}"#, rows.join(","))
    };
    let arguments = [
        "--format",
        "vqa-v2-questions",
        "--images",
        ".",
        "--image-names",
        "x{:02}.webp",
    ];
    let (code, said) = check(dir.path(), "q.json", questions(&[7]).as_bytes(), &arguments);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "q.json: 1 questions, 1 images, all decoded\n")
    );
    std::fs::write(dir.path().join("x08.webp"), &WEBP[..WEBP.len() / 2]).unwrap();
    let (code, said) = check(
        dir.path(),
        "q.json",
        questions(&[7, 8, 9]).as_bytes(),
        &arguments,
    );
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "q.json: 2 of 3 images cannot be used",
        "row 1: image \"x08.webp\" is not a readable",
        "row 2: image \"x09.webp\" is not in .",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn preferences_of_trl_are_known_and_their_kind_told_by_content() {
    let dir = tempfile::tempdir().unwrap();
    let parquet = include_bytes!("../../annotate/tests/imports/trl.parquet");
    let arguments = ["--format", "trl", "--images", "."];
    let (code, said) = check(dir.path(), "a.parquet", parquet, &arguments);
    assert_eq!(
        (code, said.as_str()),
        (Some(0), "a.parquet: 2 comparisons, 1 images, all decoded\n")
    );
    for (format, words) in [
        ("pope", "this is a parquet file"),
        ("llava", "missing field"),
    ] {
        let (code, said) = check(dir.path(), "a.parquet", parquet, &["--format", format]);
        assert_eq!(code, Some(2));
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_folder_is_checked_as_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("set/data");
    std::fs::create_dir_all(&data).unwrap();
    let pair = |id: u8| format!(r#"{{"id": {id}, "prompt": "Q", "chosen": "a", "rejected": "b"}}"#);
    for (name, rows) in [
        ("train-00000-of-00002.jsonl", [pair(0), pair(1)].join("\n")),
        ("train-00001-of-00002.jsonl", pair(2)),
        ("test-00000-of-00001.jsonl", pair(3)),
    ] {
        std::fs::write(data.join(name), rows).unwrap();
    }
    let talk = br#"{"prompt": "Q", "completion": "A"}"#;
    let checked = check(dir.path(), "talk.jsonl", talk, &["--format", "messages"]);
    let expected = "talk.jsonl: 1 conversations, 0 images\n";
    assert_eq!(checked, (Some(0), expected.into()));
    let Output { status, stdout, .. } = Command::new(env!("CARGO_BIN_EXE_candor"))
        .current_dir(dir.path())
        .args(["data", "check", "set"])
        .output()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let said = String::from_utf8(stdout).unwrap();
    assert_eq!(said, "set: 3 comparisons (trl), 0 images\n");
}

#[test]
fn an_image_of_a_folder_that_cannot_be_used_is_told_with_its_own_file_and_row() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.webp", "b.webp"] {
        std::fs::write(dir.path().join(name), WEBP).unwrap();
    }
    let set = dir.path().join("set");
    std::fs::create_dir(&set).unwrap();
    let row = |image: &str| {
        format!(
            r#"{{"id": "1", "image": "{image}", "conversations": [{{"from": "human", "value": "<image>"}}, {{"from": "gpt", "value": "A"}}]}}"#
        )
    };
    let first = [row("a.webp"), row("a.webp")].join("\n");
    std::fs::write(set.join("train-00000-of-00002.jsonl"), first).unwrap();
    let second = |last: &str| {
        let rows = [row("a.webp"), row("b.webp"), row(last)].join("\n");
        std::fs::write(set.join("train-00001-of-00002.jsonl"), rows).unwrap();
    };
    for format in ["llava", "ppo-prompts"] {
        let run = || {
            let ran = Command::new(env!("CARGO_BIN_EXE_candor"))
                .current_dir(dir.path())
                .args(["data", "check", "set", "--images", ".", "--format", format])
                .output()
                .unwrap();
            let said = [ran.stdout, ran.stderr].concat();
            String::from_utf8(said).unwrap()
        };
        second("b.webp");
        let said = run();
        assert!(said.contains("2 images, all decoded"), "{said}");
        second("gone.webp");
        let said = run();
        for part in [
            "set/train-00001-of-00002.jsonl: 1 of 2 images cannot be used",
            "row 2: image \"gone.webp\" is not in .",
        ] {
            assert!(said.contains(part), "{said}\nlacks {part}");
        }
    }
}

#[test]
fn the_format_of_comparisons_is_told_and_a_image_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let parquet = include_bytes!("../../reward/tests/runs/rlhf_v.parquet");
    let (code, said) = check(dir.path(), "a.json", parquet, &["--images", "."]);
    let expected = "a.json: 4 comparisons (trl), 3 images, all decoded\n";
    assert_eq!((code, said.as_str()), (Some(0), expected));
    let row = |more: &str| {
        format!(
            r#"{{"id": 1, "conversations": [{{"from": "human", "value": "Q"}}], "output_1": "a", "output_2": "b"{more}}}"#
        )
    };
    let judged = row(r#", "preference": 1, "hallucination": true"#);
    for (rows, expected) in [
        (format!("[{judged}]"), "1 comparisons (llava), 0 images"),
        (format!("[{}]", row("")), "1 answer pairs (llava), 0 images"),
        (
            format!("[{judged}, {}]", row("")),
            "2 comparisons, 1 of them not judged (llava), 0 images",
        ),
    ] {
        let checked = check(dir.path(), "a.jsonl", rows.as_bytes(), &[]);
        assert_eq!(checked, (Some(0), format!("a.jsonl: {expected}\n")));
    }
    let (code, said) = check(dir.path(), "a.json", br#"{"questions": []}"#, &[]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("its first row has `questions`") && said.contains("preference_log ("),
        "{said}"
    );
}

#[test]
fn conversions_say_what_they_lose() {
    let dir = tempfile::tempdir().unwrap();
    let rows = r#"{"id": "a", "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}], "score": 1}"#;
    std::fs::write(dir.path().join("in.jsonl"), rows).unwrap();
    let convert = |more: &[&str]| {
        let words = ["data", "convert", "in.jsonl", "--from", "messages"];
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_candor"))
            .current_dir(dir.path())
            .args(words)
            .args(["--to", "llava", "--out", "out.json"])
            .args(more)
            .output()
            .unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        (status.code(), said)
    };
    let (code, said) = convert(&["--strict"]);
    assert_eq!(code, Some(2));
    assert!(
        said.contains("llava cannot hold field score of 1 rows"),
        "{said}"
    );
    assert!(!dir.path().join("out.json").exists());
    let done = "out.json: 1 rows of 1\nnot carried over: field score of 1 rows\n";
    assert_eq!(convert(&[]), (Some(0), done.to_owned()));
    let expected = r#"[
{"id":"a","conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Hello."}]}
]
"#;
    let written = std::fs::read_to_string(dir.path().join("out.json")).unwrap();
    assert_eq!(written, expected);
}
