//! Turns and answers as messages of TRL's formats. candor's reader makes the same turns of them again, but for one thing: where there
//! is no blank at all between an image and the words around it, it finds a line break there.

use serde_json::{Value, json};

use crate::conversation::{IMAGE_PLACEHOLDER, Speaker, Turn};

/// An answer as a list of one message.
#[must_use]
pub fn answer(text: &str) -> Value {
    json!([{"role": "assistant", "content": [{"type": "text", "text": text}]}])
}

/// A turn as a message, with the placeholder as a part of its own.
#[must_use]
pub fn message(turn: &Turn) -> Value {
    let role = match turn.from {
        Speaker::Human => "user",
        Speaker::Gpt => "assistant",
    };
    let texts: Vec<&str> = turn.value.split(IMAGE_PLACEHOLDER).collect();
    let texts = on_lines(&texts).unwrap_or(texts);
    let mut parts = Vec::new();
    for (i, text) in texts.into_iter().enumerate() {
        if i > 0 {
            parts.push(json!({"type": "image"}));
        }
        if !text.is_empty() {
            parts.push(json!({"type": "text", "text": text}));
        }
    }
    json!({"role": role, "content": parts})
}

/// The texts between images that stand on lines of their own, without the line breaks that set them apart, which
/// templates put there themselves. None where an image stands among the words, or with more blanks: then all of them
/// count.
fn on_lines<'a>(texts: &[&'a str]) -> Option<Vec<&'a str>> {
    let last = texts.len() - 1;
    let bare = |(i, text): (usize, &&'a str)| {
        let mut text = *text;
        let ends = i == 0 || i == last;
        if text.is_empty() && ends || text == "\n" && !ends {
            return Some("");
        }
        if i > 0 {
            text = text.strip_prefix('\n')?;
        }
        if i < last {
            text = text.strip_suffix('\n')?;
        }
        let blank = (i > 0 && text.starts_with(char::is_whitespace))
            || (i < last && text.ends_with(char::is_whitespace));
        (!text.is_empty() && !blank).then_some(text)
    };
    texts.iter().enumerate().map(bare).collect()
}
