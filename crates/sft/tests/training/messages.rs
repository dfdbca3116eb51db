//! Conversations of messages, whose contents are lists of parts, are trained on as LLaVA's rows are that say the same.

use std::fs;

use candor_data::Speaker;
use candor_data::formats::llava;
use serde_json::{Value, json};

use crate::tiny::{prepared, sft};
use crate::{losses, out};

/// What a turn of LLaVA's says, as parts.
fn parts(value: &str) -> Value {
    let text = |text: &str| json!({"type": "text", "text": text});
    match value.strip_prefix("<image>\n") {
        Some(asked) => json!([{"type": "image"}, text(asked)]),
        None => json!([text(value)]),
    }
}

#[test]
fn messages_cost_what_the_same_rows_of_llava_cost() {
    let folder = prepared();
    let path = folder.path();
    let mut lines = String::new();
    for row in llava::read(&path.join("talk.json")).unwrap() {
        let messages = row.turns.iter().map(|turn| {
            let role = match turn.from {
                Speaker::Human => "user",
                Speaker::Gpt => "assistant",
            };
            json!({"role": role, "content": parts(&turn.value)})
        });
        let messages: Vec<Value> = messages.collect();
        let images: Vec<String> = row.image.into_iter().collect();
        let row = json!({"id": row.id, "images": images, "messages": messages});
        lines.extend([row.to_string().as_str(), "\n"]);
    }
    fs::write(path.join("talk.jsonl"), lines).unwrap();
    let source = r#"data.sources=[{ name = "t", format = "messages", path = "talk.jsonl" }]"#;
    sft(path, &[&out(path, "llava"), "run.steps=3"]).unwrap();
    sft(path, &[&out(path, "messages"), "run.steps=3", source]).unwrap();
    let [llava, messages] = ["llava", "messages"].map(|run| losses(&path.join(run)));
    assert_eq!(llava.len(), 3);
    assert_eq!(llava, messages);
}
