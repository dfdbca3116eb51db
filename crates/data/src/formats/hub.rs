//! Sets as the Hugging Face hub has them: rows as JSON lines, as one JSON list, or as parquet, whatever the file's name.

use std::cell::Cell;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::images::Embedded;
use super::table::{self, Fault, Numbering, Table};
use super::text::{self, Format};
use super::{parquet, rows};
use crate::error::DataError;
use crate::file_kind::FileKind;

/// What a set's rows are, and what is made of each, given with its index.
pub(super) struct Set<R, T> {
    /// What messages call it.
    pub format: &'static Format,
    /// The columns of a parquet file that say something.
    pub columns: &'static [&'static str],
    /// What is made of a row.
    pub make: fn(usize, R) -> Result<T, Fault>,
}

impl<R: DeserializeOwned, T> Set<R, T> {
    /// Parses the text of a file: JSON lines, or one JSON list.
    pub(super) fn parse(&self, path: &Path, text: &str) -> Result<Vec<T>, DataError> {
        if text.trim_start().starts_with('[') {
            let rows = rows::list(path, text, self.format)?;
            return self.convert(path, rows, Numbering::List);
        }
        let (rows, lines) = rows::lines(path, text, self.format)?;
        self.convert(path, rows, Numbering::Lines(&lines))
    }

    /// Reads a file. In a parquet file images may be inside; `embedded` is given their bytes and returns the name that the row has
    /// them under.
    pub(super) fn read(&self, path: &Path, embedded: Embedded<'_>) -> Result<Vec<T>, DataError> {
        if FileKind::at(path) == Some(FileKind::Parquet) {
            let rows = parquet::rows(path, self.format, self.columns, embedded)?;
            return self.convert(path, rows, Numbering::List);
        }
        self.parse(path, &text::read(path, self.format)?)
    }

    /// Hands out what is made of a file's rows with their indices, as they are read: never more than one row of JSON, or a group of
    /// parquet's, is in memory. `embedded` is as in [`Set::read`], and `share` is that of the file that has been read.
    pub(super) fn each(
        &self,
        path: &Path,
        embedded: Embedded<'_>,
        share: &Cell<f64>,
        mut take: impl FnMut(usize, T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let made = |index, place, row| {
            let made = (self.make)(index, row);
            made.map_err(|fault| table::refusal(path, place, self.format, fault))
        };
        if FileKind::at(path) == Some(FileKind::Parquet) {
            let take = |i, row: R| take(i, made(i, parquet::place_of(i), row)?);
            let columns = self.columns;
            return parquet::each_typed(path, self.format, columns, embedded, share, take);
        }
        let mut n_rows = 0;
        rows::each_of_any(path, self.format, share, |place, row: R| {
            n_rows += 1;
            take(n_rows - 1, made(n_rows - 1, place, row)?)
        })
    }

    fn convert(
        &self,
        path: &Path,
        rows: Vec<R>,
        numbering: Numbering<'_>,
    ) -> Result<Vec<T>, DataError> {
        let table = Table {
            path,
            format: self.format,
            numbering,
            rows: &[],
        };
        table.convert(rows, self.make)
    }
}
