//! Files of every format into every other, with values that are written out.

mod damage;
mod pictures;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Conversion, Converted, SourceFormat as From, TargetFormat as To, convert};
use crate::error::DataError;

#[derive(Clone, Copy, Default)]
struct Options<'a> {
    images: Option<&'a Path>,
    embed: bool,
    strict: bool,
}

/// A folder in which files are converted.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.at(name), content).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }

    /// The rows of a file of JSON lines.
    fn rows(&self, name: &str) -> Vec<Value> {
        let text = self.text(name);
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn with(
        &self,
        input: &str,
        from: From,
        output: &str,
        to: To,
        options: Options<'_>,
    ) -> Result<Converted, DataError> {
        let conversion = Conversion {
            input: &self.at(input),
            from,
            output: &self.at(output),
            to,
            images: options.images,
            embed: options.embed,
            strict: options.strict,
        };
        convert(&conversion, &|_, _| {})
    }

    /// Converts, and says what was lost.
    fn convert(&self, input: &str, from: From, output: &str, to: To) -> Vec<String> {
        let converted = self
            .with(input, from, output, to, Options::default())
            .unwrap();
        converted.losses()
    }

    fn refusal(&self, input: &str, from: From, output: &str, to: To) -> String {
        let options = Options {
            strict: true,
            ..Options::default()
        };
        let converted = self.with(input, from, output, to, options);
        let message = converted.unwrap_err().to_string();
        assert!(!self.at(output).exists(), "{message}");
        message
    }
}

const CONVERSATIONS: &str = r#"[
{"id":"a","image":"a.png","conversations":[{"from":"human","value":"<image>\nWhat is it?"},{"from":"gpt","value":"A cat."}]},
{"id":"7","conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Hello."}]}
]
"#;

#[test]
fn conversations_go_through_every_format_and_come_back() {
    let folder = Folder::new();
    let more = CONVERSATIONS.replace("{\"id\":\"7\"", "{\"id\":7,\"score\":0.5");
    folder.write("in", more);
    let lost = folder.convert("in", From::Llava, "m.jsonl", To::Messages);
    assert_eq!(lost, ["field score of 1 rows"]);
    let text = |text: &str| json!({"type": "text", "text": text});
    let message = |role: &str, parts: Value| json!({"role": role, "content": parts});
    assert_eq!(
        folder.rows("m.jsonl"),
        [
            json!({"id": "a", "messages": [
                message("user", json!([{"type": "image"}, text("What is it?")])),
                message("assistant", json!([text("A cat.")])),
            ], "images": ["a.png"]}),
            json!({"id": "7", "messages": [
                message("user", json!([text("Hi")])), message("assistant", json!([text("Hello.")])),
            ]}),
        ]
    );
    let none: [&str; 0] = [];
    let lost = folder.convert("m.jsonl", From::Messages, "s.jsonl", To::Sharegpt);
    assert_eq!(lost, none);
    assert_eq!(
        folder.rows("s.jsonl")[0],
        json!({"id": "a", "conversations": [
            {"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cat."},
        ], "images": ["a.png"]})
    );
    let lost = folder.convert("s.jsonl", From::Sharegpt, "m.parquet", To::Messages);
    assert_eq!(lost, none);
    let lost = folder.convert("m.parquet", From::Messages, "out.json", To::Llava);
    assert_eq!(lost, none);
    assert_eq!(folder.text("out.json"), CONVERSATIONS);
}

#[test]
fn what_the_system_says_comes_before_the_first_question() {
    let folder = Folder::new();
    let rows = [
        json!({"messages": [
            {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello."},
        ]}),
        json!({"messages": [
            {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."},
            {"role": "system", "content": "Be brief."},
        ]}),
    ];
    folder.write("good", rows[0].to_string());
    folder.convert("good", From::Messages, "out.jsonl", To::Llava);
    assert_eq!(
        folder.rows("out.jsonl"),
        [json!({"id": "row-0", "conversations": [
            {"from": "human", "value": "Be brief.\n\nHi"}, {"from": "gpt", "value": "Hello."},
        ]})]
    );
    folder.write("bad", format!("{}\n{}\n", rows[0], rows[1]));
    let message = folder.refusal("bad", From::Messages, "bad.jsonl", To::Llava);
    let expected = "line 2, field `messages`: found a system message with no user's after it";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_system_that_says_nothing_adds_nothing() {
    let folder = Folder::new();
    let messages = json!({"messages": [
        {"role": "system", "content": ""}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
    ]});
    let sharegpt = json!({"conversations": [
        {"from": "system", "value": ""}, {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."},
    ]});
    for (row, from) in [(messages, From::Messages), (sharegpt, From::Sharegpt)] {
        folder.write("in", row.to_string());
        folder.convert("in", from, "out.jsonl", To::Llava);
        assert_eq!(
            folder.rows("out.jsonl"),
            [json!({"id": "row-0", "conversations": [
                {"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."},
            ]})],
            "{from:?}"
        );
    }
}

const PREFERENCES: &str = r#"[
{"id":"p","image":"a.png","conversations":[{"from":"human","value":"<image>\nDescribe it."},{"from":"gpt","value":"A dog on a sofa."}],"output_1":{"from":"gpt","value":"A dog and a cat."},"output_2":{"from":"gpt","value":"A dog."},"preference":2,"hallucination":true},
{"id":"p","conversations":[{"from":"human","value":"Hi"},{"from":"gpt","value":"Hello."},{"from":"human","value":"Who?"},{"from":"gpt","value":""}],"output_1":{"from":"gpt","value":"Me."},"output_2":{"from":"gpt","value":"You."},"preference":1,"hallucination":false}
]
"#;

#[test]
fn comparisons_go_into_every_format_and_what_is_lost_is_said() {
    let folder = Folder::new();
    folder.write("in", PREFERENCES);
    // The log's ids are keys.
    let lost = folder.convert("in", From::Preference, "log.jsonl", To::PreferenceLog);
    assert_eq!(lost, ["field id of 1 rows"]);
    folder.convert("log.jsonl", From::PreferenceLog, "out.json", To::Preference);
    let expected = PREFERENCES.replacen(
        "{\"id\":\"p\",\"conversations\"",
        "{\"id\":\"p-row-1\",\"conversations\"",
        1,
    );
    assert_eq!(folder.text("out.json"), expected);

    let lost = folder.convert("in", From::Preference, "trl.jsonl", To::Trl);
    let expected = [
        "field fewer_hallucinations of 1 rows",
        "field original_answer of 1 rows",
    ];
    assert_eq!(lost, expected);
    let text = |text: &str| json!([{"type": "text", "text": text}]);
    assert_eq!(
        folder.rows("trl.jsonl")[1],
        json!({
            "id": "p",
            "prompt": [
                {"role": "user", "content": text("Hi")}, {"role": "assistant", "content": text("Hello.")},
                {"role": "user", "content": text("Who?")},
            ],
            "chosen": [{"role": "assistant", "content": text("Me.")}],
            "rejected": [{"role": "assistant", "content": text("You.")}],
        })
    );
    let message = folder.refusal("in", From::Preference, "strict.jsonl", To::Trl);
    let expected =
        "trl cannot hold field fewer_hallucinations of 1 rows; field original_answer of 1 rows";
    assert!(message.contains(expected), "{message}");

    let single = [
        (
            To::TrlStandard,
            json!({"id": "p", "prompt": "Describe it.", "chosen": "A dog.", "rejected": "A dog and a cat.", "images": ["a.png"]}),
        ),
        (
            To::RlaifV,
            json!({"ds_name": "candor", "id": "p", "question": "Describe it.", "chosen": "A dog.", "rejected": "A dog and a cat.", "image": "a.png"}),
        ),
        (
            To::RlhfV,
            json!({"ds_name": "candor", "id": "p", "image": "a.png",
            "text": r#"{"question":"Describe it.","chosen":"A dog.","rejected":"A dog and a cat."}"#}),
        ),
    ];
    // The row with several turns has as much to lose, and what it has is counted though it is left out.
    let both = PREFERENCES.replace("\"hallucination\":false", "\"hallucination\":true");
    folder.write("both", both.replace("\"value\":\"\"", "\"value\":\"She.\""));
    for (to, expected) in single {
        let lost = folder.convert("both", From::Preference, "single.jsonl", to);
        let expected_lost = [
            "field fewer_hallucinations of 2 rows",
            "field original_answer of 2 rows",
            "1 rows: several turns",
        ];
        assert_eq!(lost, expected_lost, "{to:?}");
        let lost = folder.convert("in", From::Preference, "single.jsonl", to);
        assert_eq!(lost.last().unwrap(), "1 rows: several turns", "{to:?}");
        assert_eq!(folder.rows("single.jsonl"), [expected]);
        // All are read as the same comparison.
        folder.convert("single.jsonl", From::Trl, "again.jsonl", To::Trl);
        assert_eq!(folder.rows("again.jsonl")[0], folder.rows("trl.jsonl")[0]);
    }
}

#[test]
fn an_output_of_any_speaker_is_read_and_written_as_that_of_gpt() {
    let folder = Folder::new();
    let model = PREFERENCES.replace(
        r#""output_1":{"from":"gpt","value":"Me."}"#,
        r#""output_1":{"from":"llava","value":"Me."}"#,
    );
    assert_ne!(model, PREFERENCES);
    folder.write("in", model);
    let lost = folder.convert("in", From::Preference, "out.json", To::Preference);
    assert_eq!(lost, ["field output_1.from of 1 rows"]);
    assert_eq!(folder.text("out.json"), PREFERENCES);
}

#[test]
fn ratings_become_comparisons_of_answers_that_differ() {
    let folder = Folder::new();
    let completion = |model: &str, ratings: [Value; 2]| {
        json!({"model": model, "response": format!("Of {model}."), "annotations": {
            "Helpfulness": {"Rating": ratings[0], "Rationale": "So."}, "Visual Faithfulness": {"Rating": ratings[1]},
        }})
    };
    let row = json!({"id": "v", "prompt": "What?", "models": ["m", "n", "o", "p"], "completions": [
        completion("m", [json!("3"), json!(4)]),
        completion("n", [json!("5"), json!(4)]),
        completion("o", [json!("4"), json!("3")]),
        completion("p", [json!("N/A"), json!(5)]),
    ]});
    folder.write("in", row.to_string());
    let lost = folder.convert("in", From::Vlfeedback, "out.json", To::Preference);
    assert_eq!(
        lost,
        [
            "field completions[].annotations of 1 rows",
            "field models of 1 rows",
            "3 pairs: a rating that is no number",
            "1 pairs: equal ratings",
        ]
    );
    // Worth 3.5, 4.5 and 3.5: the second is better than the first and the third, which are equal.
    let rows: Vec<Value> = serde_json::from_str(&folder.text("out.json")).unwrap();
    let told: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!([
                row["id"],
                row["output_1"]["value"],
                row["output_2"]["value"],
                row["model_2"],
                row["preference"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["v-1-0", "Of n.", "Of m.", "m", 1]),
            json!(["v-1-2", "Of n.", "Of o.", "o", 1]),
        ]
    );
    assert_eq!(rows[0]["image"], "v.jpg");
    // The same as lists of what the answers have.
    let completions = row["completions"].as_array().unwrap();
    let column =
        |name: &str| -> Value { completions.iter().map(|one| one[name].clone()).collect() };
    let columns = json!({"id": "v", "prompt": "What?", "img_path": "v.jpg", "models": ["m", "n", "o", "p"], "completions": {
        "model": column("model"), "response": column("response"), "annotations": column("annotations"),
    }});
    folder.write("columns", columns.to_string());
    let of_columns = folder.convert("columns", From::Vlfeedback, "columns.json", To::Preference);
    assert_eq!(of_columns, lost);
    assert_eq!(folder.text("columns.json"), folder.text("out.json"));
    assert_eq!(rows[0]["conversations"][0]["value"], "<image>\nWhat?");
}

#[test]
fn rejected_conversations_are_comparisons() {
    let folder = Folder::new();
    let said = |answer: &str| json!([{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": answer}]);
    let row = json!({"id": 4, "image": "a.png", "conversations": said("A cup."), "rejected_conversations": said("A dog.")});
    folder.write("in", json!([row]).to_string());
    folder.convert("in", From::Povid, "out.jsonl", To::TrlStandard);
    assert_eq!(
        folder.rows("out.jsonl"),
        [
            json!({"id": "4", "prompt": "What?", "chosen": "A cup.", "rejected": "A dog.", "images": ["a.png"]})
        ]
    );
    let mut other = row.clone();
    other["rejected_conversations"][0]["value"] = json!("<image>\nWho?");
    folder.write("in", json!([row, other]).to_string());
    let message = folder.refusal("in", From::Povid, "bad.jsonl", To::Trl);
    let expected = "row 1, field `rejected_conversations`: found other turns";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_cannot_be_converted_is_refused_with_what_to_do() {
    let folder = Folder::new();
    folder.write("in", PREFERENCES);
    folder.write("chats", CONVERSATIONS);
    folder.write(
        "damaged",
        format!(
            "{}\n{{\"id\": \"b\"}}\n",
            r#"{"messages": [{"role": "user", "content": "Hi"}]}"#
        ),
    );
    let open = json!({"id": "o", "conversations": [{"from": "human", "value": "Hi"}], "output_1": "A.", "output_2": "B."});
    folder.write("open", json!([open]).to_string());
    for (input, from, output, to, words) in [
        (
            "in",
            From::Preference,
            "a.json",
            To::Llava,
            "preference holds comparisons and llava does not",
        ),
        (
            "in",
            From::Preference,
            "a.txt",
            To::Trl,
            ".json, .jsonl or .parquet",
        ),
        (
            "in",
            From::Preference,
            "a.parquet",
            To::Preference,
            "is not written as parquet",
        ),
        (
            "in",
            From::Preference,
            "a.json",
            To::PreferenceLog,
            "let the name end in .jsonl",
        ),
        (
            "damaged",
            From::Messages,
            "a.json",
            To::Llava,
            "damaged: line 2, field `messages`: missing, and so are `prompt` and `completion`",
        ),
        (
            "chats",
            From::Messages,
            "a.json",
            To::Llava,
            "row 0, field `messages`: missing, and so are `prompt` and `completion`",
        ),
        (
            "open",
            From::Preference,
            "a.json",
            To::Trl,
            "none of 1 rows can be carried over",
        ),
    ] {
        let message = folder.refusal(input, from, output, to);
        assert!(message.contains(words), "{words} is not in {message}");
    }
    let options = Options {
        embed: true,
        ..Options::default()
    };
    let embedded = folder.with("in", From::Preference, "a.json", To::Trl, options);
    let message = embedded.unwrap_err().to_string();
    assert!(message.contains("parquet files alone"), "{message}");
    // What nobody has judged is a pair all the same where that can be said.
    folder.convert("open", From::Preference, "pairs.json", To::Preference);
    let pairs: Vec<Value> = serde_json::from_str(&folder.text("pairs.json")).unwrap();
    assert_eq!(pairs[0].get("preference"), None);
    assert_eq!(pairs[0]["output_2"]["value"], "B.");
}
