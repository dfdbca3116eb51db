//! What must hold of rows beyond their types: checked alike after reading and before writing.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::rows;
use super::text::{Format, empty};
use crate::error::{DataError, Place, Spot};

/// What is wrong with a row: the field, and what was found in it.
pub(super) type Fault = (String, String);

/// A fault of one field.
#[expect(clippy::unnecessary_wraps, reason = "callers answer with it")]
pub(super) fn fault(field: impl Into<String>, found: impl Into<String>) -> Option<Fault> {
    Some((field.into(), found.into()))
}

/// The refusal of the row at a place.
pub(super) fn refusal(
    path: &Path,
    place: Place,
    format: &Format,
    (field, found): Fault,
) -> DataError {
    DataError::Field {
        spot: Spot::new(path, place, field),
        found,
        remedy: format.remedy().into(),
    }
}

/// How a row is named in messages.
pub(super) enum Numbering<'a> {
    /// By its index in the file's only list.
    List,
    /// By its index in the list of this name.
    Named(&'static str),
    /// By the line it stands on.
    Lines(&'a [usize]),
    /// Each row is one line, without gaps.
    EveryLine,
}

/// The rows of the text of JSON lines, of which `check` refuses none.
pub(super) fn parse_lines<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    format: &Format,
    check: impl FnOnce(&Table<'_, T>) -> Result<(), DataError>,
) -> Result<Vec<T>, DataError> {
    let (rows, lines) = rows::lines(path, text, format)?;
    check(&Table {
        path,
        format,
        numbering: Numbering::Lines(&lines),
        rows: &rows,
    })?;
    Ok(rows)
}

/// The text of JSON lines that [`parse_lines`] takes.
pub(super) fn render_lines<T: Serialize>(
    path: &Path,
    rows: &[T],
    format: &Format,
    check: impl FnOnce(&Table<'_, T>) -> Result<(), DataError>,
) -> Result<String, DataError> {
    check(&Table {
        path,
        format,
        numbering: Numbering::EveryLine,
        rows,
    })?;
    Ok(rows::lines_json(rows))
}

/// Rows of a file together with what messages about them need.
pub(super) struct Table<'a, T> {
    pub path: &'a Path,
    pub format: &'a Format,
    pub numbering: Numbering<'a>,
    pub rows: &'a [T],
}

impl<'a, T> Table<'a, T> {
    /// The rows of a JSON list.
    pub(crate) fn list(path: &'a Path, format: &'a Format, rows: &'a [T]) -> Self {
        Self {
            path,
            format,
            numbering: Numbering::List,
            rows,
        }
    }

    /// The rows of one list of an object.
    pub(crate) fn named(
        path: &'a Path,
        format: &'a Format,
        list: &'static str,
        rows: &'a [T],
    ) -> Self {
        Self {
            path,
            format,
            numbering: Numbering::Named(list),
            rows,
        }
    }

    /// Where row `row` stands.
    pub(crate) fn place(&self, row: usize) -> Place {
        match self.numbering {
            Numbering::List => Place::Row {
                list: None,
                row,
                line: None,
            },
            Numbering::Named(list) => Place::Row {
                list: Some(list),
                row,
                line: None,
            },
            Numbering::Lines(lines) => Place::Line(lines[row]),
            Numbering::EveryLine => Place::Line(row + 1),
        }
    }

    /// Refuses a table without rows.
    pub(crate) fn not_empty(&self) -> Result<&Self, DataError> {
        let list = match self.numbering {
            Numbering::Named(list) => list,
            _ => "",
        };
        if self.rows.is_empty() {
            return Err(empty(self.path, Place::File, list, self.format));
        }
        Ok(self)
    }

    /// The refusal of row `row`.
    pub(crate) fn refusal(&self, row: usize, fault: Fault) -> DataError {
        refusal(self.path, self.place(row), self.format, fault)
    }

    /// Refuses the first row that `find` finds a fault with.
    pub(crate) fn each(&self, find: impl Fn(&T) -> Option<Fault>) -> Result<&Self, DataError> {
        let faults = self.rows.iter().map(find).enumerate();
        for (row, fault) in faults {
            if let Some(fault) = fault {
                return Err(self.refusal(row, fault));
            }
        }
        Ok(self)
    }

    /// Makes something of all `rows` of the file, each given with its index, and refuses the first that nothing can be
    /// made of.
    pub(crate) fn convert<U>(
        &self,
        rows: Vec<T>,
        make: impl Fn(usize, T) -> Result<U, Fault>,
    ) -> Result<Vec<U>, DataError> {
        let rows = rows.into_iter().enumerate();
        rows.map(|(i, row)| make(i, row).map_err(|fault| self.refusal(i, fault)))
            .collect()
    }

    /// Refuses the second row with the same key in `field`.
    pub(crate) fn unique<K: Hash + Eq + Display>(
        &self,
        field: &str,
        key: impl Fn(&'a T) -> K,
    ) -> Result<&Self, DataError> {
        let mut first_rows = HashMap::with_capacity(self.rows.len());
        for (row, value) in self.rows.iter().enumerate() {
            let id = key(value);
            if let Some(&first) = first_rows.get(&id) {
                return Err(DataError::DuplicateId {
                    spot: Spot::new(self.path, self.place(row), field),
                    id: id.to_string(),
                    first: self.place(first),
                    remedy: "give each row an id of its own, or remove one of the two".into(),
                });
            }
            first_rows.insert(id, row);
        }
        Ok(self)
    }
}
