//! TRL's conversations: `messages` with a role and a content, or `prompt` and `completion`; JSON lines, a JSON list, or parquet.
//!
//! A content is a text or a list of parts, as OpenAI's clients, Qwen's and TRL write them. Texts, parts and images are read as in
//! the preferences, so that what is fine-tuned on is what comparisons are read as.

use std::cell::Cell;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::message::{self, Message, Names, Text};
use super::{Id, image_names, refuse, written};
use crate::conversation::{Conversation, IMAGE_PLACEHOLDER, Speaker};
use crate::error::DataError;
use crate::formats::hub::Set;
use crate::formats::images::Embedded;
use crate::formats::llava;
use crate::formats::table::Fault;
use crate::formats::text::Format;
use crate::preference::placeholder_fault;
use crate::shown;

pub(in crate::formats) const FORMAT: Format = Format {
    name: "TRL conversations",
    expected: "JSON rows with messages",
};

const SET: Set<Row, Conversation> = Set {
    format: &FORMAT,
    columns: &[
        "id",
        "image",
        "images",
        "image_path",
        "messages",
        "prompt",
        "completion",
    ],
    make: conversation,
};

/// A row as the files have it.
#[derive(Deserialize)]
pub(in crate::formats) struct Row {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    image: Option<Names>,
    #[serde(default)]
    images: Option<Names>,
    #[serde(default)]
    image_path: Option<String>,
    #[serde(default)]
    messages: Option<Vec<Message>>,
    #[serde(default)]
    prompt: Option<Text>,
    #[serde(default)]
    completion: Option<Text>,
}

/// The conversation that row `i` says; without an `id` it is called `row-17` at index 17.
pub(in crate::formats) fn conversation(i: usize, row: Row) -> Result<Conversation, Fault> {
    let mut messages = match (row.messages, row.prompt, row.completion) {
        // A prompt alone is the first message once more, as in UltraChat.
        (Some(messages), _, None) => messages,
        (Some(_), _, Some(_)) => {
            let found = "beside a `completion`, and which of them counts cannot be told";
            return refuse("messages", found);
        }
        (None, Some(prompt), Some(completion)) => {
            let mut messages = prompt.messages("user");
            messages.extend(completion.messages("assistant"));
            messages
        }
        _ => return refuse("messages", "missing, and so are `prompt` and `completion`"),
    };
    let names = image_names(row.image, row.images, row.image_path)?;
    let image = message::place_image(&mut messages, names)?;
    let turns = message::turns(&messages).map_err(in_messages)?;
    let mut said = turns.iter().filter(|turn| turn.from == Speaker::Gpt);
    if said.any(|turn| turn.value.contains(IMAGE_PLACEHOLDER)) {
        let found = format!("found {IMAGE_PLACEHOLDER} in what the assistant says");
        return refuse("messages", found);
    }
    let read = Conversation {
        id: row.id.map_or_else(|| format!("row-{i}"), |Id(id)| id),
        image,
        turns,
    };
    let fault = llava::row_fault(&read)
        .or_else(|| placeholder_fault(&read.turns, read.image.as_deref(), []));
    match fault {
        None => Ok(read),
        Some(fault) => Err(in_messages(fault)),
    }
}

/// A fault in the words of these files: where it is one of turns, it is one of messages.
fn in_messages((field, found): Fault) -> Fault {
    if field == "prompt" || field.starts_with("conversations") {
        return ("messages".to_owned(), found);
    }
    (field, found)
}

/// A conversation as such a row.
pub(in crate::formats) fn row(conversation: &Conversation) -> Value {
    let messages: Vec<Value> = conversation.turns.iter().map(written::message).collect();
    let mut row = json!({"id": conversation.id, "messages": messages});
    if let Some(image) = &conversation.image {
        row["images"] = shown::names(image).collect();
    }
    row
}

/// Parses the text of a file: JSON lines, or one JSON list.
///
/// # Errors
/// [`DataError`] naming row or line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Conversation>, DataError> {
    SET.parse(path, text)
}

/// Hands out the rows of a file with their indices as they are read, so that the file need not fit into the memory: JSON lines, a JSON
/// list, or parquet, whatever its name. `embedded` is as in [`super::read`], and `share` is that of the file that has been read.
///
/// # Errors
/// As [`parse`], the file cannot be read, as `embedded` says, or the first of `take`.
pub fn each(
    path: &Path,
    embedded: Embedded<'_>,
    share: &Cell<f64>,
    take: impl FnMut(usize, Conversation) -> Result<(), DataError>,
) -> Result<(), DataError> {
    SET.each(path, embedded, share, take)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Turn;

    fn read_row(row: &Value) -> Result<Conversation, String> {
        let rows = parse(Path::new("a.jsonl"), &row.to_string());
        let mut rows = rows.map_err(|error| error.to_string())?;
        Ok(rows.remove(0))
    }

    #[test]
    fn parts_become_the_turns_that_llavas_rows_have() {
        let text = |text: &str| json!({"type": "text", "text": text});
        let said = |role: &str, content: Value| json!({"role": role, "content": content});
        let images = [
            json!({"type": "image", "image": "b.png"}),
            json!({"type": "image_url", "image_url": {"url": "a.png"}}),
        ];
        let [first, second] = images;
        let row = json!({"id": 3, "messages": [
            said("system", json!("Be brief.")),
            said("user", json!([first, text("or"), second, text("Which?")])),
            said("assistant", json!([text("The first.")])),
            said("user", json!("Sure?")),
            said("assistant", json!("Yes.")),
        ]});
        let expected = Conversation {
            id: "3".to_owned(),
            image: Some("b.png\na.png".to_owned()),
            turns: vec![
                Turn::human("Be brief.\n\n<image>\nor\n<image>\nWhich?"),
                Turn::gpt("The first."),
                Turn::human("Sure?"),
                Turn::gpt("Yes."),
            ],
        };
        assert_eq!(read_row(&row).unwrap(), expected);
        // The same with the names in the row, and in the two halves that TRL has for some trainers.
        let place = || json!({"type": "image"});
        let question = json!([place(), text("or"), place(), text("Which?")]);
        let row = json!({
            "images": ["b.png", "a.png"],
            "prompt": [said("user", question)],
            "completion": [said("assistant", json!("The first."))],
        });
        let read = read_row(&row).unwrap();
        assert_eq!((read.id.as_str(), &read.image), ("row-0", &expected.image));
        let turns = [
            Turn::human("<image>\nor\n<image>\nWhich?"),
            Turn::gpt("The first."),
        ];
        assert_eq!(read.turns, turns);
    }

    #[test]
    fn a_row_of_both_forms_is_refused() {
        let messages = json!([
            {"role": "user", "content": "Q"},
            {"role": "assistant", "content": "A"},
        ]);
        let mut row = json!({"messages": messages, "prompt": "Q"});
        assert_eq!(read_row(&row).unwrap().turns.len(), 2);
        row["completion"] = json!("B");
        let message = read_row(&row).unwrap_err();
        for part in ["line 1", "`messages`", "beside a `completion`"] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn what_the_system_says_is_never_lost() {
        let said = |role: &str, content: &str| json!({"role": role, "content": content});
        let both = [
            said("system", "Be brief."),
            said("system", "Be kind."),
            said("user", "Q"),
            said("assistant", "A"),
        ];
        let read = read_row(&json!({"messages": both})).unwrap();
        assert_eq!(read.turns[0], Turn::human("Be brief.\n\nBe kind.\n\nQ"));
        let [brief, _, asked, answered] = both;
        for messages in [
            json!([asked, answered, brief]),
            json!([asked, brief, answered]),
        ] {
            let message = read_row(&json!({"messages": messages})).unwrap_err();
            for part in ["line 1", "`messages`", "no user's after it"] {
                assert!(message.contains(part), "{message}");
            }
        }
    }
}
