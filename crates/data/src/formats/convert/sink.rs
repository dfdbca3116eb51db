//! What rows are written into: a JSON list, JSON lines or parquet.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::DataError;
use crate::formats::parquet::write::{Node, Pictures, Writer};
use crate::formats::rows::{ListWriter, row_json};

/// What a file is, told by how its name ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    List,
    Lines,
    Parquet,
}

impl Container {
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "json" => Some(Self::List),
            "jsonl" => Some(Self::Lines),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// A file that takes rows.
pub(super) struct Sink<'f> {
    path: PathBuf,
    rows: Rows<'f>,
}

enum Rows<'f> {
    List(ListWriter<BufWriter<&'f mut File>>),
    Lines(BufWriter<&'f mut File>),
    Parquet(Box<Writer<'f>>),
}

impl<'f> Sink<'f> {
    /// `path` names the file in messages; only parquet has `columns`.
    pub(super) fn new(
        path: &Path,
        container: Container,
        columns: Option<Vec<(&'static str, Node)>>,
        file: &'f mut File,
    ) -> Result<Self, DataError> {
        let rows = match container {
            Container::List => Rows::List(ListWriter::new(buffered(file))),
            Container::Lines => Rows::Lines(buffered(file)),
            Container::Parquet => {
                let columns = columns.unwrap_or_default();
                Rows::Parquet(Box::new(Writer::new(path, file, columns)?))
            }
        };
        Ok(Self {
            path: path.to_path_buf(),
            rows,
        })
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: &Value, pictures: Pictures<'_>) -> Result<(), DataError> {
        let added = match &mut self.rows {
            Rows::List(list) => list.add(row),
            Rows::Lines(lines) => writeln!(lines, "{}", row_json(row)),
            Rows::Parquet(table) => return table.add(row, pictures),
        };
        added.map_err(|error| unwritten(&self.path, error))
    }

    /// Ends the file, which has at least one row.
    pub(super) fn end(self) -> Result<(), DataError> {
        let ended = match self.rows {
            Rows::List(list) => list.end().and_then(|mut file| file.flush()),
            Rows::Lines(mut lines) => lines.flush(),
            Rows::Parquet(table) => return table.end(),
        };
        ended.map_err(|error| unwritten(&self.path, error))
    }
}

fn buffered(file: &mut File) -> BufWriter<&mut File> {
    BufWriter::with_capacity(1 << 20, file)
}

fn unwritten(path: &Path, source: io::Error) -> DataError {
    DataError::Io {
        action: "write",
        path: path.to_path_buf(),
        remedy: "check that the disk has room and that you may write there".into(),
        source,
    }
}
