//! TRL's unpaired preferences: `prompt`, `completion` and `label`, an answer each with whether it is a good one.
//!
//! Texts, messages and images are as in the preferences. `prompt` is never left out: with one answer there is nothing that two
//! begin with.

use std::cell::Cell;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::message::{self, Names, Text};
use super::{Id, answer, image_names, refuse, written};
use crate::error::DataError;
use crate::formats::hub::Set;
use crate::formats::images::Embedded;
use crate::formats::preference_log::context_fault;
use crate::formats::table::Fault;
use crate::formats::text::Format;
use crate::preference::placeholder_fault;
use crate::rated::RatedAnswer;
use crate::{atomic, shown};

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

/// Hands out the rows of a file with what [`read`] makes of each, as they are read: never more than one row of JSON, or a group of
/// parquet's, is in memory. The first that `take` refuses ends it.
///
/// # Errors
/// As [`read`], or the first of `take`.
pub fn each(
    path: &Path,
    embedded: Embedded<'_>,
    mut take: impl FnMut(RatedAnswer) -> Result<(), DataError>,
) -> Result<(), DataError> {
    SET.each(path, embedded, &Cell::new(0.0), |_, row| take(row))
}

/// The text of a file with these rows: JSON lines.
///
/// # Errors
/// [`DataError`] for rows that [`parse`] would refuse.
pub fn render(path: &Path, rows: &[RatedAnswer]) -> Result<String, DataError> {
    let mut text = String::new();
    for row in rows {
        let prompt: Vec<Value> = row.turns.iter().map(written::message).collect();
        let mut line = json!({
            "id": row.id,
            "prompt": prompt,
            "completion": written::answer(&row.answer),
            "label": row.is_desirable,
        });
        if let Some(image) = &row.image {
            line["images"] = shown::names(image).collect();
        }
        text.push_str(&line.to_string());
        text.push('\n');
    }
    parse(path, &text)?;
    Ok(text)
}

/// Writes a file with these rows.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, rows: &[RatedAnswer]) -> Result<(), DataError> {
    atomic::write(path, render(path, rows)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Turn;

    #[test]
    fn what_is_written_is_read_again() {
        let row = |id: &str, image: Option<&str>, turns: Vec<Turn>, is_desirable| RatedAnswer {
            id: id.to_owned(),
            image: image.map(str::to_owned),
            turns,
            answer: "A dog.\nAnd \"a cat\".".to_owned(),
            is_desirable,
        };
        let several = vec![
            Turn::human("<image>\nWhat is it?"),
            Turn::gpt("A dog."),
            Turn::human("Really?"),
        ];
        let rows = [
            row(
                "a",
                Some("a.png"),
                vec![Turn::human("<image>\nWhat is it?")],
                true,
            ),
            row("b", None, vec![Turn::human("Hello.")], false),
            row("c", Some("a.png"), several, true),
        ];
        let path = Path::new("rated.jsonl");
        let text = render(path, &rows).unwrap();
        assert_eq!(parse(path, &text).unwrap(), rows);
        assert_eq!(text.lines().count(), 3);
        // A row that could not be read is not written.
        let unasked = row("d", None, vec![Turn::gpt("A dog.")], true);
        assert!(render(path, &[unasked]).is_err());
    }
}
