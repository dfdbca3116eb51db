//! A conversation about images or none: the unit of supervised data.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

/// The word that stands in a human turn where the image goes.
pub const IMAGE_PLACEHOLDER: &str = "<image>";

/// Who speaks in a turn. The names are those of the public files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Speaker {
    /// The person who asks.
    Human,
    /// The model, or whoever wrote the answer that the model should learn.
    Gpt,
}

/// One utterance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Turn {
    /// Who says it.
    pub from: Speaker,
    /// What is said.
    pub value: String,
}

impl Turn {
    /// A turn of the person who asks.
    pub fn human(value: impl Into<String>) -> Self {
        Self {
            from: Speaker::Human,
            value: value.into(),
        }
    }

    /// A turn of the model.
    pub fn gpt(value: impl Into<String>) -> Self {
        Self {
            from: Speaker::Gpt,
            value: value.into(),
        }
    }
}

/// Turns of human and model in alternation, with the image they speak about.
///
/// The `id` is not a key: the public sets give one image's id to several rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Conversation {
    /// Name of the row, for messages and records.
    #[serde(deserialize_with = "text_or_integer")]
    pub id: String,
    /// File name relative to an image folder, or several ([`crate::shown`]); none for text-only rows.
    #[serde(
        default,
        alias = "images",
        with = "crate::shown",
        skip_serializing_if = "Option::is_none"
    )]
    pub image: Option<String>,
    /// The turns, human first.
    #[serde(rename = "conversations")]
    pub turns: Vec<Turn>,
}

impl Conversation {
    /// The first human turn: what a sampled answer responds to.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.turns
            .iter()
            .find(|turn| turn.from == Speaker::Human)
            .map(|turn| turn.value.as_str())
    }

    /// How often [`IMAGE_PLACEHOLDER`] stands in the human turns.
    #[must_use]
    pub fn n_placeholders(&self) -> usize {
        self.turns
            .iter()
            .filter(|turn| turn.from == Speaker::Human)
            .map(|turn| turn.value.matches(IMAGE_PLACEHOLDER).count())
            .sum()
    }
}

/// A reason why `turns` are not a conversation: the offending field and what was found there.
pub(crate) fn turn_fault(turns: &[Turn]) -> Option<(String, String)> {
    if turns.is_empty() {
        return Some(("conversations".into(), "no turns".into()));
    }
    turns.iter().enumerate().find_map(|(i, turn)| {
        let expected = if i % 2 == 0 {
            Speaker::Human
        } else {
            Speaker::Gpt
        };
        (turn.from != expected).then(|| {
            (
                format!("conversations[{i}].from"),
                format!(
                    "found {:?} where the alternation wants {:?}",
                    turn.from, expected
                )
                .to_lowercase(),
            )
        })
    })
}

/// Reads an id that some public files write as a number.
pub(crate) fn text_or_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    struct TextOrInteger;
    impl de::Visitor<'_> for TextOrInteger {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an integer")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }
    deserializer.deserialize_any(TextOrInteger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_the_first_human_turn() {
        let row = Conversation {
            id: "a".into(),
            image: Some("a.png".into()),
            turns: vec![
                Turn::human("<image>\nwhat?"),
                Turn::gpt("a cat <image>"),
                Turn::human("more?"),
            ],
        };
        assert_eq!(row.query(), Some("<image>\nwhat?"));
        assert_eq!(row.n_placeholders(), 1);
    }

    #[test]
    fn turns_must_alternate_from_human() {
        assert_eq!(
            turn_fault(&[Turn::human("a"), Turn::gpt("b"), Turn::human("c")]),
            None
        );
        assert_eq!(turn_fault(&[]).unwrap().0, "conversations");
        assert_eq!(
            turn_fault(&[Turn::gpt("a")]).unwrap().0,
            "conversations[0].from"
        );
        let (field, found) = turn_fault(&[Turn::human("a"), Turn::human("b")]).unwrap();
        assert_eq!(field, "conversations[1].from");
        assert_eq!(found, "found human where the alternation wants gpt");
    }
}
