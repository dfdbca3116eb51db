//! A reward model's scores of both outputs of items to compare: JSON lines.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{self, Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::conversation::text_or_integer;
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "Scores",
    expected: "JSON lines with id and scores",
};

/// The scores of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    table::parse_lines(path, text, &FORMAT, check)
}

fn check(table: &Table<'_, Scores>) -> Result<(), DataError> {
    let finite = |row: &Scores| {
        if row.scores.iter().all(|score| score.is_finite()) {
            return None;
        }
        fault("scores", "found a number that is not finite")
    };
    let table = table.unique("id", |row| row.id.as_str())?;
    table.each(finite).map(drop)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Scores>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// Writes a file with these rows.
///
/// # Errors
/// [`DataError`] for rows that [`parse`] would refuse, or the file cannot be written.
pub fn write(path: &Path, rows: &[Scores]) -> Result<(), DataError> {
    let text = table::render_lines(path, rows, &FORMAT, check)?;
    atomic::write(path, text.as_bytes())
}
