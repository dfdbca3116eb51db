//! Candor's own file of answers that wait to be put in order: JSON lines of three to eight answers to one context.
//!
//! Pairs wait in [`super::candidates`]; here nothing is kept of how the answers came about, so that those of any models
//! and files can stand in one row.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::preference_log::context_fault;
use super::table::{self, Fault, Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::conversation::Turn;
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "Answer sets",
    expected: "JSON lines of three to eight answers each",
};

/// Fewest answers of a row: two are compared.
pub const MIN_OUTPUTS: usize = 3;
/// Most answers of a row: more are not put in order with care, and do not fit a page.
pub const MAX_OUTPUTS: usize = 8;

/// Several answers to one context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerSet {
    /// Name of the set: a key.
    pub id: String,
    /// File name relative to an image folder, or several ([`crate::shown`]).
    #[serde(
        default,
        alias = "images",
        with = "crate::shown",
        skip_serializing_if = "Option::is_none"
    )]
    pub image: Option<String>,
    /// What all outputs respond to: alternating turns that end in a human one.
    #[serde(rename = "conversations")]
    pub turns: Vec<Turn>,
    /// The data set's own answer, which the outputs stand in for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_answer: Option<String>,
    /// The answers.
    pub outputs: Vec<String>,
}

/// What is wrong with a row, if anything is.
pub(super) fn row_fault(row: &AnswerSet) -> Option<Fault> {
    let n = row.outputs.len();
    if !(MIN_OUTPUTS..=MAX_OUTPUTS).contains(&n) {
        let found = format!("found {n} answers, expected {MIN_OUTPUTS} to {MAX_OUTPUTS}");
        return fault("outputs", found);
    }
    context_fault(&row.turns, row.image.as_deref())
}

fn check(table: &Table<'_, AnswerSet>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique("id", |row| row.id.as_str())?
        .each(row_fault)
        .map(drop)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<AnswerSet>, DataError> {
    table::parse_lines(path, text, &FORMAT, check)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<AnswerSet>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The text of a file with these rows.
///
/// # Errors
/// [`DataError`] for rows that [`parse`] would refuse.
pub fn render(path: &Path, rows: &[AnswerSet]) -> Result<String, DataError> {
    table::render_lines(path, rows, &FORMAT, check)
}

/// Writes a file with these rows.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, rows: &[AnswerSet]) -> Result<(), DataError> {
    atomic::write(path, render(path, rows)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_written() {
        let line = |id: &str| {
            format!(
                r#"{{"id":"{id}","image":"a.png","conversations":[{{"from":"human","value":"<image>\nQ"}}],"original_answer":"A","outputs":["1","2","3"]}}"#
            ) + "\n"
        };
        let path = Path::new("sets.jsonl");
        let text = line("a") + &line("b");
        let rows = parse(path, &text).unwrap();
        assert_eq!((rows.len(), rows[1].outputs.len()), (2, 3));
        assert_eq!(render(path, &rows).unwrap(), text);
        let mut pair = rows.clone();
        pair[0].outputs.truncate(2);
        let refused = render(path, &pair).unwrap_err().to_string();
        assert!(
            refused.contains("found 2 answers, expected 3 to 8"),
            "{refused}"
        );
    }
}
