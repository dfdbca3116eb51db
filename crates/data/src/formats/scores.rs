//! A reward model's scores of both outputs of items to compare: JSON lines.

use std::path::Path;

use serde::Deserialize;

use super::rows;
use super::table::{Numbering, Table, fault};
use super::text::{self, Format};
use crate::conversation::text_or_integer;
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "Scores",
    expected: "JSON lines with id and scores",
};

/// The scores of one item.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Scores {
    /// The item's id.
    #[serde(deserialize_with = "text_or_integer")]
    pub id: String,
    /// Of the first output, and of the second.
    pub scores: [f64; 2],
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Scores>, DataError> {
    let (rows, lines): (Vec<Scores>, _) = rows::lines(path, text, &FORMAT)?;
    let table = Table {
        path,
        format: &FORMAT,
        numbering: Numbering::Lines(&lines),
        rows: &rows,
    };
    table.unique("id", |row| row.id.as_str())?.each(|row| {
        if row.scores.iter().all(|score| score.is_finite()) {
            return None;
        }
        fault("scores", "found a number that is not finite")
    })?;
    Ok(rows)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Scores>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}
