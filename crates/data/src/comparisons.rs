//! Comparisons, and rated answers, on their way into a stage that learns from them: read, rows that say nothing left out, bad rows
//! found, split by image. What a stage makes of a row is its own; so the reward model and whatever else learns from comparisons
//! read, refuse, skip and split alike. A run keeps what it made of the rows on the disk ([`Parts`]), so that the files need not fit
//! into the memory.
//!
//! Facts are no part of this: only a reward model is shown them.

mod format;
mod judged;
mod parts;
mod reading;
mod split;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use self::format::ComparisonFormat;
pub use self::judged::Judged;
pub use self::parts::{KeptRow, Parts};
use crate::comparison::Comparison;
use crate::error::{DataError, Place, Spot};
use crate::formats::images::{self, Embedded};
use crate::preference::Side;
use crate::rated::RatedFile;
use crate::rows::{Look, OnBadRow};

/// A file of rows that a stage learns from.
pub trait RowFile: Sized {
    /// What a stage makes something of.
    type Row: Send;

    /// What messages call its rows.
    const ROWS: &'static str;

    /// Where it is; a folder is one of several such files ([`crate::formats::folder::files`]).
    fn path(&self) -> &Path;

    /// Another file that is as this one.
    #[must_use]
    fn at(&self, path: PathBuf) -> Self;

    /// Hands out its rows. `embedded` is what becomes of an image that is inside the file.
    ///
    /// # Errors
    /// The file is missing, damaged or not judged, or the first of `take`.
    fn each(&self, embedded: Embedded<'_>, take: Take<'_, Self::Row>) -> Result<(), DataError>;
}

/// What is done with the rows of a file.
pub type Take<'a, R> = &'a mut dyn FnMut(FileRow<R>) -> Result<(), DataError>;

/// A row of a file.
#[derive(Debug)]
pub struct FileRow<R> {
    /// Its name.
    pub id: String,
    /// What it shows, if anything ([`crate::shown`]).
    pub image: Option<String>,
    /// What it says; none where both answers are the same.
    pub row: Option<R>,
}

/// A file of comparisons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparisonFile {
    /// The file.
    pub path: PathBuf,
    /// Its format; told by its content if none.
    pub format: Option<ComparisonFormat>,
}

impl RowFile for ComparisonFile {
    /// A comparison, and the side that is preferred.
    type Row = (Comparison, Side);

    const ROWS: &'static str = "comparisons of different answers";

    fn path(&self) -> &Path {
        &self.path
    }

    fn at(&self, path: PathBuf) -> Self {
        Self {
            path,
            format: self.format,
        }
    }

    fn each(&self, embedded: Embedded<'_>, take: Take<'_, Self::Row>) -> Result<(), DataError> {
        let format = match self.format {
            Some(format) => format,
            None => ComparisonFormat::of(&self.path)?,
        };
        let mut number = 0;
        format.each(&self.path, embedded, |row| {
            let preferred = row
                .preferred()
                .ok_or_else(|| unjudged(&self.path, number))?;
            number += 1;
            take(FileRow {
                id: row.id.clone(),
                image: row.image.clone(),
                row: (!row.is_equal()).then_some((row, preferred)),
            })
        })
    }
}

/// The rows that a stage learns from, and what each part of them is for.
#[derive(Debug, Clone)]
pub struct RowSet<F> {
    /// Where they are.
    pub files: Vec<F>,
    /// Image folder. Images that are inside the files are written there.
    pub images: PathBuf,
    /// What follows from a row that the stage cannot use.
    pub on_bad_row: OnBadRow,
    /// Decides the split.
    pub seed: u64,
    /// Rows that choose the best step, at least.
    pub n_validation: usize,
    /// Rows that are measured at the end, at least.
    pub n_held_out: usize,
    /// Rows that are trained on, at most.
    pub n_train: Option<usize>,
}

/// Comparisons that a stage learns from.
pub type ComparisonSet = RowSet<ComparisonFile>;

/// Rated answers that a stage learns from.
pub type RatedSet = RowSet<RatedFile>;

/// What rows are read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A run. Images that are inside files are kept in the image folder.
    Run,
    /// A plan of the run, which writes nothing; images that are inside files are taken to be whole.
    Plan,
}

impl Purpose {
    /// The name of an image that is inside a file. A run writes it to `folder`; a plan notes it as one that is `inside` alone.
    ///
    /// # Errors
    /// The image cannot be written.
    pub fn embedded(
        self,
        folder: &Path,
        inside: &mut BTreeSet<String>,
        bytes: &[u8],
    ) -> Result<String, DataError> {
        match self {
            Self::Run => images::keep(folder, bytes),
            Self::Plan => {
                let name = images::content_name(bytes);
                inside.insert(name.clone());
                Ok(name)
            }
        }
    }

    /// How closely images that are not inside files are looked at.
    #[must_use]
    pub fn look(self, on_bad_row: OnBadRow, folder: &Path) -> Look {
        match self {
            Self::Run => Look::of_run(on_bad_row),
            Self::Plan => Look::of_plan(on_bad_row, folder),
        }
    }
}

fn unjudged(path: &Path, row: usize) -> DataError {
    let place = Place::Row {
        list: None,
        row,
        line: None,
    };
    DataError::Field {
        spot: Spot::new(path, place, ""),
        found: "nobody has said which of the two answers is better".into(),
        remedy: "have the answers compared (docs/annotate.md), or leave the file out of data.preferences".into(),
    }
}
