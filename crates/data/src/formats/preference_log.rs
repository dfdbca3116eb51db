//! Candor's own record of human preferences: JSON lines that keep what the public format loses.
//!
//! Both protocol questions, who judged, when, with which seed, and which output stood on the left. Lines
//! can be appended while people annotate, and a file cut off in its last line still tells which line.

use std::path::Path;

use super::table::{self, Fault, Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::conversation::{Turn, turn_fault};
use crate::error::DataError;
use crate::preference::Preference;

pub(crate) const FORMAT: Format = Format {
    name: "Preference log",
    expected: "JSON lines of comparisons",
};

/// What is wrong with what two outputs respond to, if anything is.
pub(super) fn context_fault(turns: &[Turn], image: Option<&str>) -> Option<Fault> {
    if let Some((field, found)) = turn_fault(turns) {
        return Some((field, found));
    }
    if turns.len().is_multiple_of(2) {
        return fault(
            "conversations",
            "found a last turn of gpt, expected a human turn that the outputs answer",
        );
    }
    if image == Some("") {
        return fault("image", "found an empty name");
    }
    None
}

/// What is wrong with a comparison, if anything is.
pub(super) fn row_fault(row: &Preference) -> Option<Fault> {
    let context = context_fault(&row.turns, row.image.as_deref());
    if context.is_none() && row.preferred().is_none() {
        return fault(
            "more_helpful",
            "missing after a tie in `fewer_hallucinations`",
        );
    }
    context
}

fn check(table: &Table<'_, Preference>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique("id", |row| row.id.as_str())?
        .each(row_fault)
        .map(drop)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Preference>, DataError> {
    table::parse_lines(path, text, &FORMAT, check)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Preference>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The text of a file with these rows.
///
/// # Errors
/// [`DataError`] for rows that [`parse`] would refuse.
pub fn render(path: &Path, rows: &[Preference]) -> Result<String, DataError> {
    table::render_lines(path, rows, &FORMAT, check)
}

/// Writes a file with these rows.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, rows: &[Preference]) -> Result<(), DataError> {
    atomic::write(path, render(path, rows)?.as_bytes())
}
