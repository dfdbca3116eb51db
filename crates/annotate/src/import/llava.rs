//! Pairs in LLaVA's manner that nobody has judged yet, or whose judgement is not asked for: a JSON list of rows with
//! `conversations`, `output_1` and `output_2`.
//!
//! The last gpt turn is the data set's own answer, as in LLaVA-Human-Preference. A row may name the models that wrote
//! the outputs (`model_1`, `model_2`).

use std::path::Path;

use candor_data::formats::text::{self, Format};
use candor_data::{DataError, Place, Speaker, Spot, Turn};
use serde::Deserialize;

use super::Comparison;

const FORMAT: Format = Format {
    name: "LLaVA-Human-Preference",
    expected: "a JSON list of rows with two outputs",
};

#[derive(Deserialize)]
struct Row {
    id: Id,
    #[serde(default)]
    image: Option<String>,
    conversations: Vec<Turn>,
    output_1: Output,
    output_2: Output,
    #[serde(default)]
    model_1: Option<String>,
    #[serde(default)]
    model_2: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Id {
    Text(String),
    Number(i64),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Output {
    Text(String),
    Turn { value: String },
}

impl From<Output> for String {
    fn from(output: Output) -> Self {
        match output {
            Output::Text(text) | Output::Turn { value: text } => text,
        }
    }
}

/// The rows of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Comparison>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Comparison>, DataError> {
    let rows: Vec<Row> = text::object(path, text, &FORMAT)?;
    rows.into_iter()
        .enumerate()
        .map(|(i, row)| comparison(path, i, row))
        .collect()
}

fn comparison(path: &Path, i: usize, row: Row) -> Result<Comparison, DataError> {
    let mut turns = row.conversations;
    let original_answer = turns
        .pop_if(|turn| turn.from == Speaker::Gpt)
        .map(|turn| turn.value)
        .filter(|answer| !answer.is_empty());
    check_turns(path, i, &turns)?;
    Ok(Comparison {
        id: match row.id {
            Id::Text(id) => id,
            Id::Number(id) => id.to_string(),
        },
        image: row.image,
        turns,
        outputs: [row.output_1.into(), row.output_2.into()],
        original_answer,
        models: row.model_1.zip(row.model_2).map(<[String; 2]>::from),
    })
}

/// Refuses turns that are no question: they alternate, human first and last.
fn check_turns(path: &Path, row: usize, turns: &[Turn]) -> Result<(), DataError> {
    let alternate = turns
        .iter()
        .enumerate()
        .all(|(i, turn)| (turn.from == Speaker::Human) == i.is_multiple_of(2));
    if alternate && turns.len() % 2 == 1 {
        return Ok(());
    }
    let place = Place::Row {
        list: None,
        row,
        line: None,
    };
    Err(DataError::Field {
        spot: Spot::new(path, place, "conversations"),
        found: format!(
            "found {} turns that do not alternate from human to human",
            turns.len()
        ),
        remedy: "let human and model alternate, and end in the human turn that both outputs answer"
            .into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_need_no_judgement() {
        let text = r#"[{"id": 7, "image": "a.png", "model_1": "x", "model_2": "y",
            "conversations": [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cup."}],
            "output_1": {"from": "gpt", "value": "one"}, "output_2": "two"}]"#;
        let rows = parse(Path::new("a.json"), text).unwrap();
        let expected = Comparison {
            id: "7".into(),
            image: Some("a.png".into()),
            turns: vec![Turn::human("<image>\nWhat?")],
            outputs: ["one".into(), "two".into()],
            original_answer: Some("A cup.".into()),
            models: Some(["x".into(), "y".into()]),
        };
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn a_refusal_names_file_row_and_field() {
        let text = r#"[{"id": "a", "conversations": [{"from": "gpt", "value": "hm"}, {"from": "gpt", "value": "x"}],
            "output_1": "one", "output_2": "two"}]"#;
        let message = parse(Path::new("a.json"), text).unwrap_err().to_string();
        assert!(
            message.contains("a.json: row 0, field `conversations`"),
            "{message}"
        );
        let missing = parse(Path::new("a.json"), r#"[{"id": "a"}]"#)
            .unwrap_err()
            .to_string();
        assert!(missing.contains("[0].conversations"), "{missing}");
    }
}
