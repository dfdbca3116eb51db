//! Keeping the good rows: the bad ones stop the run, or are left out and counted.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::fault::summary;
use super::{BadRow, BadRows, ImageRows, Look, Reason, Row, RowName, Sifting};
use crate::atomic;
use crate::error::DataError;
use crate::shown;

/// The file in a run's folder that lists the rows that were left out.
pub const SKIPPED: &str = "skipped.jsonl";

/// What to do about bad rows besides mending them, where a recipe may skip them.
pub const LEAVE_OUT: &str = "data.on_bad_row = \"skip\" leaves such rows out";

/// What a run does about rows that it cannot use: `data.on_bad_row`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadRow {
    /// It does not begin.
    #[default]
    Stop,
    /// It leaves them out, lists and counts them.
    Skip,
}

/// What rows must pass.
#[derive(Debug, Clone, Copy)]
pub struct Sieve<'a> {
    /// What follows from a bad row.
    pub on_bad_row: OnBadRow,
    /// How closely images are looked at.
    pub look: Look,
    /// The image folder.
    pub images: &'a Path,
    /// What to do about bad rows besides mending them, if anything.
    pub remedy: Option<&'static str>,
}

/// The good rows, in their order, and what became of the others.
#[derive(Debug)]
pub struct Sifted<T> {
    /// The good rows.
    pub rows: Vec<(RowName, T)>,
    /// Which images they show.
    pub images: ImageRows,
    /// The rows that were left out; none where bad rows stop the run.
    pub skipped: Option<Skipped>,
}

impl Sieve<'_> {
    /// Looks at the images of the rows, which `image` tells as [`shown`] has them, and keeps the rows that have no fault. Images that are
    /// `inside` a file and not in the folder are taken for good ones.
    ///
    /// # Errors
    /// [`DataError::BadRows`] where bad rows stop the run.
    pub fn sift<T>(
        &self,
        rows: Vec<Row<T>>,
        image: impl Fn(&T) -> Option<&str>,
        inside: impl IntoIterator<Item = String>,
    ) -> Result<Sifted<T>, DataError> {
        let mut sifting = Sifting::new(*self);
        sifting.take_for_good(inside);
        let good = sifting.add(rows, &image);
        let (_, skipped) = sifting.end()?;
        let images = good.iter().flat_map(|(name, made)| {
            let names = image(made).into_iter().flat_map(shown::names);
            names.map(|image| (name.clone(), image.to_owned()))
        });
        let images = ImageRows::new(images, self.remedy);
        Ok(Sifted {
            rows: good,
            images,
            skipped,
        })
    }

    /// What follows from the bad rows.
    pub(super) fn settle(&self, bad: BadRows) -> Result<Option<Skipped>, DataError> {
        match self.on_bad_row {
            OnBadRow::Skip => Ok(Some(Skipped(bad))),
            OnBadRow::Stop if bad.0.is_empty() => Ok(None),
            OnBadRow::Stop => Err(DataError::BadRows {
                rows: bad,
                remedy: self.remedy,
            }),
        }
    }
}

/// The rows that a run leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped(BadRows);

/// How many rows a run left out, for its `result.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedCounts {
    /// All of them.
    pub n_skipped: usize,
    /// How many for each reason.
    pub skipped: BTreeMap<Reason, usize>,
}

impl SkippedCounts {
    /// `2 too_long, 1 missing_image`.
    #[must_use]
    pub fn summary(&self) -> String {
        summary(&self.skipped)
    }
}

impl Skipped {
    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[BadRow] {
        &self.0.0
    }

    /// Whether a row is among them; all of them are looked through.
    #[must_use]
    pub fn has(&self, name: &RowName) -> bool {
        self.rows().iter().any(|bad| bad.name == *name)
    }

    /// The counts.
    #[must_use]
    pub fn counts(&self) -> SkippedCounts {
        SkippedCounts {
            n_skipped: self.0.0.len(),
            skipped: self.0.by_reason(),
        }
    }

    /// Writes [`SKIPPED`] into the folder of a run, where it is written even when it is empty.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), DataError> {
        atomic::write(&folder.join(SKIPPED), self.0.to_jsonl().as_bytes())
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.0.len() {
            0 => write!(f, "no rows are skipped"),
            1 => write!(f, "1 row is skipped: {}", self.0.summary()),
            n => write!(f, "{n} rows are skipped: {}", self.0.summary()),
        }
    }
}
