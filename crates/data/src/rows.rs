//! Rows on their way into a stage: which file and row each comes from, what is wrong with it, and what follows from that.
//!
//! A stage turns the rows of its files into what it trains on or asks. Where that fails for a row, the fault stays with
//! the row until all rows of all files have been tried, images included; then [`Sieve::sift`] either refuses the run
//! and names the bad rows, in the order of the files, or leaves them out and says so. Which rows are left out is a
//! function of the recipe and its data alone, so a run that is resumed leaves out the same.
//!
//! Of a set that is larger than the memory, rows go through the sieve part by part ([`Sifting`]), and what they were made into waits
//! in a file ([`KeptRows`]).

mod fault;
mod images;
mod kept;
pub mod packing;
mod sieve;
mod sifting;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::fault::{BadRow, BadRows, Reason, RowFault};
pub use self::images::{ImageRows, Look, faults};
pub use self::kept::{KeptRows, KeptRowsWriter};
pub use self::sieve::{LEAVE_OUT, OnBadRow, SKIPPED, Sieve, Sifted, Skipped, SkippedCounts};
pub use self::sifting::{ShownImages, Sifting};
use crate::error::Place;

/// A file that rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// What the recipe calls the source, where it has several.
    pub source: Option<String>,
    /// The file.
    pub path: PathBuf,
}

impl SourceFile {
    /// A file of a stage that has but one source.
    #[must_use]
    pub fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            source: None,
            path: path.to_path_buf(),
        })
    }

    /// A file of one of several sources.
    #[must_use]
    pub fn of(source: &str, path: &Path) -> Arc<Self> {
        Arc::new(Self {
            source: Some(source.to_owned()),
            path: path.to_path_buf(),
        })
    }
}

/// Where a row stands, and what it calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowName {
    /// Its file.
    pub file: Arc<SourceFile>,
    /// Its place in the file.
    pub place: Place,
    /// Its id, which need not be unique.
    pub id: String,
}

impl RowName {
    /// The row with this index in a list.
    #[must_use]
    pub fn numbered(file: &Arc<SourceFile>, row: usize, id: impl Into<String>) -> Self {
        let place = Place::Row {
            list: None,
            row,
            line: None,
        };
        Self {
            file: Arc::clone(file),
            place,
            id: id.into(),
        }
    }
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (", self.file.path.display(), self.place)?;
        if let Some(source) = &self.file.source {
            write!(f, "source {source:?}, ")?;
        }
        write!(f, "id {:?})", self.id)
    }
}

/// A row, as far as it could be made into something.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<T> {
    /// Which row this is.
    pub name: RowName,
    /// What became of it.
    pub made: Result<T, RowFault>,
}

impl<T> Row<T> {
    /// The next thing that is made of the row.
    pub fn and_then<U>(self, make: impl FnOnce(T) -> Result<U, RowFault>) -> Row<U> {
        Row {
            name: self.name,
            made: self.made.and_then(make),
        }
    }
}
