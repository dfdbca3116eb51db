//! Answers by themselves that somebody has called good or bad, as KTO learns from them, and the files of them.

use std::path::{Path, PathBuf};

use crate::comparisons::{FileRow, RowFile, Take};
use crate::conversation::Turn;
use crate::error::DataError;
use crate::formats::images::Embedded;
use crate::formats::trl::unpaired;

/// An answer to a context, and what was said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatedAnswer {
    /// Name of the row; files may repeat names.
    pub id: String,
    /// File name relative to an image folder, or several ([`crate::shown`]).
    pub image: Option<String>,
    /// What is answered: alternating turns that end in a human one.
    pub turns: Vec<Turn>,
    /// The answer.
    pub answer: String,
    /// Whether it is one to learn, and not one to avoid.
    pub is_desirable: bool,
}

/// A file of rated answers: TRL's unpaired preferences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatedFile {
    /// The file.
    pub path: PathBuf,
}

impl RowFile for RatedFile {
    type Row = RatedAnswer;

    const ROWS: &'static str = "rated answers";

    fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, path: PathBuf) -> Self {
        Self { path }
    }

    fn each(&self, embedded: Embedded<'_>, take: Take<'_, RatedAnswer>) -> Result<(), DataError> {
        unpaired::each(&self.path, embedded, |row| {
            take(FileRow {
                id: row.id.clone(),
                image: row.image.clone(),
                row: Some(row),
            })
        })
    }
}
