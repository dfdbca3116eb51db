//! The Jinja of a chat template, as a checkpoint brings it.
//!
//! It takes bounded time and makes bounded text, whatever it computes. What it says is the assistant's lies within the text, and
//! the same comes again, also after the template was written and read.

use candor_data::{Conversation, Turn};
use candor_model::Template;
use serde_json::json;

/// The longest text that a template may make, and a token at its beginning.
const MOST_BYTES: usize = (8 << 20) + 3;

/// No, one and two images, several rounds, and a question that is not answered yet.
const ROWS: [(Option<&str>, &[&str]); 4] = [
    (None, &["Is the dog red?", "No."]),
    (
        Some("a"),
        &["<image>\nIs it red?", "Yes, é€🎈.", "Why?", "It is paint."],
    ),
    (
        Some("a\nb"),
        &["<image>\n<image>\nWhich one is red?", " The second. "],
    ),
    (Some("a"), &["<image>\nIs it red?"]),
];

/// Compiles, tries out and renders.
///
/// # Panics
/// Something of what is above does not hold.
pub fn render(content: &[u8]) -> bool {
    let source = String::from_utf8_lossy(content);
    let special_tokens = json!({"bos_token": "<s>", "eos_token": "</s>"});
    let read = json!({
        "kind": "jinja", "template": source, "special_tokens": special_tokens, "add_bos": true,
    });
    let Ok(template) = serde_json::from_value::<Template>(read) else {
        return false;
    };
    let written = serde_json::to_value(&template).expect("a template is plain text");
    let again: Template = serde_json::from_value(written).expect("what was written is read");
    let mut is_rendered = false;
    for (image, said) in ROWS {
        let turns = said.iter().enumerate().map(|(at, words)| match at % 2 {
            0 => Turn::human(*words),
            _ => Turn::gpt(*words),
        });
        let row = Conversation {
            id: "row".to_owned(),
            image: image.map(str::to_owned),
            turns: turns.collect(),
        };
        let Ok(rendered) = template.render(&row) else {
            continue;
        };
        is_rendered = true;
        assert!(rendered.text.len() <= MOST_BYTES);
        for &(from, to) in &rendered.assistant {
            assert!(rendered.text.get(from..to).is_some(), "{from}..{to}");
        }
        // Of one row, because a template may compute for long.
        if image.is_none() {
            assert_eq!(again.render(&row).ok(), Some(rendered));
        }
    }
    let _ = template.with_system("Be brief.");
    is_rendered
}
