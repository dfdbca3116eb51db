//! Which rows each update learns from, and how it is cut into passes.
//!
//! The order is a function of the seed and the rows alone, so that resuming needs nothing but the step. An update's rows
//! are drawn together and only then cut into passes: the micro-batch changes what a pass holds, never what an update
//! learns from.

use candor_data::DataError;
use candor_data::mixture::{Mixture, Share, Source};

use crate::data_order::{BatchConfig, epoch_batches};
use crate::pass_size::{PassSize, RowShape};
use crate::stage_fields::Length;

/// Updates' worth of rows that are sorted by length together: enough that little is padded, few enough that
/// lengths stay mixed over an epoch.
const WINDOW_BATCHES: usize = 8;

/// What a row takes of the updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowSize {
    /// Tokens that an update computes for it.
    pub n_tokens: usize,
    /// What it takes of a pass.
    pub shape: RowShape,
}

/// Which rows each update takes, by their numbers; remembers the epoch it is in.
#[derive(Debug)]
pub struct Batches<F> {
    n_rows: usize,
    size: F,
    order: Mixture,
    batching: BatchConfig,
    pass: PassSize,
    epoch: Option<(u64, Vec<Vec<usize>>)>,
}

impl<F: Fn(usize) -> RowSize> Batches<F> {
    /// The order of so many rows by a seed, in updates of `batch` and passes of a size. `size` says what the row of a number takes.
    ///
    /// # Errors
    /// There are no rows.
    pub fn new(
        seed: u64,
        n_rows: usize,
        size: F,
        batch: usize,
        pass: PassSize,
    ) -> Result<Self, DataError> {
        let source = Source {
            name: "preferences".to_owned(),
            n_rows,
            share: Share::All,
        };
        Ok(Self {
            n_rows,
            size,
            order: Mixture::new(seed, vec![source], None)?,
            batching: BatchConfig {
                seed,
                batch_size: batch,
                window_batches: WINDOW_BATCHES,
            },
            pass,
            epoch: None,
        })
    }

    /// Updates of a whole run.
    #[must_use]
    pub fn n_steps(&self, length: Length) -> u64 {
        match length {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => epochs * self.steps_per_epoch(),
        }
    }

    fn steps_per_epoch(&self) -> u64 {
        self.n_rows.div_ceil(self.batching.batch_size).max(1) as u64
    }

    /// The rows of the update after `done` updates, in passes. The last update of an epoch has those that are left.
    pub fn of_step(&mut self, done: u64) -> Vec<Vec<usize>> {
        let per_epoch = self.steps_per_epoch();
        let (epoch, step) = (done / per_epoch, (done % per_epoch) as usize);
        if self
            .epoch
            .as_ref()
            .is_none_or(|(current, _)| *current != epoch)
        {
            // The old order goes before the new one comes.
            self.epoch = None;
            self.epoch = Some((epoch, self.batches_of(epoch)));
        }
        let Some((_, batches)) = &self.epoch else {
            unreachable!("the epoch was just made")
        };
        self.pass.cut(&batches[step], |row| (self.size)(row).shape)
    }

    fn batches_of(&self, epoch: u64) -> Vec<Vec<usize>> {
        let picks = self.order.epoch(epoch).into_iter();
        let rows: Vec<usize> = picks.map(|pick| pick.row).collect();
        let lengths: Vec<usize> = rows.iter().map(|&row| (self.size)(row).n_tokens).collect();
        let mut batches = epoch_batches(&lengths, &self.batching, epoch);
        for batch in &mut batches {
            for row in batch {
                *row = rows[*row];
            }
        }
        batches
    }
}
