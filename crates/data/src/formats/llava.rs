//! LLaVA conversations: a JSON list of rows with `id`, optional `image`, and `conversations`.
//!
//! The id is not a key here: the public sets give one image's id to several rows. Candor's own sets have
//! distinct ids, and [`check_unique_ids`] says whether a set has.

use std::cell::Cell;
use std::path::Path;

use super::folder;
use super::hub::Set;
use super::images::Embedded;
use super::rows;
use super::table::{Fault, Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::conversation::{Conversation, turn_fault};
use crate::error::DataError;
use crate::rows::{Row, SourceFile};
use crate::shown;
use crate::sources;

pub(super) const FORMAT: Format = Format {
    name: "LLaVA conversations",
    expected: "a JSON list of conversations",
};

/// Refuses the second row with the same id.
///
/// # Errors
/// [`DataError::DuplicateId`].
pub fn check_unique_ids(path: &Path, rows: &[Conversation]) -> Result<(), DataError> {
    Table::list(path, &FORMAT, rows)
        .unique("id", |row| row.id.as_str())
        .map(drop)
}

/// Refuses a row whose number of `<image>` placeholders is not the number of its images.
///
/// # Errors
/// [`DataError::Field`].
pub fn check_placeholders(path: &Path, rows: &[Conversation]) -> Result<(), DataError> {
    let find = |row: &Conversation| {
        let (expected, found) = (shown::count(row.image.as_deref()), row.n_placeholders());
        if expected == found {
            return None;
        }
        fault(
            "conversations",
            format!("found {found} `<image>` in the human turns, expected {expected}"),
        )
    };
    Table::list(path, &FORMAT, rows).each(find).map(drop)
}

/// What is wrong with a row, if anything is.
pub(super) fn row_fault(row: &Conversation) -> Option<Fault> {
    if row.image.as_deref() == Some("") {
        return fault("image", "found an empty name");
    }
    turn_fault(&row.turns)
}

fn check(table: &Table<'_, Conversation>) -> Result<(), DataError> {
    table.not_empty()?.each(row_fault).map(drop)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Conversation>, DataError> {
    let rows = rows::list(path, text, &FORMAT)?;
    check(&Table::list(path, &FORMAT, &rows))?;
    Ok(rows)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Conversation>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// Hands out the rows of a file with their indices as they are read, so that the file need not fit into the memory.
///
/// # Errors
/// As [`read`], or the first of `take`.
pub fn each(
    path: &Path,
    mut take: impl FnMut(usize, Conversation) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut index = 0;
    rows::each(path, &FORMAT, None, |row: Conversation| {
        if let Some(fault) = row_fault(&row) {
            return Err(Table::<Conversation>::list(path, &FORMAT, &[]).refusal(index, fault));
        }
        index += 1;
        take(index - 1, row)
    })
}

/// The rows as the hub has them, in files of any kind.
const SET: Set<Conversation, Conversation> = Set {
    format: &FORMAT,
    columns: &["id", "image", "images", "conversations"],
    make: |_, row| match row_fault(&row) {
        None => Ok(row),
        Some(fault) => Err(fault),
    },
};

/// Hands out the rows of a set with their names as they are read: of a file, or of all files of a folder ([`folder::files`]).
///
/// # Errors
/// As [`each_of_any`] and [`folder::files`], or the first of `take`.
pub fn each_of_set(
    path: &Path,
    embedded: Embedded<'_>,
    mut take: impl FnMut(Row<Conversation>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for path in folder::files(path)? {
        let file = SourceFile::new(&path);
        each_of_any(&path, embedded, &Cell::new(0.0), |number, row| {
            take(sources::as_it_is(&file, number, row))
        })?;
    }
    Ok(())
}

/// As [`each`], of a file that is a JSON list, JSON lines or parquet, whatever its name. In a parquet file images may be inside; `embedded`
/// is given their bytes and returns the name that the row has them under; `share` is that of the file that has been read.
///
/// # Errors
/// As [`each`], or as `embedded` says.
pub fn each_of_any(
    path: &Path,
    embedded: Embedded<'_>,
    share: &Cell<f64>,
    take: impl FnMut(usize, Conversation) -> Result<(), DataError>,
) -> Result<(), DataError> {
    SET.each(path, embedded, share, take)
}

/// The text of a file with these rows.
///
/// # Errors
/// [`DataError`] for rows that [`parse`] would refuse.
pub fn render(path: &Path, rows: &[Conversation]) -> Result<String, DataError> {
    check(&Table::list(path, &FORMAT, rows))?;
    Ok(rows::list_json(rows) + "\n")
}

/// Writes a file with these rows.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, rows: &[Conversation]) -> Result<(), DataError> {
    atomic::write(path, render(path, rows)?.as_bytes())
}
