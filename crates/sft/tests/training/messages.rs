//! Conversations of messages, whose contents are lists of parts, are trained on as LLaVA's rows are that say the same.

use std::fs;

use candor_data::Speaker;
use candor_data::formats::convert::{Conversion, SourceFormat, TargetFormat, convert};
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

#[test]
fn rows_are_the_same_in_json_lines_and_in_parquet_with_the_pictures_inside() {
    let folder = prepared();
    let path = folder.path();
    let rows = llava::read(&path.join("talk.json")).unwrap();
    let lines: Vec<String> = rows.iter().map(|row| json!(row).to_string()).collect();
    fs::write(path.join("llava.jsonl"), lines.join("\n")).unwrap();
    let converted = convert(
        &Conversion {
            input: &path.join("talk.json"),
            from: SourceFormat::Llava,
            output: &path.join("talk.parquet"),
            to: TargetFormat::Messages,
            images: Some(path),
            embed: true,
            strict: true,
        },
        &|_, _| (),
    );
    assert_eq!(converted.unwrap().rows_written, rows.len());
    let source = |format: &str, file: &str| {
        format!(r#"data.sources=[{{ name = "t", format = "{format}", path = "{file}" }}]"#)
    };
    let steps = "run.steps=3";
    sft(path, &[&out(path, "list"), steps]).unwrap();
    let lines = source("llava", "llava.jsonl");
    sft(path, &[&out(path, "lines"), steps, &lines]).unwrap();
    // The pictures are put where the recipe has its images.
    let (parquet, inside) = (source("messages", "talk.parquet"), "data.images=\"inside\"");
    sft(path, &[&out(path, "parquet"), steps, &parquet, inside]).unwrap();
    assert_eq!(fs::read_dir(path.join("inside")).unwrap().count(), 3);
    for file in ["metrics.jsonl", "model/model.safetensors"] {
        let of = |run: &str| fs::read(path.join(run).join(file)).unwrap();
        assert!(of("lines") == of("list"), "{file} of JSON lines differs");
        assert!(of("parquet") == of("list"), "{file} of parquet differs");
    }
}
