//! TRL's preferences: `prompt`, `chosen` and `rejected`, as texts or as messages; JSON lines, a JSON list, or parquet.
//!
//! Where there is no `prompt`, it is what both conversations begin with. The image is named in `image`, in `images` or
//! in a part of a message's content. Rows of RLAIF-V (`question`, `chosen`, `rejected`), of RLHF-V (the same inside the
//! JSON of `text`) and of SENTINEL (`question`, `context`, `y_win`, `y_lose`) say the same in other words and are read
//! as well; an answer of SENTINEL's is its context and the sentence after it. Those of HSA-DPO say in `rejected_score` how bad the
//! other answer is.
//!
//! # Reference
//! `prepare_multimodal_messages` of TRL: messages whose content is plain text say nowhere where the images go, and they
//! go before the first of a user; otherwise there must be as many places as images.

mod message;
pub mod messages;
mod row;
pub mod unpaired;
pub mod written;

use std::cell::Cell;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use self::message::{Message, Names, Text};
pub use self::row::row;
use super::hub::Set;
use super::images::Embedded;
use super::preference_log::context_fault;
use super::table::Fault;
use super::text::Format;
use crate::comparison::{Comparison, Judgement};
use crate::conversation::text_or_integer;
use crate::error::DataError;
use crate::preference::{Side, placeholder_fault};

pub(crate) const FORMAT: Format = Format {
    name: "TRL preferences",
    expected: "JSON rows with prompt, chosen and rejected",
};

const SET: Set<Row, Comparison> = Set {
    format: &FORMAT,
    columns: &[
        "id",
        "image",
        "images",
        "image_path",
        "prompt",
        "question",
        "context",
        "chosen",
        "rejected",
        "rejected_score",
        "y_win",
        "y_lose",
        "text",
    ],
    make: comparison,
};

/// A row as the files have it.
#[derive(Deserialize)]
pub(super) struct Row {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default)]
    image: Option<Names>,
    #[serde(default)]
    images: Option<Names>,
    #[serde(default)]
    image_path: Option<String>,
    #[serde(default)]
    prompt: Option<Text>,
    #[serde(default)]
    question: Option<Text>,
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    chosen: Option<Text>,
    #[serde(default)]
    rejected: Option<Text>,
    #[serde(default)]
    y_win: Option<Text>,
    #[serde(default)]
    y_lose: Option<Text>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    rejected_score: Option<Value>,
}

#[derive(Deserialize)]
struct Id(#[serde(deserialize_with = "text_or_integer")] String);

/// What RLHF-V keeps as JSON inside a text.
#[derive(Deserialize)]
struct Inner {
    question: Text,
    chosen: Text,
    rejected: Text,
}

/// A fault of a field, as an error of the conversion.
fn refuse<T>(field: &str, found: impl Into<String>) -> Result<T, Fault> {
    Err((field.into(), found.into()))
}

/// The comparison that row `i` says, the preferred answer first; without an `id` it is called `row-17` at index 17.
pub(super) fn comparison(i: usize, mut row: Row) -> Result<Comparison, Fault> {
    if let (Some(text), None, None) = (&row.text, &row.chosen, &row.y_win) {
        let inner: Inner = serde_json::from_str(text).map_err(|error| {
            (
                "text".to_owned(),
                format!("no JSON of a comparison: {error}"),
            )
        })?;
        row.prompt = Some(inner.question);
        (row.chosen, row.rejected) = (Some(inner.chosen), Some(inner.rejected));
    }
    let missing = |field: &str| (field.to_owned(), "missing".to_owned());
    let chosen = row.chosen.or(row.y_win).ok_or_else(|| missing("chosen"))?;
    let rejected = row
        .rejected
        .or(row.y_lose)
        .ok_or_else(|| missing("rejected"))?;
    let (chosen, rejected) = (chosen.messages("assistant"), rejected.messages("assistant"));
    let (mut prompt, chosen, rejected) = if let Some(prompt) = row.prompt.or(row.question) {
        (prompt.messages("user"), chosen, rejected)
    } else {
        let both = chosen.iter().zip(&rejected);
        let n = both.take_while(|(a, b)| a == b).count();
        (
            chosen[..n].to_vec(),
            chosen[n..].to_vec(),
            rejected[n..].to_vec(),
        )
    };
    let names = image_names(row.image, row.images, row.image_path)?;
    let image = message::place_image(&mut prompt, names)?;
    let context = row.context.unwrap_or_default();
    let chosen = after(&context, answer("chosen", &chosen)?);
    let rejected = after(&context, answer("rejected", &rejected)?);
    let comparison = Comparison {
        id: row.id.map_or_else(|| format!("row-{i}"), |Id(id)| id),
        image,
        turns: message::turns(&prompt)?,
        original_answer: None,
        outputs: [chosen, rejected],
        models: None,
        group: None,
        judgement: Some(Judgement::for_side(Side::First)),
        severity: row.rejected_score,
    };
    match fault_of(&comparison) {
        None => Ok(comparison),
        Some((field, found)) if field.starts_with("conversations") => refuse("prompt", found),
        Some((field, found)) if field == "outputs[0]" => refuse("chosen", found),
        Some((field, found)) if field == "outputs[1]" => refuse("rejected", found),
        Some(fault) => Err(fault),
    }
}

/// The names of a row's images, of both fields that may have them; where they have none, the path.
fn image_names(
    image: Option<Names>,
    images: Option<Names>,
    path: Option<String>,
) -> Result<Vec<String>, Fault> {
    let names = [image, images].into_iter().flatten();
    let names: Result<Vec<String>, Fault> = names.flat_map(Names::list).collect();
    let mut names = names?;
    if names.is_empty() {
        names.extend(path);
    }
    Ok(names)
}

pub(super) fn fault_of(row: &Comparison) -> Option<Fault> {
    let image = row.image.as_deref();
    let [chosen, rejected] = &row.outputs;
    context_fault(&row.turns, image)
        .or_else(|| placeholder_fault(&row.turns, image, [chosen, rejected]))
}

/// The text of the only message that may come after the prompt.
fn answer(field: &str, messages: &[Message]) -> Result<String, Fault> {
    match messages {
        [only] if only.role == "assistant" => only.content.text(),
        _ => refuse(field, "found no single assistant message after the prompt"),
    }
}

/// An answer whose beginning is given apart from it.
fn after(context: &str, answer: String) -> String {
    if context.is_empty() {
        return answer;
    }
    let is_spaced =
        context.ends_with(char::is_whitespace) || answer.starts_with(char::is_whitespace);
    let space = if is_spaced { "" } else { " " };
    format!("{context}{space}{answer}")
}

/// Parses the text of a file: JSON lines, or one JSON list.
///
/// # Errors
/// [`DataError`] naming row or line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Comparison>, DataError> {
    SET.parse(path, text)
}

/// Reads a file: JSON lines, a JSON list, or parquet, whatever its name. In a parquet file an image may be inside;
/// `embedded` is given its bytes and returns the name that the row has it under.
///
/// # Errors
/// As [`parse`], the file cannot be read, or as `embedded` says.
pub fn read(path: &Path, embedded: Embedded<'_>) -> Result<Vec<Comparison>, DataError> {
    SET.read(path, embedded)
}

/// Hands out the rows of a file with what [`read`] makes of each, as they are read: never more than one row of JSON, or a group of
/// parquet's, is in memory. The first that `take` refuses ends it.
///
/// # Errors
/// As [`read`], or the first of `take`.
pub fn each(
    path: &Path,
    embedded: Embedded<'_>,
    mut take: impl FnMut(Comparison) -> Result<(), DataError>,
) -> Result<(), DataError> {
    SET.each(path, embedded, &Cell::new(0.0), |_, row| take(row))
}
