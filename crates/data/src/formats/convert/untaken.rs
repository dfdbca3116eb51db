//! Fields of a row that give way to others: a reader that knows several names for the same thing takes one of them, and what the
//! others say would be dropped unsaid.

use std::collections::BTreeSet;

use serde_json::Value;

use super::source::SourceFormat;

/// The names that a part of a message may give its image, as they are looked for.
const NAMES: [&str; 4] = ["image", "path", "url", "image_url"];

/// Notes the fields of a row of this format that say something and are known, but not taken because of others.
pub(super) fn untaken(format: SourceFormat, row: &Value, found: &mut BTreeSet<String>) {
    let has = |field: &str| !row[field].is_null();
    let mut note = |field: &str, gives_way: bool| {
        if gives_way && has(field) {
            found.insert(field.to_owned());
        }
    };
    let texts: &[&str] = match format {
        SourceFormat::Messages => {
            note("image_path", has_image(row));
            note("prompt", has("messages"));
            note("completion", has("messages"));
            &["messages", "prompt", "completion"]
        }
        SourceFormat::Trl => {
            note("image_path", has_image(row));
            let is_inside = has("text") && !has("chosen") && !has("y_win");
            note("text", !is_inside);
            note("prompt", is_inside);
            note("rejected", is_inside);
            note("question", is_inside || has("prompt"));
            note("y_win", has("chosen"));
            note("y_lose", is_inside || has("rejected"));
            if is_inside {
                of_inside(row, found);
            }
            &[
                "prompt", "question", "chosen", "rejected", "y_win", "y_lose",
            ]
        }
        SourceFormat::Preference => {
            note("model_1", !has("model_2"));
            note("model_2", !has("model_1"));
            of_speakers(row, found);
            &[]
        }
        SourceFormat::Vlfeedback => {
            note("img_path", has_image(row));
            &[]
        }
        SourceFormat::Llava
        | SourceFormat::Sharegpt
        | SourceFormat::PreferenceLog
        | SourceFormat::Candidates
        | SourceFormat::Povid => return,
    };
    for text in texts {
        for part in parts(&row[*text]) {
            of_part(&format!("{text}[].content[]"), part, found);
        }
    }
    for (field, of_each) in [("image", "image[]"), ("images", "images[]")] {
        of_name(field, &row[field], found);
        for name in row[field].as_array().into_iter().flatten() {
            of_name(of_each, name, found);
        }
    }
}

/// Whether a row's own fields name an image.
fn has_image(row: &Value) -> bool {
    ["image", "images"].into_iter().any(|field| {
        let is_empty = row[field].as_array().is_some_and(Vec::is_empty);
        !row[field].is_null() && !is_empty
    })
}

/// Who says the answers of LLaVA-Human-Preference, where another name than `gpt` stands there.
fn of_speakers(row: &Value, found: &mut BTreeSet<String>) {
    for output in ["output_1", "output_2"] {
        let from = row[output]["from"].as_str();
        if from.is_some_and(|from| from != "gpt") {
            found.insert(format!("{output}.from"));
        }
    }
}

/// What RLHF-V has inside `text` beside the comparison.
fn of_inside(row: &Value, found: &mut BTreeSet<String>) {
    let text = row["text"].as_str().unwrap_or_default();
    let Ok(Value::Object(inside)) = serde_json::from_str(text) else {
        return;
    };
    let is_taken = |name: &str| matches!(name, "question" | "chosen" | "rejected");
    let said = inside.iter().filter(|(_, value)| !value.is_null());
    let others = said.filter(|(name, _)| !is_taken(name));
    found.extend(others.map(|(name, _)| format!("text.{name}")));
}

/// The parts of the messages of a text that is a list of them.
fn parts(text: &Value) -> impl Iterator<Item = &Value> {
    let messages = text.as_array().into_iter().flatten();
    let contents = messages.filter_map(|message| message.get("content")?.as_array());
    contents.flatten()
}

/// Notes what a part of a message says of its image twice, and the text of an image.
fn of_part(at: &str, part: &Value, found: &mut BTreeSet<String>) {
    let mut names = NAMES.into_iter().filter(|name| !part[*name].is_null());
    if let Some(taken) = names.next() {
        of_name(&format!("{at}.{taken}"), &part[taken], found);
    }
    found.extend(names.map(|name| format!("{at}.{name}")));
    let is_image = matches!(part["type"].as_str(), Some("image" | "image_url"));
    if is_image && part["text"].as_str().is_some_and(|text| !text.is_empty()) {
        found.insert(format!("{at}.text"));
    }
}

/// Notes the address of an image that has a path.
fn of_name(at: &str, name: &Value, found: &mut BTreeSet<String>) {
    if !name["path"].is_null() && !name["url"].is_null() {
        found.insert(format!("{at}.url"));
    }
}
