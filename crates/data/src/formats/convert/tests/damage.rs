//! Files that are cut off or no text, rows that no format can hold, and what of the others is lost.

use serde_json::{Value, json};

use super::{Folder, From, Options, To};

#[test]
fn documented_examples_are_read_and_what_is_cut_off_is_not() {
    let folder = Folder::new();
    let page = include_str!("../../../../../../docs/formats.md");
    for (heading, from, to) in [
        ("TRL conversations", From::Messages, To::Llava),
        ("ShareGPT", From::Sharegpt, To::Llava),
        ("POVID", From::Povid, To::Trl),
        ("VLFeedback", From::Vlfeedback, To::Preference),
    ] {
        let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
        let example = section.split("```").nth(1).unwrap();
        let (_, example) = example.split_once('\n').unwrap();
        let example = example.trim_end();
        folder.write("in", example);
        folder.convert("in", from, "whole.jsonl", to);
        let n_rows = example.lines().count();
        assert_eq!(folder.rows("whole.jsonl").len(), n_rows, "{heading}");
        // What ends with a line is whole.
        let example = example.lines().next().unwrap();
        for end in (0..example.len()).step_by(7) {
            folder.write("in", &example.as_bytes()[..end]);
            let message = folder.refusal("in", from, "cut.jsonl", to);
            let section = format!("docs/formats.md, \"{heading}\"");
            assert!(message.contains(&section), "cut at {end}: {message}");
        }
    }
    folder.write("in", b"{}\n{\"\xFF\"}\n");
    let converted = folder.with(
        "in",
        From::Candidates,
        "a.json",
        To::Trl,
        Options::default(),
    );
    let message = converted.unwrap_err().to_string();
    assert!(message.contains("line 1, field `id`: missing"), "{message}");
    folder.write("in", b"\n{\"\xFF\"}\n");
    let message = folder.refusal("in", From::Candidates, "a.json", To::Trl);
    let expected = "line 2: the byte at offset 3 is not UTF-8; convert the file to UTF-8";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn rows_have_a_place_for_each_image_and_none_in_an_answer() {
    let folder = Folder::new();
    let asked = |question: &str| json!({"from": "human", "value": question});
    let said = |answer: &str| json!({"from": "gpt", "value": answer});
    let sampling = json!({
        "model": "m", "model_fingerprint": "f", "seed": 0, "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 9,
        "batch_rows": 1, "chunk": 1, "index": 0, "finished": [true, true], "n_tokens": [1, 1],
    });
    let rows = [
        (From::Llava, To::Sharegpt, json!({}), said("A.")),
        (
            From::Preference,
            To::Preference,
            json!({"output_1": "A.", "output_2": "B."}),
            said("A."),
        ),
        (
            From::PreferenceLog,
            To::Trl,
            json!({"outputs": ["A.", "B."], "fewer_hallucinations": "first"}),
            Value::Null,
        ),
        (
            From::Candidates,
            To::Preference,
            json!({"outputs": ["A.", "B."], "sampling": sampling}),
            Value::Null,
        ),
    ];
    for (from, to, row, last) in rows {
        let with = |turns: &[Value]| {
            let mut row = row.clone();
            let last = Some(last.clone()).filter(|turn| !turn.is_null());
            let turns: Vec<Value> = turns.iter().cloned().chain(last).collect();
            (row["id"], row["image"]) = (json!("a"), json!("a.png"));
            row["conversations"] = json!(turns);
            folder.write("in", json!([row]).to_string());
        };
        with(&[asked("<image>\nWhat?")]);
        folder.convert("in", from, "good.jsonl", to);
        for (turns, expected) in [
            (
                vec![asked("What?")],
                "row 0, field `conversations`: found 0 <image> and an image",
            ),
            (
                vec![asked("What?"), said("<image>"), asked("And?")],
                "row 0, field `conversations[1].value`: found <image> in an answer",
            ),
        ] {
            with(&turns);
            let message = folder.refusal("in", from, "bad.jsonl", to);
            assert!(message.contains(expected), "{from:?}: {message}");
        }
    }
}

#[test]
fn what_is_lost_is_counted_by_rows_and_by_pairs() {
    let folder = Folder::new();
    let row = |id: &str, images: &[&str], ratings: &[u32]| {
        let completions = ratings.iter().map(|rating| {
            json!({"model": "m", "response": format!("Of {rating}."), "annotations": {"Helpfulness": {"Rating": rating}}})
        });
        let completions: Vec<Value> = completions.collect();
        json!({"id": id, "images": images, "prompt": "What?", "completions": completions})
    };
    let rows = [
        row("three", &["a.png"], &[1, 2, 3]),
        row("one", &["a.png"], &[1]),
        row("none", &["a.png"], &[]),
        row("two images", &["a.png", "b.png"], &[1, 2]),
    ];
    folder.write("in", json!(rows).to_string());
    assert_eq!(
        folder.convert("in", From::Vlfeedback, "out.jsonl", To::RlhfV),
        [
            "field completions[].annotations of 4 rows",
            "field models of 2 rows",
            "2 rows: fewer than two answers",
            "1 pairs: several images",
        ]
    );
    assert_eq!(folder.rows("out.jsonl").len(), 3);
}

#[test]
fn a_row_that_is_left_out_takes_no_id() {
    let folder = Folder::new();
    let open = json!({"id": "p", "conversations": [{"from": "human", "value": "Hi"}], "output_1": "A.", "output_2": "B."});
    let mut judged = open.clone();
    (judged["preference"], judged["hallucination"]) = (json!(1), json!(true));
    folder.write("in", json!([open, judged]).to_string());
    let lost = folder.convert("in", From::Preference, "log.jsonl", To::PreferenceLog);
    assert_eq!(lost, ["1 rows: nobody said which answer is better"]);
    assert_eq!(folder.rows("log.jsonl")[0]["id"], "p");
}

/// Holds a row to losing nothing, and with each of these fields more to losing the one that is named.
fn assert_loses(from: From, to: To, row: &Value, cases: &[(Value, &str)]) {
    let folder = Folder::new();
    folder.write("in", row.to_string());
    let lost = folder.convert("in", from, "all.jsonl", to);
    assert!(lost.is_empty(), "{lost:?}");
    for (more, field) in cases {
        let mut row = row.clone();
        for (name, value) in more.as_object().unwrap() {
            row[name] = value.clone();
        }
        folder.write("in", row.to_string());
        let message = folder.refusal("in", from, "out.jsonl", to);
        let expected = format!("{} cannot hold field {field} of 1 rows", to.name());
        assert!(message.contains(&expected), "{message}");
    }
}

#[test]
fn fields_of_comparisons_that_give_way_to_others_are_lost() {
    let pair =
        json!({"id": "a", "image": "a.png", "prompt": "Q", "chosen": "A.", "rejected": "B."});
    let cases = [
        (json!({"question": "R"}), "question"),
        (json!({"text": "R"}), "text"),
        (json!({"y_win": "R"}), "y_win"),
        (json!({"y_lose": "R"}), "y_lose"),
        (json!({"image_path": "b.png"}), "image_path"),
        (
            json!({"image": {"path": "a.png", "url": "b.png"}}),
            "image.url",
        ),
    ];
    assert_loses(From::Trl, To::Trl, &pair, &cases);

    let inside = |text: &str| json!({"id": "a", "text": text});
    let text = r#"{"question": "Q", "chosen": "A.", "rejected": "B."}"#;
    let more = text.replace('}', r#", "why": "So."}"#);
    let cases = [
        (json!({"prompt": "R"}), "prompt"),
        (inside(&more), "text.why"),
    ];
    assert_loses(From::Trl, To::Trl, &inside(text), &cases);

    let judged = json!({
        "id": "a", "conversations": [{"from": "human", "value": "Q"}], "output_1": "A.", "output_2": "B.",
        "preference": 1, "hallucination": true,
    });
    let cases = [(json!({"model_1": "m"}), "model_1")];
    assert_loses(From::Preference, To::Preference, &judged, &cases);

    let folder = Folder::new();
    let rated = |rating: u32| json!({"response": format!("Of {rating}."), "annotations": {"Helpfulness": {"Rating": rating}}});
    let row = json!({"id": "a", "prompt": "Q", "image": "a.png", "img_path": "b.png", "completions": [rated(1), rated(2)]});
    folder.write("in", row.to_string());
    let lost = folder.convert("in", From::Vlfeedback, "out.jsonl", To::Preference);
    let expected = [
        "field completions[].annotations of 1 rows",
        "field img_path of 1 rows",
    ];
    assert_eq!(lost, expected);
}

#[test]
fn fields_of_messages_that_give_way_to_others_are_lost() {
    let messages = |part: Value| json!([{"role": "user", "content": [part]}, {"role": "assistant", "content": "A."}]);
    let chat = json!({"id": "a", "messages": messages(json!({"type": "image", "path": "a.png"}))});
    let twice = json!({"type": "image", "path": "a.png", "image": "b.png"});
    let described = json!({"type": "image", "path": "a.png", "text": "A cat."});
    let cases = [
        (
            json!({"messages": messages(twice)}),
            "messages[].content[].path",
        ),
        (
            json!({"messages": messages(described)}),
            "messages[].content[].text",
        ),
    ];
    assert_loses(From::Messages, To::Llava, &chat, &cases);
    // Which of two answers counts nobody can tell.
    let mut both = chat;
    both["completion"] = json!("B.");
    let folder = Folder::new();
    folder.write("in", both.to_string());
    let message = folder.refusal("in", From::Messages, "out.json", To::Llava);
    assert!(
        message.contains("field `messages`: beside a `completion`"),
        "{message}"
    );
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let folder = Folder::new();
    for (row, expected) in [
        (
            r#"{"id": "a", "prompt": "Q", "chosen": "A.", "rejected": "B.", "prompt": "R"}"#,
            "line 1, field `prompt`: duplicate field",
        ),
        (
            r#"{"id": "a", "prompt": [{"role": "user", "role": "system", "content": "Q"}], "chosen": "A.", "rejected": "B."}"#,
            "line 1, field `prompt[0].role`: duplicate field",
        ),
    ] {
        folder.write("in", row);
        let message = folder.refusal("in", From::Trl, "out.jsonl", To::Trl);
        assert!(message.contains(expected), "{message}");
    }
}
