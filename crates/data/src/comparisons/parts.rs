//! What a stage made of comparisons or rated answers, by what they are for: on the disk, and in memory a few numbers of each row.
//!
//! Rows are called by their numbers, in which those that are trained on come first, then those for validation, then those that are
//! held out. Bytes are read when a step needs them, and what was made of them is compared with what is held in memory: a row of other
//! lengths is an error and never trained on. What a stage holds besides, and only that, is compared too; other tokens may go unseen.

use std::fmt::Debug;
use std::ops::Range;

use crate::error::DataError;
use crate::rows::{KeptRows, Skipped};

/// What a stage makes of a row, as it waits on the disk.
pub trait KeptRow: Sized + Send {
    /// What is held of it in memory: what decides about the order and the passes.
    type Held: Debug + Copy + PartialEq + Send;

    /// What is held of it.
    fn held(&self) -> Self::Held;

    /// The row as bytes, but for what it shows.
    fn packed(&self) -> Vec<u8>;

    /// The row of these bytes; none where they are not such a row's. `shown` is what it shows. `held` is what is held of it, so that
    /// nothing is made larger than the row was, whatever the bytes say.
    fn unpacked(bytes: &[u8], shown: Option<&str>, held: Self::Held) -> Option<Self>;
}

/// What is held of rows that were made: their sizes and what they show.
#[derive(Debug)]
pub(super) struct Held<H> {
    /// Of each row.
    pub(super) sizes: Vec<H>,
    /// The row's place in the file; it is the number of the row among all that say something.
    pub(super) places: Vec<u32>,
    /// What each row shows, as its index in `names`; [`NOTHING`] for a row without an image.
    pub(super) shown: Vec<u32>,
    /// What rows show, each once.
    pub(super) names: Vec<String>,
}

/// In the place of what is shown.
pub(super) const NOTHING: u32 = u32::MAX;

/// What a stage made of comparisons or rated answers, by what they are for.
#[derive(Debug)]
pub struct Parts<T: KeptRow> {
    /// None where rows are only counted.
    pub(super) kept: Option<KeptRows>,
    pub(super) held: Held<T::Held>,
    /// Rows that are trained on, and those together with the rows for validation.
    pub(super) ends: [usize; 2],
    /// Rows that were left out because both answers are the same: no judge can tell them apart.
    pub n_equal: usize,
    /// Rows that were left out because the stage cannot use them; none where these stop the run.
    pub skipped: Option<Skipped>,
}

impl<T: KeptRow> Parts<T> {
    /// Rows of all parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.sizes.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.sizes.is_empty()
    }

    /// The rows that are trained on.
    #[must_use]
    pub fn train(&self) -> Range<usize> {
        0..self.ends[0]
    }

    /// Those that choose the best step.
    #[must_use]
    pub fn validation(&self) -> Range<usize> {
        self.ends[0]..self.ends[1]
    }

    /// Those that are measured at the end.
    #[must_use]
    pub fn held_out(&self) -> Range<usize> {
        self.ends[1]..self.len()
    }

    /// What is held of a row in memory.
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn held(&self, row: usize) -> T::Held {
        self.held.sizes[row]
    }

    /// What a row shows ([`crate::shown`]).
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn shown(&self, row: usize) -> Option<&str> {
        match self.held.shown[row] {
            NOTHING => None,
            index => Some(&self.held.names[index as usize]),
        }
    }

    /// Whether two rows show the same.
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn show_the_same(&self, one: usize, other: usize) -> bool {
        self.held.shown[one] == self.held.shown[other]
    }

    /// What the rows of all parts show; names may repeat.
    pub fn images(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.len()).filter_map(|row| self.shown(row).map(str::to_owned))
    }

    /// A row, read from the disk.
    ///
    /// # Errors
    /// The disk fails, or what is read is not what was written.
    ///
    /// # Panics
    /// There is no such row, or rows were read for a plan, which keeps none.
    pub fn row(&self, row: usize) -> Result<T, DataError> {
        let Some(kept) = &self.kept else {
            unreachable!("rows that are counted are not asked for")
        };
        let place = self.held.places[row] as usize;
        let held = self.held(row);
        let found = T::unpacked(&kept.read(place)?, self.shown(row), held);
        let found = found.filter(|found| found.held() == held);
        found.ok_or_else(|| kept.damaged(place))
    }

    /// Rows by their numbers, read from the disk.
    ///
    /// # Errors
    /// As [`Parts::row`].
    ///
    /// # Panics
    /// As [`Parts::row`].
    pub fn rows(&self, rows: impl IntoIterator<Item = usize>) -> Result<Vec<T>, DataError> {
        rows.into_iter().map(|row| self.row(row)).collect()
    }

    /// The rows of passes, read from the disk.
    ///
    /// # Errors
    /// As [`Parts::row`].
    ///
    /// # Panics
    /// As [`Parts::row`].
    pub fn passes(&self, passes: Vec<Vec<usize>>) -> Result<Vec<Vec<T>>, DataError> {
        let passes = passes.into_iter();
        passes.map(|pass| self.rows(pass)).collect()
    }
}
