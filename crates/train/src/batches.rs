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

/// Which comparisons each update takes; remembers the epoch it is in.
#[derive(Debug)]
pub struct Batches<'a, T> {
    rows: &'a [T],
    /// Tokens that an update computes for a row.
    n_tokens: fn(&T) -> usize,
    /// What a row takes of a pass.
    shape: fn(&T) -> RowShape,
    order: Mixture,
    batching: BatchConfig,
    pass: PassSize,
    epoch: Option<(u64, Vec<Vec<&'a T>>)>,
}

impl<'a, T> Batches<'a, T> {
    /// The order of comparisons by a seed, in updates of `batch` and passes of a size. `n_tokens` says how many tokens an update
    /// computes for one, and `shape` what it takes of a pass.
    ///
    /// # Errors
    /// There are no comparisons.
    pub fn new(
        seed: u64,
        rows: &'a [T],
        n_tokens: fn(&T) -> usize,
        shape: fn(&T) -> RowShape,
        batch: usize,
        pass: PassSize,
    ) -> Result<Self, DataError> {
        let source = Source {
            name: "preferences".to_owned(),
            n_rows: rows.len(),
            share: Share::All,
        };
        Ok(Self {
            rows,
            n_tokens,
            shape,
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
        self.rows.len().div_ceil(self.batching.batch_size).max(1) as u64
    }

    /// The comparisons of the update after `done` updates, in passes. The last update of an epoch has those that are left.
    pub fn of_step(&mut self, done: u64) -> Vec<Vec<&'a T>> {
        let per_epoch = self.steps_per_epoch();
        let (epoch, step) = (done / per_epoch, (done % per_epoch) as usize);
        if self
            .epoch
            .as_ref()
            .is_none_or(|(current, _)| *current != epoch)
        {
            self.epoch = Some((epoch, self.batches_of(epoch)));
        }
        let Some((_, batches)) = &self.epoch else {
            unreachable!("the epoch was just made")
        };
        self.pass.cut(&batches[step], self.shape)
    }

    fn batches_of(&self, epoch: u64) -> Vec<Vec<&'a T>> {
        let picks = self.order.epoch(epoch);
        let rows: Vec<&T> = picks.into_iter().map(|pick| &self.rows[pick.row]).collect();
        let lengths: Vec<usize> = rows.iter().map(|&row| (self.n_tokens)(row)).collect();
        let batches = epoch_batches(&lengths, &self.batching, epoch);
        let resolve = |batch: Vec<usize>| batch.into_iter().map(|i| rows[i]).collect();
        batches.into_iter().map(resolve).collect()
    }
}
