//! Training conversations: named sources, their mixture, their batches.
//!
//! The order is a function of the recipe alone: step `s` always trains on the same conversations, whatever
//! came before it in this process, so resuming needs nothing but the step.

use candor_data::DataError;
use candor_data::mixture::{Mixture, Source};
use candor_data::rows::{LEAVE_OUT, Look, ShownImages, Sieve, Skipped};
use candor_model::sample::{Sample, SampleRules};
use candor_train::data_order::{BatchConfig, epoch_batches};

use crate::SftError;
use crate::recipe::SftRecipe;
use crate::tokenised::{Keeping, Tokenised};

/// Tokenised conversations of all sources and the mixture that orders them.
#[derive(Debug)]
pub(crate) struct Corpus {
    rows: Tokenised,
    mixture: Mixture,
    batching: BatchConfig,
    /// Passes of one update.
    n_micro: usize,
    steps_per_epoch: u64,
}

/// Batches that are sorted by length together: enough that little is padded, few enough that the mixture
/// stays even.
const WINDOW_BATCHES: usize = 16;

impl Corpus {
    /// Reads and tokenises the recipe's sources. `keeping` is as in [`Tokenised::read`].
    ///
    /// # Errors
    /// A file is missing or damaged, or rows cannot be trained on and the recipe does not skip them.
    pub(crate) fn read(
        recipe: &SftRecipe,
        rules: SampleRules<'_>,
        look: Look,
        keeping: Option<Keeping<'_>>,
    ) -> Result<Self, SftError> {
        let seed = recipe.session.seed;
        let sieve = Sieve {
            on_bad_row: recipe.on_bad_row,
            look,
            images: &recipe.images,
            remedy: Some(LEAVE_OUT),
        };
        let rows = Tokenised::read(&recipe.sources, seed, rules, &sieve, keeping)?;
        let parts = recipe.sources.iter().zip(&rows.sources);
        let parts = parts.map(|(source, rows)| Source {
            name: source.name.clone(),
            n_rows: rows.len(),
            share: source.share,
        });
        let parts: Vec<Source> = parts.collect();
        if let (Some(skipped), Some(empty)) = (
            &rows.skipped,
            parts.iter().find(|source| source.n_rows == 0),
        ) {
            return Err(SftError::Data(DataError::Mixture {
                part: format!("source {:?}", empty.name),
                found: format!("no row of it is left, {skipped}"),
                remedy:
                    "mend its rows, or leave the source out; data.on_bad_row = \"stop\" names them"
                        .into(),
            }));
        }
        let mixture = Mixture::new(seed, parts, recipe.epoch_rows)?;
        let batching = BatchConfig {
            seed,
            batch_size: recipe.pass.rows,
            window_batches: WINDOW_BATCHES,
        };
        let n_micro = recipe.batch / recipe.pass.rows;
        let steps_per_epoch = mixture.epoch_rows().div_ceil(recipe.batch).max(1) as u64;
        Ok(Self {
            rows,
            mixture,
            batching,
            n_micro,
            steps_per_epoch,
        })
    }

    /// Conversations of all sources.
    #[must_use]
    pub(crate) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows that are left out, where the recipe skips bad ones.
    #[must_use]
    pub(crate) fn skipped(&self) -> Option<&Skipped> {
        self.rows.skipped.as_ref()
    }

    /// How often rows are taken, where that is more than once an epoch.
    #[must_use]
    pub(crate) fn repeats(&self) -> Option<String> {
        self.mixture.repeats()
    }

    /// Updates that go through the mixture once.
    #[must_use]
    pub(crate) fn steps_per_epoch(&self) -> u64 {
        self.steps_per_epoch
    }

    /// A fingerprint of the tokenised rows and their mixture.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn fingerprint(&self) -> Result<String, DataError> {
        let mixture = self.mixture.fingerprint().as_bytes();
        self.rows.fingerprint(mixture, 0..self.rows.len())
    }

    /// Images of all conversations.
    #[must_use]
    pub(crate) fn images(&self) -> &ShownImages {
        &self.rows.images
    }

    /// Tokens of a row.
    #[must_use]
    pub(crate) fn n_tokens(&self, row: usize) -> usize {
        self.rows.n_tokens(row)
    }

    /// Rows by their numbers, read from the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn samples(&self, passes: &[Vec<usize>]) -> Result<Vec<Vec<Sample>>, DataError> {
        let pass = |rows: &Vec<usize>| -> Result<Vec<Sample>, DataError> {
            rows.iter().map(|&row| self.rows.sample(row)).collect()
        };
        passes.iter().map(pass).collect()
    }

    /// The batches of an epoch, in order, by the numbers of their rows.
    fn epoch(&self, epoch: u64) -> Batches {
        let picks = self.mixture.epoch(epoch).into_iter();
        let rows = picks.map(|pick| self.rows.sources[pick.source].start + pick.row);
        let rows: Vec<usize> = rows.collect();
        let lengths: Vec<usize> = rows.iter().map(|&row| self.n_tokens(row)).collect();
        let batches = epoch_batches(&lengths, &self.batching, epoch);
        let mut flat = Batches {
            rows: Vec::with_capacity(rows.len()),
            ends: Vec::with_capacity(batches.len()),
        };
        for batch in batches {
            flat.rows.extend(batch.into_iter().map(|i| rows[i]));
            flat.ends.push(flat.rows.len());
        }
        flat
    }
}

/// Batches of rows, without a list of its own for each: of passes with one row that would be most of what is held.
#[derive(Debug, Default)]
struct Batches {
    rows: Vec<usize>,
    /// Where each batch ends.
    ends: Vec<usize>,
}

impl Batches {
    /// The rows of a batch.
    fn of(&self, batch: usize) -> Vec<usize> {
        let start = batch.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.rows[start..self.ends[batch]].to_vec()
    }
}

/// The order of a corpus; remembers the epoch it is in.
#[derive(Debug, Default)]
pub(crate) struct Order {
    epoch: Option<(u64, Batches)>,
}

impl Order {
    /// The rows of the update after `done` updates, in passes of the recipe's micro-batch.
    pub(crate) fn of_step(&mut self, corpus: &Corpus, done: u64) -> Vec<Vec<usize>> {
        let (epoch, step) = (
            done / corpus.steps_per_epoch,
            (done % corpus.steps_per_epoch) as usize,
        );
        let (current, batches) = self
            .epoch
            .get_or_insert_with(|| (epoch, corpus.epoch(epoch)));
        if *current != epoch {
            // The old order goes before the new one comes.
            *batches = Batches::default();
            *batches = corpus.epoch(epoch);
            *current = epoch;
        }
        let n_batches = batches.ends.len();
        let first = (step * corpus.n_micro).min(n_batches);
        let last = (first + corpus.n_micro).min(n_batches);
        (first..last).map(|batch| batches.of(batch)).collect()
    }
}
