//! A-OKVQA: a JSON list of multiple-choice questions with rationales.
//!
//! The test split has neither correct choices nor rationales; those fields are then absent.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rows;
use super::table::{Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::error::DataError;
use crate::formats::ImageId;
use crate::prompt::Choice;

const FORMAT: Format = Format {
    name: "A-OKVQA",
    expected: "a JSON list of multiple-choice questions",
};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// `train`, `val` or `test`.
    pub split: String,
    /// The image.
    pub image_id: ImageId,
    /// Key in the file.
    pub question_id: String,
    /// The question.
    pub question: String,
    /// The options, A to D.
    pub choices: [String; 4],
    /// Index of the correct option; absent in the test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct_choice_idx: Option<usize>,
    /// Ten people's free answers; absent in the test split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub direct_answers: Vec<String>,
    /// Whether free answers disagree too much to be scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difficult_direct_answer: Option<bool>,
    /// Three people's reasons for the correct option; absent in the test split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rationales: Vec<String>,
}

impl Question {
    /// The correct option, where the split tells.
    #[must_use]
    pub fn correct_choice(&self) -> Option<Choice> {
        self.correct_choice_idx.and_then(Choice::from_index)
    }
}

fn check(table: &Table<'_, Question>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique("question_id", |row| row.question_id.as_str())?
        .each(|row| {
            let index = row.correct_choice_idx.filter(|&index| index > 3)?;
            fault(
                "correct_choice_idx",
                format!("found {index}, expected 0 to 3"),
            )
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
