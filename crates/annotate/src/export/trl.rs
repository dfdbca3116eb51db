//! TRL's preference format: prompt, chosen and rejected as messages, the picture by name.

use candor_data::conversation::{IMAGE_PLACEHOLDER, Speaker};
use candor_data::{Preference, Turn};
use serde_json::{Value, json};

/// A comparison as TRL's trainers read it; none where nothing is preferred.
pub(super) fn row(preference: &Preference) -> Option<Value> {
    let prompt: Vec<Value> = preference.turns.iter().map(message).collect();
    let answer =
        |text: &str| json!([{"role": "assistant", "content": [{"type": "text", "text": text}]}]);
    let mut row = json!({
        "id": preference.id,
        "prompt": prompt,
        "chosen": answer(preference.chosen()?),
        "rejected": answer(preference.rejected()?),
    });
    if let Some(image) = &preference.image {
        row["images"] = json!([image]);
    }
    Some(row)
}

/// A turn as a message, with the placeholder as a part of its own.
fn message(turn: &Turn) -> Value {
    let role = match turn.from {
        Speaker::Human => "user",
        Speaker::Gpt => "assistant",
    };
    let mut parts = Vec::new();
    for (i, text) in turn.value.split(IMAGE_PLACEHOLDER).enumerate() {
        if i > 0 {
            parts.push(json!({"type": "image"}));
        }
        let text = text.trim_matches('\n');
        if !text.is_empty() {
            parts.push(json!({"type": "text", "text": text}));
        }
    }
    json!({"role": role, "content": parts})
}

#[cfg(test)]
mod tests {
    use super::*;
    use candor_data::Verdict;

    #[test]
    fn a_picture_is_a_part_of_its_message() {
        let preference = Preference {
            id: "p".into(),
            image: Some("a.png".into()),
            turns: vec![Turn::human("<image>\nWhat is it?")],
            original_answer: None,
            outputs: ["A cat.".into(), "A dog.".into()],
            fewer_hallucinations: Verdict::Second,
            more_helpful: None,
            record: None,
            explanation: None,
        };
        let expected = json!({
            "id": "p",
            "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}],
            "chosen": [{"role": "assistant", "content": [{"type": "text", "text": "A dog."}]}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}],
            "images": ["a.png"],
        });
        assert_eq!(row(&preference), Some(expected));
    }
}
