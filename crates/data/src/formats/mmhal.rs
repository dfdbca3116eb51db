//! The MMHal-Bench template: a JSON list of questions with what is in the image and an ideal answer.
//!
//! The official script takes the question type from the position in the file (index modulo 8) and ignores
//! the field; keep the order of the template when answers are filled in.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rows;
use super::table::{Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "MMHal-Bench",
    expected: "a JSON list of questions",
};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// One of the benchmark's eight types, such as `attribute`.
    pub question_type: String,
    /// One of its twelve topics, such as `outdoor`.
    pub question_topic: String,
    /// Name of the image.
    pub image_id: String,
    /// Where the image is from: an address, or a file name relative to an image folder.
    pub image_src: String,
    /// What is in the image.
    pub image_content: Vec<String>,
    /// The question.
    pub question: String,
    /// An ideal answer.
    pub gt_answer: String,
    /// The answer to be judged; empty in the template.
    pub model_answer: String,
}

fn check(table: &Table<'_, Question>) -> Result<(), DataError> {
    table
        .not_empty()?
        .each(|row| {
            if row.question.trim().is_empty() {
                return fault("question", "found an empty question");
            }
            None
        })
        .map(drop)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    let rows = rows::list(path, text, &FORMAT)?;
    check(&Table::list(path, &FORMAT, &rows))?;
    Ok(rows)
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
    check(&Table::list(path, &FORMAT, rows))?;
    Ok(rows::list_json(rows) + "\n")
}

/// Writes a file with these rows.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, rows: &[Question]) -> Result<(), DataError> {
    atomic::write(path, render(path, rows)?.as_bytes())
}
