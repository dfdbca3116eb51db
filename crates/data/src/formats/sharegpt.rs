//! ShareGPT's conversations, as other trainers take them: `conversations` of `from` and `value`, with `images` and `system`.
//!
//! They differ from LLaVA's in the names of who speaks (`human` or `user`, `gpt` or `assistant`), and in that the system may
//! say something, in a turn before all others or in a field. It is put before the first human turn.

use serde::Deserialize;
use serde_json::{Value, json};

use super::llava;
use super::table::Fault;
use super::text::Format;
use crate::conversation::{Conversation, Speaker, Turn, text_or_integer};
use crate::preference::placeholder_fault;
use crate::shown;

pub(super) const FORMAT: Format = Format {
    name: "ShareGPT",
    expected: "rows with conversations",
};

/// A row as the files have it.
#[derive(Deserialize)]
pub(super) struct Row {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default, alias = "images", with = "crate::shown")]
    image: Option<String>,
    #[serde(default)]
    system: Option<String>,
    conversations: Vec<Said>,
}

#[derive(Deserialize)]
struct Id(#[serde(deserialize_with = "text_or_integer")] String);

#[derive(Deserialize)]
struct Said {
    from: String,
    value: String,
}

/// The conversation that row `i` says; without an `id` it is called `row-17` at index 17.
pub(super) fn conversation(i: usize, row: Row) -> Result<Conversation, Fault> {
    let mut system = row.system.filter(|text| !text.is_empty());
    let mut turns = Vec::with_capacity(row.conversations.len());
    for (at, said) in row.conversations.into_iter().enumerate() {
        match said.from.as_str() {
            "system" if at == 0 && system.is_none() => {
                system = Some(said.value).filter(|text| !text.is_empty());
            }
            "human" | "user" => {
                let before = system.take().map(|text| text + "\n\n");
                turns.push(Turn::human(before.unwrap_or_default() + &said.value));
            }
            "gpt" | "assistant" => turns.push(Turn::gpt(said.value)),
            other => {
                return Err((
                    format!("conversations[{at}].from"),
                    format!("found {other:?}, expected human and gpt, or one system first"),
                ));
            }
        }
    }
    let conversation = Conversation {
        id: row.id.map_or_else(|| format!("row-{i}"), |Id(id)| id),
        image: row.image,
        turns,
    };
    let shown = conversation.image.as_deref();
    match llava::row_fault(&conversation)
        .or_else(|| placeholder_fault(&conversation.turns, shown, []))
    {
        None => Ok(conversation),
        Some(fault) => Err(fault),
    }
}

/// A conversation as such a row.
pub(super) fn row(conversation: &Conversation) -> Value {
    let said = conversation.turns.iter().map(|turn| {
        let from = match turn.from {
            Speaker::Human => "human",
            Speaker::Gpt => "gpt",
        };
        json!({"from": from, "value": turn.value})
    });
    let said: Vec<Value> = said.collect();
    let mut row = json!({"id": conversation.id, "conversations": said});
    if let Some(image) = &conversation.image {
        row["images"] = shown::names(image).collect();
    }
    row
}
