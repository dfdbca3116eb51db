//! The rows of a run: on the disk, and in memory what decides about their order, their passes and what each is compared with.

use std::path::Path;

use candor_data::comparisons::Parts;
use candor_data::sha256;
use candor_train::{Batches, RowSize};

use crate::DpoError;
use crate::recipe::DpoRecipe;
use crate::rows::Row;

/// The rows of a run.
#[derive(Debug)]
pub struct Rows {
    /// As every stage has them.
    pub parts: Parts<Row>,
    /// Of each row the one whose answers are put to its prompt as well; empty where the loss asks for none.
    mismatched: Vec<u32>,
    /// Whether a row that shows an image is read a second time beside a spoilt one.
    spoils: bool,
}

impl Rows {
    /// The rows under a recipe. `path` is a file of theirs.
    ///
    /// # Errors
    /// The loss asks for answers to other prompts, and there are none.
    pub(crate) fn new(
        parts: Parts<Row>,
        recipe: &DpoRecipe,
        path: &Path,
    ) -> Result<Self, DpoError> {
        let objective = &recipe.objective;
        Ok(Self {
            mismatched: if objective.loss.needs_divergence() {
                mismatched(&parts, recipe.max_tokens, path)?
            } else {
                Vec::new()
            },
            spoils: objective.image_negative.is_some(),
            parts,
        })
    }

    /// Whether each row has the answers of another one besides.
    pub(crate) fn have_mismatched(&self) -> bool {
        !self.mismatched.is_empty()
    }

    /// What a row takes of the updates.
    #[must_use]
    pub fn size(&self, row: usize) -> RowSize {
        let is_spoilt = self.spoils && self.parts.shown(row).is_some();
        let others = self.mismatched.get(row);
        let others = others.map(|&other| self.parts.held(other as usize));
        let times = if is_spoilt { 2 } else { 1 };
        self.parts.held(row).size(times, others)
    }

    /// Tokens that an update computes for each row.
    pub(crate) fn lengths(&self) -> Vec<usize> {
        let rows = 0..self.parts.len();
        rows.map(|row| self.size(row).n_tokens).collect()
    }

    /// A row, read from the disk, without the answers of another one.
    ///
    /// # Errors
    /// The disk fails, or what is read is not what was written.
    pub(crate) fn alone(&self, row: usize) -> Result<Row, DpoError> {
        let mut found = self.parts.row(row)?;
        found.number = row;
        found.n_tokens = self.size(row).n_tokens;
        Ok(found)
    }

    /// A row, read from the disk, with the answers of another one where it has such.
    ///
    /// # Errors
    /// The disk fails, or what is read is not what was written.
    pub fn row(&self, row: usize) -> Result<Row, DpoError> {
        let mut found = self.alone(row)?;
        if let Some(&other) = self.mismatched.get(row) {
            let other = self.parts.row(other as usize)?;
            found.mismatched = Some(found.answers.answered_by(&other.answers)?);
        }
        Ok(found)
    }

    /// Rows by their numbers, read from the disk.
    ///
    /// # Errors
    /// As [`Rows::row`].
    pub fn rows(&self, rows: impl IntoIterator<Item = usize>) -> Result<Vec<Row>, DpoError> {
        rows.into_iter().map(|row| self.row(row)).collect()
    }

    /// The rows of passes, read from the disk.
    ///
    /// # Errors
    /// As [`Rows::row`].
    pub(crate) fn passes(&self, passes: Vec<Vec<usize>>) -> Result<Vec<Vec<Row>>, DpoError> {
        let passes = passes.into_iter();
        passes.map(|pass| self.rows(pass)).collect()
    }

    /// How many of the rows that are trained on are good answers, and how many are not; 0 of comparisons.
    #[must_use]
    pub fn kinds(&self) -> [usize; 2] {
        kinds(&self.parts)
    }

    /// Whether what is trained on are rated answers.
    pub(crate) fn are_rated(&self) -> bool {
        let mut train = self.parts.train();
        train.all(|row| self.parts.held(row).rating.is_some())
    }

    /// The order of the training rows under a recipe.
    ///
    /// # Errors
    /// There are no rows.
    pub(crate) fn batches(
        &self,
        recipe: &DpoRecipe,
    ) -> Result<Batches<impl Fn(usize) -> RowSize>, DpoError> {
        let (seed, batch) = (recipe.session.seed, recipe.batch);
        let (n_rows, size) = (self.parts.train().len(), move |row| self.size(row));
        Ok(Batches::new(seed, n_rows, size, batch, recipe.pass)?)
    }

    /// A fingerprint of the tokenised rows, of the weights of their tokens and of which part each is in.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn fingerprint(&self) -> Result<String, DpoError> {
        let parts = &self.parts;
        let mut hash = sha256::Parts::default();
        for part in [parts.train(), parts.validation(), parts.held_out()] {
            hash.add(part.len().to_le_bytes());
            for row in part {
                let row = parts.row(row)?;
                if let Some(is_desirable) = row.rating() {
                    hash.add([u8::from(is_desirable)]);
                }
                let answers = row.answers;
                let shared = answers.shared;
                hash.add(shared.image.unwrap_or_default());
                let prefix = shared.prefix.to_vec();
                for ids in std::iter::once(&prefix).chain(&shared.branches) {
                    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
                    hash.add(bytes);
                }
                for read in &shared.read {
                    hash.add(read.start.to_le_bytes());
                }
                for weights in &answers.weights {
                    let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
                    hash.add(bytes);
                }
                if let Some(times) = answers.other_times {
                    hash.add(times.to_le_bytes());
                }
            }
        }
        Ok(hash.finish())
    }
}

/// How many of the rows that are trained on are good answers, and how many are not.
fn kinds(parts: &Parts<Row>) -> [usize; 2] {
    [true, false].map(|kind| {
        let of_kind = |row: &usize| parts.held(*row).rating == Some(kind);
        parts.train().filter(of_kind).count()
    })
}

/// Refuses rated answers of one kind alone, which say nothing of what to prefer.
pub(crate) fn check_kinds(parts: &Parts<Row>, path: &Path) -> Result<(), DpoError> {
    let [n_good, n_bad] = kinds(parts);
    if n_good > 0 && n_bad > 0 {
        return Ok(());
    }
    let label = n_good > 0;
    let [n_all, n_trained] = [parts.len(), parts.train().len()];
    Err(DpoError::Unfit {
        path: path.to_owned(),
        problem: format!(
            "all {n_trained} answers that are trained on, of {n_all} that are read, have the label {label}"
        ),
        remedy: "KTO learns from good answers beside bad ones: add answers with the other label; for good ones alone there is \
                 candor sft",
    })
}

/// To each row the next one, in the order of the parts, that has another prompt and whose answers fit after this row's. `path` is
/// a file of the rows.
fn mismatched(parts: &Parts<Row>, max_tokens: usize, path: &Path) -> Result<Vec<u32>, DpoError> {
    let n = parts.len();
    let other = |row: usize| {
        let own = parts.held(row);
        let mut others = (1..n).map(|step| (row + step) % n);
        let found = others.find(|&other| {
            let held = parts.held(other);
            let is_same = own.prompt == held.prompt && parts.show_the_same(row, other);
            !is_same && own.n_prompt as usize + held.longest_answer() <= max_tokens
        });
        found.map(|other| other as u32).ok_or_else(|| DpoError::Unfit {
            path: path.to_owned(),
            problem: "KTO compares with answers to other prompts, and there is a row that no other's answers fit"
                .to_owned(),
            remedy: "use rows of several prompts, raise data.max_tokens, or use another loss",
        })
    };
    (0..n).map(other).collect()
}
