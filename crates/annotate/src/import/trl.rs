//! TRL's preference format: prompt, chosen and rejected, as text or as messages; JSON lines.
//!
//! Which of the two was preferred there is not what people are asked here: both become outputs to compare, `chosen`
//! the first. Where there is no `prompt`, it is what both conversations begin with. A picture is a file name in
//! `image`, or the only one in `images`.

use std::path::Path;

use candor_data::formats::text::{self, Format};
use candor_data::{DataError, IMAGE_PLACEHOLDER, Place, Spot, Turn};
use serde::Deserialize;

use super::{Comparison, llava};

const FORMAT: Format = Format {
    name: "TRL preferences",
    expected: "JSON lines with prompt, chosen and rejected",
};

/// A row, of JSON lines or of a parquet file.
#[derive(Deserialize)]
pub(super) struct Row {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    images: Option<Vec<String>>,
    #[serde(default)]
    prompt: Option<Text>,
    chosen: Text,
    rejected: Text,
}

/// A text, or a conversation.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Messages(Vec<Message>),
}

#[derive(Clone, PartialEq, Deserialize)]
struct Message {
    role: String,
    content: Content,
}

#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Content {
    Plain(String),
    Parts(Vec<Part>),
}

#[derive(Clone, PartialEq, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}

impl Content {
    fn text(&self) -> String {
        match self {
            Self::Plain(text) => text.clone(),
            Self::Parts(parts) => {
                let texts = parts.iter().map(|part| match part.kind.as_str() {
                    "image" => IMAGE_PLACEHOLDER.to_owned(),
                    _ => part.text.clone().unwrap_or_default(),
                });
                texts.collect::<Vec<_>>().join("\n")
            }
        }
    }
}

/// The rows of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Comparison>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Comparison>, DataError> {
    let lines = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .enumerate()
        .map(|(i, (line, json))| {
            let row: Row =
                text::object(path, json, &FORMAT).map_err(|error| at_line(error, line + 1))?;
            comparison(path, i, row)
        })
        .collect()
}

/// An error about a single line knows only that line.
pub(super) fn at_line(mut error: DataError, line: usize) -> DataError {
    if let DataError::Field { spot, .. } | DataError::Syntax { spot, .. } = &mut error {
        spot.place = Place::Line(line);
    }
    error
}

/// The comparison of row `i`.
pub(super) fn comparison(path: &Path, i: usize, row: Row) -> Result<Comparison, DataError> {
    let refused = |field: &str, found: &str| DataError::Field {
        spot: Spot::new(
            path,
            Place::Row {
                list: None,
                row: i,
                line: None,
            },
            field,
        ),
        found: found.to_owned(),
        remedy:
            "correct or remove the row (docs/formats.md, \"TRL preferences\", shows a valid one)"
                .into(),
    };
    let chosen = messages(row.chosen, "assistant");
    let rejected = messages(row.rejected, "assistant");
    let (prompt, chosen, rejected) = if let Some(prompt) = row.prompt {
        (messages(prompt, "user"), chosen, rejected)
    } else {
        let n = chosen
            .iter()
            .zip(&rejected)
            .take_while(|(a, b)| a == b)
            .count();
        let (prompt, chosen) = chosen.split_at(n);
        (prompt.to_vec(), chosen.to_vec(), rejected[n..].to_vec())
    };
    let answer = |field: &str, messages: Vec<Message>| match messages.as_slice() {
        [only] if only.role == "assistant" => Ok(only.content.text()),
        _ => Err(refused(
            field,
            "found no single assistant message after the prompt",
        )),
    };
    let turns = turns(&prompt).ok_or_else(|| {
        refused(
            "prompt",
            "found a role other than system, user and assistant",
        )
    })?;
    llava::check_turns(path, i, &turns)?;
    let images = row.images.unwrap_or_default();
    if images.len() > 1 {
        return Err(refused(
            "images",
            "found several pictures, expected at most one",
        ));
    }
    Ok(Comparison {
        id: row.id.unwrap_or_else(|| format!("row-{i}")),
        image: row.image.or_else(|| images.into_iter().next()),
        turns,
        outputs: [answer("chosen", chosen)?, answer("rejected", rejected)?],
        original_answer: None,
        models: None,
    })
}

fn messages(text: Text, role: &str) -> Vec<Message> {
    match text {
        Text::Messages(messages) => messages,
        Text::Plain(text) => vec![Message {
            role: role.to_owned(),
            content: Content::Plain(text),
        }],
    }
}

/// The turns of a prompt; what the system says belongs to the first human turn.
fn turns(prompt: &[Message]) -> Option<Vec<Turn>> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut before = String::new();
    for message in prompt {
        let text = message.content.text();
        match message.role.as_str() {
            "system" => before = text + "\n\n",
            "user" => turns.push(Turn::human(std::mem::take(&mut before) + &text)),
            "assistant" => turns.push(Turn::gpt(text)),
            _ => return None,
        }
    }
    Some(turns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Result<Comparison, DataError> {
        parse(Path::new("a.jsonl"), json).map(|mut rows| rows.remove(0))
    }

    #[test]
    fn texts_messages_and_parts_are_all_understood() {
        let plain = one(r#"{"prompt": "What?", "chosen": "one", "rejected": "two"}"#).unwrap();
        assert_eq!(
            (plain.id.as_str(), plain.turns),
            ("row-0", vec![Turn::human("What?")])
        );
        let parts = r#"{"id": "p", "images": ["a.png"],
            "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}],
            "chosen": [{"role": "assistant", "content": "one"}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "two"}]}]}"#;
        let parts = one(&parts.replace('\n', " ")).unwrap();
        assert_eq!(parts.turns, [Turn::human("<image>\nWhat?")]);
        assert_eq!(
            (parts.outputs, parts.image.as_deref()),
            (["one".into(), "two".into()], Some("a.png"))
        );
    }

    #[test]
    fn a_prompt_may_be_what_both_begin_with() {
        let row = r#"{"chosen": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "one"}],
            "rejected": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "two"}]}"#;
        let row = one(&row.replace('\n', " ")).unwrap();
        assert_eq!(row.turns, [Turn::human("What?")]);
        assert_eq!(row.outputs, ["one", "two"]);
    }

    #[test]
    fn refusals_name_the_line_and_the_field() {
        let bad = "\n{\"prompt\": \"q\", \"chosen\": 3, \"rejected\": \"x\"}";
        let message = parse(Path::new("a.jsonl"), bad).unwrap_err().to_string();
        assert!(
            message.contains("a.jsonl: line 2, field `chosen`"),
            "{message}"
        );
        let two = r#"{"prompt": "q", "images": ["a", "b"], "chosen": "x", "rejected": "y"}"#;
        assert!(
            one(two)
                .unwrap_err()
                .to_string()
                .contains("several pictures")
        );
        let tool =
            r#"{"prompt": [{"role": "tool", "content": "q"}], "chosen": "x", "rejected": "y"}"#;
        assert!(
            one(tool)
                .unwrap_err()
                .to_string()
                .contains("field `prompt`")
        );
    }
}
