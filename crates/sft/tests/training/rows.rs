//! Rows that cannot be trained on: they stop the run with all their names, or are left out and counted.

use std::fs;
use std::path::Path;

use candor_data::formats::llava;
use candor_data::{Conversation, Turn};
use serde_json::{Value, json};

use crate::out;
use crate::tiny::{prepared, sft};

/// Rows of the same id, as the public sets have them: two good ones, and between them one of each fault.
fn odd_rows() -> Vec<Conversation> {
    let row = |image: Option<&str>, turns: &[&str]| Conversation {
        id: "0".to_owned(),
        image: image.map(str::to_owned),
        turns: turns
            .iter()
            .enumerate()
            .map(|(i, said)| match i % 2 {
                0 => Turn::human(*said),
                _ => Turn::gpt(*said),
            })
            .collect(),
    };
    let asked = "<image>\nWhat color is it?";
    vec![
        row(Some("red.png"), &[asked, "It is red."]),
        row(Some("red.png"), &["What color is it?", "It is red."]),
        row(Some("red.png"), &[asked]),
        row(Some("red.png"), &[asked, "It is red.", "Is it?", " "]),
        row(Some("nobody.png"), &[asked, "It is red."]),
        row(None, &["Say it.", &"It is red. ".repeat(60)]),
        row(Some("cut.png"), &[asked, "It is red."]),
        row(None, &["Say the number 1.", "The number is 1. Yes."]),
    ]
}

/// `odd.json` with these of the rows, and an image that ends in its middle.
fn write_odd(folder: &Path, file: &str, keep: impl Fn(usize) -> bool) {
    let rows = odd_rows().into_iter().enumerate();
    let rows: Vec<_> = rows.filter(|(i, _)| keep(*i)).map(|(_, row)| row).collect();
    llava::write(&folder.join(file), &rows).unwrap();
    let whole = fs::read(folder.join("red.png")).unwrap();
    fs::write(folder.join("cut.png"), &whole[..whole.len() / 2]).unwrap();
}

fn sources(file: &str) -> String {
    format!(
        r#"data.sources=[{{name="talk",format="llava",path="talk.json"}},{{name="odd",format="llava",path="{file}"}}]"#
    )
}

#[test]
fn all_bad_rows_are_named_at_once_by_file_source_row_and_id() {
    let folder = prepared();
    let path = folder.path();
    write_odd(path, "odd.json", |_| true);
    let message = sft(path, &[&out(path, "bad"), &sources("odd.json")])
        .unwrap_err()
        .to_string();
    let lines: Vec<&str> = message.lines().collect();
    assert!(lines[0].contains("5 rows cannot be used"), "{message}");
    let expected: [(usize, &[&str]); 5] = [
        (1, &["0 `<image>` placeholders", "has 1 images"]),
        (2, &["no gpt turn"]),
        (3, &["turn 3 is blank"]),
        (4, &["no image \"nobody.png\""]),
        (5, &["more than the 200 allowed", "data.max_tokens"]),
    ];
    for ((row, parts), line) in expected.iter().zip(&lines[1..]) {
        let name = format!("odd.json: row {row} (source \"odd\", id \"0\"), field `");
        assert!(line.contains(&name), "{line}\nlacks {name}");
        for part in *parts {
            assert!(line.contains(part), "{line}\nlacks {part}");
        }
    }
    assert!(lines[6].contains("data.on_bad_row = \"skip\""), "{message}");
    assert!(
        !path.join("bad/resolved.toml").exists(),
        "nothing was to be begun"
    );
}

/// They are tokenised a part at a time, and all bad ones are known before anything is trained.
#[test]
fn bad_rows_of_a_long_file_are_named_wherever_they_stand() {
    let folder = prepared();
    let path = folder.path();
    let good = odd_rows().pop().unwrap();
    let mut rows = vec![good; 2100];
    rows[3].turns.truncate(1);
    rows[2077].turns.truncate(1);
    llava::write(&path.join("odd.json"), &rows).unwrap();
    let message = sft(path, &[&out(path, "bad"), &sources("odd.json")])
        .unwrap_err()
        .to_string();
    for part in [
        "2 rows cannot be used",
        "odd.json: row 3 (",
        "odd.json: row 2077 (",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn a_damaged_image_is_named_with_the_rows_that_show_it() {
    let folder = prepared();
    let path = folder.path();
    write_odd(path, "odd.json", |i| [0, 6, 7].contains(&i));
    let message = sft(path, &[&out(path, "bad"), &sources("odd.json")])
        .unwrap_err()
        .to_string();
    for part in [
        "odd.json: row 1 (source \"odd\", id \"0\"), field `image`",
        "cut.png",
        "data.on_bad_row",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn a_run_that_skips_bad_rows_is_one_without_them_and_says_so() {
    let folder = prepared();
    let path = folder.path();
    write_odd(path, "odd.json", |_| true);
    write_odd(path, "good.json", |i| i == 0 || i == 7);
    let skip = "data.on_bad_row=\"skip\"";
    sft(path, &[&out(path, "skip"), &sources("odd.json"), skip]).unwrap();
    sft(path, &[&out(path, "good"), &sources("good.json")]).unwrap();
    for file in ["metrics.jsonl", "model/model.safetensors"] {
        let [skipped, good] = ["skip", "good"].map(|run| fs::read(path.join(run).join(file)));
        assert!(skipped.unwrap() == good.unwrap(), "{file} differs");
    }
    let result = fs::read_to_string(path.join("skip/result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    let expected = json!({
        "n_rows": 10,
        "n_skipped": 6,
        "skipped": {
            "too_long": 1, "missing_image": 1, "unreadable_image": 1, "empty_answer": 2, "placeholder_count": 1,
        },
    });
    assert_eq!(result, expected);
    let listed = fs::read_to_string(path.join("skip/skipped.jsonl")).unwrap();
    let listed: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = listed.iter().map(|row| {
        assert!(row["file"].as_str().unwrap().ends_with("odd.json"));
        assert_eq!((&row["source"], &row["id"]), (&json!("odd"), &json!("0")));
        (
            row["row"].as_u64().unwrap(),
            row["reason"].as_str().unwrap(),
        )
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (1, "placeholder_count"),
            (2, "empty_answer"),
            (3, "empty_answer"),
            (4, "missing_image"),
            (5, "too_long"),
            (6, "unreadable_image"),
        ]
    );
    // A run that stops at bad rows leaves no trace of the question.
    assert!(!path.join("good/skipped.jsonl").exists());
    assert!(!path.join("good/result.json").exists());
}

#[test]
fn a_source_of_which_nothing_is_left_is_no_source() {
    let folder = prepared();
    let path = folder.path();
    write_odd(path, "odd.json", |i| i == 1 || i == 4);
    let sets = [
        &*out(path, "none"),
        &sources("odd.json"),
        "data.on_bad_row=\"skip\"",
    ];
    let message = sft(path, &sets).unwrap_err().to_string();
    for part in ["source \"odd\"", "1 missing_image", "1 placeholder_count"] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn rows_without_images_train_alone() {
    let folder = prepared();
    let path = folder.path();
    write_odd(path, "text.json", |i| i == 7);
    let sets = [
        &*out(path, "text"),
        r#"data.sources=[{name="text",format="llava",path="text.json"}]"#,
        "data.batch=1",
        "data.micro_batch=1",
    ];
    sft(path, &sets).unwrap();
    let losses = crate::losses(&path.join("text"));
    assert!(losses[5] < losses[0], "{losses:?}");
}
