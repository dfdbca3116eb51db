//! TRL's preferences: `prompt`, `chosen` and `rejected`, as texts or as messages; JSON lines, a JSON list, or parquet.
//!
//! Where there is no `prompt`, it is what both conversations begin with. The picture is named in `image`, in `images` or
//! in a part of a message's content. Rows of RLAIF-V (`question`, `chosen`, `rejected`), of RLHF-V (the same inside the
//! JSON of `text`) and of SENTINEL (`question`, `context`, `y_win`, `y_lose`) say the same in other words and are read
//! as well; an answer of SENTINEL's is its context and the sentence after it.
//!
//! # Reference
//! `prepare_multimodal_messages` of TRL: messages whose content is plain text say nowhere where the picture goes, and it
//! goes before the first of a user; otherwise there must be as many places as pictures. candor has one picture a row.

mod message;
mod parquet;

use std::path::Path;

use serde::Deserialize;

use self::message::{Message, Names, Text};
use super::preference_log::context_fault;
use super::rows;
use super::table::{Fault, Numbering, Table};
use super::text::{self, Format};
use crate::conversation::{Turn, text_or_integer};
use crate::error::{DataError, Spot};
use crate::file_kind::FileKind;
use crate::preference::{Preference, Side, Verdict, placeholder_fault};

const FORMAT: Format = Format {
    name: "TRL preferences",
    expected: "JSON rows with prompt, chosen and rejected",
};

/// Two answers to one context, and which one was preferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name of the row: its `id`, or `row-17` for the row at index 17.
    pub id: String,
    /// File name relative to an image folder.
    pub image: Option<String>,
    /// What both answer: alternating turns that end in a human one.
    pub turns: Vec<Turn>,
    /// The preferred answer.
    pub chosen: String,
    /// The other one.
    pub rejected: String,
}

impl From<Pair> for Preference {
    /// Which of the two questions decided is not in such files. The comparison is taken to be about what the answers are
    /// worth, so that nothing is claimed of hallucinations that nobody looked for.
    fn from(pair: Pair) -> Self {
        Self {
            id: pair.id,
            image: pair.image,
            turns: pair.turns,
            original_answer: None,
            outputs: [pair.chosen, pair.rejected],
            fewer_hallucinations: Verdict::Tie,
            more_helpful: Some(Side::First),
            record: None,
        }
    }
}

/// A row as the files have it.
#[derive(Deserialize)]
struct Row {
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

/// The pair that row `i` says.
fn pair(i: usize, mut row: Row) -> Result<Pair, Fault> {
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
    let names = [row.image, row.images]
        .into_iter()
        .flatten()
        .flat_map(Names::list);
    let mut names: Vec<String> = names.collect::<Result<_, Fault>>()?;
    if names.is_empty() {
        names.extend(row.image_path);
    }
    let image = message::place_picture(&mut prompt, names)?;
    let context = row.context.unwrap_or_default();
    let pair = Pair {
        id: row.id.map_or_else(|| format!("row-{i}"), |Id(id)| id),
        image,
        turns: message::turns(&prompt)?,
        chosen: after(&context, answer("chosen", &chosen)?),
        rejected: after(&context, answer("rejected", &rejected)?),
    };
    match fault_of(&pair) {
        None => Ok(pair),
        Some((field, found)) if field.starts_with("conversations") => refuse("prompt", found),
        Some((field, found)) if field == "outputs[0]" => refuse("chosen", found),
        Some((field, found)) if field == "outputs[1]" => refuse("rejected", found),
        Some(fault) => Err(fault),
    }
}

fn fault_of(pair: &Pair) -> Option<Fault> {
    let image = pair.image.as_deref();
    context_fault(&pair.turns, image)
        .or_else(|| placeholder_fault(&pair.turns, image, [&pair.chosen, &pair.rejected]))
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

/// The pairs of rows that were read from `path`.
fn pairs(path: &Path, rows: Vec<Row>, numbering: Numbering<'_>) -> Result<Vec<Pair>, DataError> {
    let table: Table<'_, Row> = Table {
        path,
        format: &FORMAT,
        numbering,
        rows: &[],
    };
    let convert = |(i, row)| {
        pair(i, row).map_err(|(field, found)| DataError::Field {
            spot: Spot::new(path, table.place(i), field),
            found,
            remedy: FORMAT.remedy().into(),
        })
    };
    rows.into_iter().enumerate().map(convert).collect()
}

/// Parses the text of a file: JSON lines, or one JSON list.
///
/// # Errors
/// [`DataError`] naming row or line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Pair>, DataError> {
    if text.trim_start().starts_with('[') {
        return pairs(path, rows::list(path, text, &FORMAT)?, Numbering::List);
    }
    let (rows, lines) = rows::lines(path, text, &FORMAT)?;
    pairs(path, rows, Numbering::Lines(&lines))
}

/// Reads a file: JSON lines, a JSON list, or parquet, whatever its name. In a parquet file a picture may be inside;
/// `embedded` is given its bytes and returns the name that the pair has it under.
///
/// # Errors
/// As [`parse`], the file cannot be read, or as `embedded` says.
pub fn read(
    path: &Path,
    embedded: &mut dyn FnMut(&[u8]) -> Result<String, DataError>,
) -> Result<Vec<Pair>, DataError> {
    if FileKind::at(path) == Some(FileKind::Parquet) {
        return parquet::read(path, embedded);
    }
    parse(path, &text::read(path, &FORMAT)?)
}
