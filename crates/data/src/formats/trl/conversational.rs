//! Conversations as lists of messages: what TRL's `SFTTrainer`, OpenAI's clients and ChatML's chat formats have.
//!
//! Messages, their contents and images are as in the preferences. What the system says is put before the human turn after it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::message::{self, Message, Names};
use super::{Id, image_names, refuse, written_message};
use crate::conversation::Conversation;
use crate::formats::llava;
use crate::formats::table::Fault;
use crate::formats::text::Format;
use crate::preference::placeholder_fault;
use crate::shown;

pub(in crate::formats) const FORMAT: Format = Format {
    name: "Messages",
    expected: "rows with messages",
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
    messages: Vec<Message>,
}

/// The conversation that row `i` says; without an `id` it is called `row-17` at index 17.
pub(in crate::formats) fn conversation(i: usize, row: Row) -> Result<Conversation, Fault> {
    let mut messages = row.messages;
    // Only one that stands first is sure to have a human turn after it that it can be put before.
    if let Some(at) = messages
        .iter()
        .skip(1)
        .position(|message| message.role == "system")
    {
        return refuse(
            &format!("messages[{}].role", at + 1),
            "found a system message that is not the first message",
        );
    }
    let names = image_names(row.image, row.images, None)?;
    let image = message::place_image(&mut messages, names)?;
    let conversation = Conversation {
        id: row.id.map_or_else(|| format!("row-{i}"), |Id(id)| id),
        image,
        turns: message::turns(&messages)?,
    };
    let shown = conversation.image.as_deref();
    let fault = llava::row_fault(&conversation)
        .or_else(|| placeholder_fault(&conversation.turns, shown, []));
    match fault {
        None => Ok(conversation),
        Some((_, found)) => refuse("messages", found),
    }
}

/// A conversation as such a row.
pub(in crate::formats) fn row(conversation: &Conversation) -> Value {
    let messages: Vec<Value> = conversation.turns.iter().map(written_message).collect();
    let mut row = json!({"id": conversation.id, "messages": messages});
    if let Some(image) = &conversation.image {
        row["images"] = shown::names(image).collect();
    }
    row
}
