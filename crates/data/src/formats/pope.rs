//! POPE: JSON lines of questions whether an object is in the image.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{self, Table};
use super::text::{self, Format};
use crate::atomic;
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "POPE",
    expected: "JSON lines of yes/no questions",
};

/// Whether the object is in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Key in the file.
    pub question_id: u64,
    /// File name relative to the image folder.
    pub image: String,
    /// The question.
    pub text: String,
    /// The true answer.
    pub label: Label,
}

fn check(table: &Table<'_, Question>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique("question_id", |row| row.question_id)
        .map(drop)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    table::parse_lines(path, text, &FORMAT, check)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Question>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The text of a file with these rows.
///
/// # Errors
/// [`DataError`] for rows that [`parse`] would refuse.
pub fn render(path: &Path, rows: &[Question]) -> Result<String, DataError> {
    table::render_lines(path, rows, &FORMAT, check)
}

/// Writes a file with these rows.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, rows: &[Question]) -> Result<(), DataError> {
    atomic::write(path, render(path, rows)?.as_bytes())
}
