//! TRL's unpaired preferences: `prompt`, `completion` and `label`, an answer each with whether it is a good one.
//!
//! Texts, messages and images are as in the preferences. `prompt` is never left out: with one answer there is nothing that two
//! begin with.

use std::path::Path;

use serde::Deserialize;

use super::message::{self, Names, Text};
use super::{Id, answer, image_names, refuse};
use crate::error::DataError;
use crate::formats::hub::Set;
use crate::formats::images::Embedded;
use crate::formats::preference_log::context_fault;
use crate::formats::table::Fault;
use crate::formats::text::Format;
use crate::preference::placeholder_fault;
use crate::rated::RatedAnswer;

pub(crate) const FORMAT: Format = Format {
    name: "TRL unpaired preferences",
    expected: "JSON rows with prompt, completion and label",
};

const SET: Set<Row, RatedAnswer> = Set {
    format: &FORMAT,
    columns: &[
        "id",
        "image",
        "images",
        "image_path",
        "prompt",
        "completion",
        "label",
    ],
    make: rated,
};

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
    completion: Option<Text>,
    #[serde(default)]
    label: Option<bool>,
}

/// The rated answer that row `i` says; without an `id` it is called `row-17` at index 17.
fn rated(i: usize, row: Row) -> Result<RatedAnswer, Fault> {
    let missing = |field: &str| (field.to_owned(), "missing".to_owned());
    let prompt = row.prompt.ok_or_else(|| missing("prompt"))?;
    let completion = row.completion.ok_or_else(|| missing("completion"))?;
    let is_desirable = row.label.ok_or_else(|| missing("label"))?;
    let mut prompt = prompt.messages("user");
    let names = image_names(row.image, row.images, row.image_path)?;
    let image = message::place_image(&mut prompt, names)?;
    let rated = RatedAnswer {
        id: row.id.map_or_else(|| format!("row-{i}"), |Id(id)| id),
        image,
        turns: message::turns(&prompt)?,
        answer: answer("completion", &completion.messages("assistant"))?,
        is_desirable,
    };
    let image = rated.image.as_deref();
    let fault = context_fault(&rated.turns, image)
        .or_else(|| placeholder_fault(&rated.turns, image, [rated.answer.as_str()]));
    match fault {
        None => Ok(rated),
        Some((field, found)) if field.starts_with("conversations") => refuse("prompt", found),
        Some((field, found)) if field.starts_with("outputs") => refuse("completion", found),
        Some(fault) => Err(fault),
    }
}

/// Parses the text of a file: JSON lines, or one JSON list.
///
/// # Errors
/// [`DataError`] naming row or line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<RatedAnswer>, DataError> {
    SET.parse(path, text)
}

/// Reads a file: JSON lines, a JSON list, or parquet, whatever its name. In a parquet file an image may be inside;
/// `embedded` is given its bytes and returns the name that the row has it under.
///
/// # Errors
/// As [`parse`], the file cannot be read, or as `embedded` says.
pub fn read(path: &Path, embedded: Embedded<'_>) -> Result<Vec<RatedAnswer>, DataError> {
    SET.read(path, embedded)
}
