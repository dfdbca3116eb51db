//! Corrections beside what they correct, in the manner of RLHF-V (arXiv 2312.00849): the false answer is rejected, the
//! corrected one chosen, and the marked words say where they differ and why.
//!
//! The fields are those of the published data set (`ds_name`, `idx`, `image_path`, `text` as a JSON string with
//! question, chosen and rejected); `segments` is our addition. Each correction of each person is a row of its own.

use candor_data::conversation::IMAGE_PLACEHOLDER;
use candor_data::shown;
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
    let question = item
        .turns
        .last()?
        .value
        .replace(IMAGE_PLACEHOLDER, "")
        .trim()
        .to_owned();
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
