//! Corrections beside what they correct, in the manner of RLHF-V (arXiv 2312.00849): the false answer is rejected, the
//! corrected one chosen, and the marked words say where they differ and why.
//!
//! The fields are those of the published data set (`ds_name`, `idx`, `image_path`, `text` as a JSON string with
//! question, chosen and rejected); `segments` and `conversation` are our additions. Each correction of each person is a row of its own.

use candor_data::conversation::IMAGE_PLACEHOLDER;
use candor_data::{Turn, shown};
use serde::Serialize;

use super::Closed;
use crate::answer::{Mark, MarkType, Which};
use crate::store::Given;

/// A row of the file.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Row {
    ds_name: &'static str,
    idx: usize,
    id: String,
    image_path: Option<String>,
    /// Where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    /// What was said before the question, where anything was: `text` has no place for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conversation: Vec<Turn>,
    text: String,
    segments: Vec<Segment>,
}

/// The fields inside `text`.
#[derive(Serialize)]
struct Text<'a> {
    question: String,
    chosen: &'a str,
    rejected: &'a str,
}

/// Marked words of the rejected answer.
#[derive(Debug, PartialEq, Serialize)]
struct Segment {
    start: usize,
    end: usize,
    words: String,
    #[serde(rename = "type")]
    kind: MarkType,
}

/// The rows of all corrections of closed items.
pub(super) fn rows(items: &[Closed<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for item in items {
        for given in &item.given {
            for (which, rejected) in [Which::A, Which::B].into_iter().zip(item.outputs) {
                rows.extend(row(item, given, (which, rejected), rows.len()));
            }
        }
    }
    rows
}

fn row(
    item: &Closed<'_>,
    given: &Given,
    (which, rejected): (Which, &str),
    idx: usize,
) -> Option<Row> {
    let corrections = &given.answer.corrections;
    let chosen = match which {
        Which::A => corrections.a.as_deref(),
        Which::B => corrections.b.as_deref(),
    };
    let chosen = chosen.filter(|text| !text.trim().is_empty())?;
    let (last, earlier) = item.turns.split_last()?;
    let question = last.value.replace(IMAGE_PLACEHOLDER, "").trim().to_owned();
    let text = Text {
        question,
        chosen,
        rejected,
    };
    let marks = given
        .answer
        .marks
        .iter()
        .filter(|mark| mark.answer == which);
    let image = item.image;
    let (image_path, images) = match image.filter(|_| shown::count(image) > 1) {
        Some(several) => (None, shown::names(several).map(str::to_owned).collect()),
        None => (image.map(str::to_owned), Vec::new()),
    };
    Some(Row {
        ds_name: "candor",
        idx,
        id: item.name.to_owned(),
        image_path,
        images,
        conversation: earlier.to_vec(),
        text: serde_json::to_string(&text).ok()?,
        segments: marks.map(|mark| segment(mark, rejected)).collect(),
    })
}

fn segment(mark: &Mark, text: &str) -> Segment {
    Segment {
        start: mark.start,
        end: mark.end,
        words: text
            .chars()
            .skip(mark.start)
            .take(mark.end - mark.start)
            .collect(),
        kind: mark.kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Answer, Corrections, Order, Pick};
    use candor_data::Side;
    use serde_json::json;

    #[test]
    fn what_was_said_before_the_question_goes_with_it() {
        let corrections = Corrections {
            a: Some("A cup.".into()),
            b: None,
        };
        let given = Given {
            person: "x".into(),
            name: "x".into(),
            answer: Answer {
                first: Pick::B,
                second: None,
                rating: None,
                ranking: None,
                marks: Vec::new(),
                corrections,
                note: None,
            },
            order: Order::pair(Side::First),
            active_ms: 0,
            answered_at: 0,
        };
        let outputs = ["A cat.", "A mug."].map(str::to_owned);
        let exported = |turns: &[Turn]| {
            let item = Closed {
                name: "p",
                image: None,
                turns,
                outputs: &outputs,
                given: vec![&given],
            };
            serde_json::to_value(rows(&[item])).unwrap()
        };
        let turns = [
            Turn::human("Is it red?"),
            Turn::gpt("Yes."),
            Turn::human("What is it?"),
        ];
        let later = exported(&turns);
        let before =
            json!([{"from": "human", "value": "Is it red?"}, {"from": "gpt", "value": "Yes."}]);
        assert_eq!(later[0]["conversation"], before);
        let text = r#"{"question":"What is it?","chosen":"A cup.","rejected":"A cat."}"#;
        assert_eq!(later[0]["text"], text);
        assert_eq!(exported(&turns[..1])[0].get("conversation"), None);
    }
}
