//! Comparisons on their way to the model: read, split by image, worded, tokenised, put into batches.
//!
//! The order is a function of the recipe alone, so that resuming needs nothing but the step. An update's pairs are
//! drawn together and only then cut into passes: the recipe's micro-batch changes what a pass holds, never what
//! an update learns from.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use candor_data::formats::{captions, preference, preference_log};
use candor_data::mixture::{Mixture, Share, Source};
use candor_data::rows::{
    Look, OnBadRow, Pictures, Reason, Row, RowFault, RowName, Sieve, Skipped, SourceFile,
};
use candor_data::{AnswerType, Conversation, FactBook, Preference, Side, Turn};
use candor_model::sample::SampleRules;
use candor_model::shared::Shared;
use candor_train::data_order::{BatchConfig, epoch_batches};
use candor_train::{Length, fingerprint};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use crate::RewardError;
use crate::recipe::RewardRecipe;
use crate::split::{Split, by_image};
use crate::wording::{Judged, Wording};

/// A tokenised comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name of the row; the public files repeat names.
    pub id: String,
    /// The preferred response.
    pub chosen: String,
    /// The other one.
    pub rejected: String,
    /// Branch 0 is the preferred response, branch 1 the other.
    pub shared: Shared,
}

impl Pair {
    /// Tokens that a pass computes for it.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.shared.prefix.len() + self.shared.branches.iter().map(Vec::len).sum::<usize>()
    }
}

/// All comparisons of a run, by what they are for.
#[derive(Debug)]
pub struct Pairs {
    /// Trained on.
    pub train: Vec<Pair>,
    /// Choose the best step.
    pub validation: Vec<Pair>,
    /// Measured at the end.
    pub held_out: Vec<Pair>,
    /// Rows that were left out because both responses are the same: no judge can tell them apart.
    pub n_identical: usize,
    /// Rows that were left out because they cannot be judged; none where these stop the run.
    pub skipped: Option<Skipped>,
    /// Which rows show which pictures.
    pub pictures: Pictures,
}

/// A comparison as read.
struct Compared {
    row: Preference,
    preferred: Side,
    /// Its number among all that are read.
    number: usize,
}

/// All comparisons that are read.
#[derive(Default)]
struct Comparisons {
    rows: Vec<Row<Compared>>,
    /// What each row shares with others: its image, or nothing.
    images: Vec<String>,
    n_identical: usize,
}

impl Pairs {
    /// Reads, tokenises and splits what the recipe names.
    ///
    /// # Errors
    /// A file is missing or damaged, there are too few comparisons, or rows cannot be judged and the recipe does not
    /// skip them: they have no facts where the prompt shows them, do not fit the model, or their picture is not there.
    /// Rows that the run has no use for cannot stop it.
    pub fn read(
        recipe: &RewardRecipe,
        rules: SampleRules<'_>,
        look: Look,
    ) -> Result<Self, RewardError> {
        let read = read_rows(&recipe.preferences)?;
        let book = match &recipe.facts {
            Some(path) if recipe.wording.prompt.with_facts() => captions::read(path)?,
            _ => FactBook::new(),
        };
        let (rows, whole) = match recipe.on_bad_row {
            OnBadRow::Skip => (read.rows, None),
            OnBadRow::Stop => {
                let all: Vec<usize> = (0..read.rows.len()).collect();
                let split = split(recipe, &read.images, &all)?;
                let used: HashSet<usize> = split.rows().collect();
                let rows = read.rows.into_iter().zip(all);
                let rows = rows.filter_map(|(row, number)| used.contains(&number).then_some(row));
                (rows.collect(), Some(split))
            }
        };
        // All rows before bad ones are looked for, so that these are the same on any number of threads.
        let tokenised: Vec<Row<(usize, Pair)>> = rows
            .into_par_iter()
            .map(|row| row.and_then(|row| pair(row, &recipe.wording, &book, rules)))
            .collect();
        let sieve = Sieve {
            on_bad_row: recipe.on_bad_row,
            look,
            images: &recipe.images,
        };
        let sifted = sieve.sift(tokenised, |(_, pair)| pair.shared.image.as_deref())?;
        let mut pairs: BTreeMap<usize, Pair> =
            sifted.rows.into_iter().map(|(_, row)| row).collect();
        let split = if let Some(split) = whole {
            split
        } else {
            let left: Vec<usize> = pairs.keys().copied().collect();
            split(recipe, &read.images, &left)?
        };
        let mut part = |rows: Vec<usize>| -> Vec<Pair> {
            rows.iter().filter_map(|row| pairs.remove(row)).collect()
        };
        Ok(Self {
            train: part(split.train),
            validation: part(split.validation),
            held_out: part(split.held_out),
            n_identical: read.n_identical,
            skipped: sifted.skipped,
            pictures: sifted.pictures,
        })
    }

    /// A fingerprint of the tokenised pairs and of which part each is in.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let parts = [&self.train, &self.validation, &self.held_out];
        let part = |pairs: &Vec<Pair>| {
            let mut bytes = vec![pairs.len().to_le_bytes().to_vec()];
            for pair in pairs {
                bytes.push(pair.shared.image.clone().unwrap_or_default().into_bytes());
                let sequences = std::iter::once(&pair.shared.prefix).chain(&pair.shared.branches);
                bytes.extend(
                    sequences.map(|ids| ids.iter().flat_map(|id| id.to_le_bytes()).collect()),
                );
            }
            bytes
        };
        fingerprint::of_bytes(parts.into_iter().flat_map(part))
    }

    /// Images of all parts; names may repeat.
    pub fn images(&self) -> impl Iterator<Item = String> + '_ {
        let all = self
            .train
            .iter()
            .chain(&self.validation)
            .chain(&self.held_out);
        all.filter_map(|pair| pair.shared.image.clone())
    }
}

/// The rows of a file: a preference log if its name ends in `.jsonl`, and the public format otherwise.
fn read_file(path: &Path) -> Result<Vec<Preference>, RewardError> {
    let is_log = path.extension().is_some_and(|ending| ending == "jsonl");
    let rows = if is_log {
        preference_log::read(path)?
    } else {
        preference::read(path)?
    };
    Ok(rows)
}

/// The rows of all files, but for those whose responses are the same, which are counted.
fn read_rows(paths: &[PathBuf]) -> Result<Comparisons, RewardError> {
    let mut read = Comparisons::default();
    for path in paths {
        let file = SourceFile::new(path);
        for (number, row) in read_file(path)?.into_iter().enumerate() {
            // The reader lets nothing through that has no preferred side.
            let Some(preferred) = row.preferred() else {
                continue;
            };
            if row.outputs[0].trim() == row.outputs[1].trim() {
                read.n_identical += 1;
                continue;
            }
            // A row without an image shares nothing with others, so it is an image of its own; its place names it, and
            // no image is named like a place.
            let image = row.image.clone();
            let place = || format!("{}: row {number} ({})", path.display(), row.id);
            read.images.push(image.unwrap_or_else(place));
            read.rows.push(Row {
                name: RowName::numbered(&file, number, row.id.as_str()),
                made: Ok(Compared {
                    row,
                    preferred,
                    number: read.rows.len(),
                }),
            });
        }
    }
    Ok(read)
}

/// Splits the rows of these numbers by their images.
fn split(
    recipe: &RewardRecipe,
    images: &[String],
    numbers: &[usize],
) -> Result<Split, RewardError> {
    let names: Vec<&str> = numbers.iter().map(|&row| images[row].as_str()).collect();
    let (n_validation, n_held_out) = (recipe.n_validation, recipe.n_held_out);
    let split = by_image(
        &names,
        recipe.session.seed,
        n_validation,
        n_held_out,
        recipe.n_train,
    );
    if split.train.is_empty() {
        let path = recipe
            .preferences
            .first()
            .map_or(Path::new("data.preferences"), |p| p);
        return Err(RewardError::Unfit {
            path: path.to_owned(),
            problem: format!(
                "{} comparisons of different responses leave none to train on after {n_held_out} held out and \
                 {n_validation} for validation",
                numbers.len()
            ),
            remedy: "collect more comparisons, or lower data.n_held_out and data.n_validation",
        });
    }
    let numbered = |part: Vec<usize>| part.into_iter().map(|row| numbers[row]).collect();
    Ok(Split {
        train: numbered(split.train),
        validation: numbered(split.validation),
        held_out: numbered(split.held_out),
    })
}

/// Both responses of a row, worded and tokenised, with the row's number.
fn pair(
    compared: Compared,
    wording: &Wording,
    book: &FactBook,
    rules: SampleRules<'_>,
) -> Result<(usize, Pair), RowFault> {
    let Compared {
        row,
        preferred,
        number,
    } = compared;
    let image = row.image.as_deref().unwrap_or_default();
    let facts = book.for_prompt(image, AnswerType::General);
    let sequence = |side: Side| {
        let mut turns = row.turns.clone();
        turns.push(Turn::gpt(row.outputs[side.index()].clone()));
        let conversation = Conversation {
            id: row.id.clone(),
            image: row.image.clone(),
            turns,
        };
        let item = Judged {
            id: &row.id,
            conversation: &conversation,
            facts: &facts,
        };
        wording.put(item, &row.id, rules).map_err(|error| {
            let mut fault = RowFault::from(error);
            if fault.reason == Reason::TooLong {
                fault.field = format!("output_{}", side.index() + 1).into();
                fault.found = format!("with context, facts and question {}", fault.found);
            }
            fault
        })
    };
    let (chosen, rejected) = (sequence(preferred)?, sequence(preferred.other())?);
    let shared = Shared::of(
        &row.id,
        &[chosen.read_at(), rejected.read_at()],
        row.image.clone(),
    )?;
    let [first, second] = row.outputs;
    let (chosen, rejected) = match preferred {
        Side::First => (first, second),
        Side::Second => (second, first),
    };
    let pair = Pair {
        id: row.id,
        chosen,
        rejected,
        shared,
    };
    Ok((number, pair))
}

/// Updates' worth of pairs that are sorted by length together: enough that little is padded, few enough that
/// lengths stay mixed over an epoch.
const WINDOW_BATCHES: usize = 8;

/// Which training pairs each update takes; remembers the epoch it is in.
#[derive(Debug)]
pub struct Batches<'a> {
    pairs: &'a [Pair],
    order: Mixture,
    batching: BatchConfig,
    micro_batch: usize,
    epoch: Option<(u64, Vec<Vec<&'a Pair>>)>,
}

impl<'a> Batches<'a> {
    /// The order of the training pairs under a recipe.
    ///
    /// # Errors
    /// There are no pairs.
    pub fn new(recipe: &RewardRecipe, pairs: &'a [Pair]) -> Result<Self, RewardError> {
        let source = Source {
            name: "preferences".to_owned(),
            n_rows: pairs.len(),
            share: Share::All,
        };
        Ok(Self {
            pairs,
            order: Mixture::new(recipe.session.seed, vec![source], None)?,
            batching: BatchConfig {
                seed: recipe.session.seed,
                batch_size: recipe.batch,
                window_batches: WINDOW_BATCHES,
            },
            micro_batch: recipe.micro_batch,
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
        self.pairs.len().div_ceil(self.batching.batch_size).max(1) as u64
    }

    /// The pairs of the update after `done` updates, in passes of the recipe's micro-batch. The last update of
    /// an epoch has the pairs that are left.
    pub fn of_step(&mut self, done: u64) -> Vec<Vec<&'a Pair>> {
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
        batches[step]
            .chunks(self.micro_batch)
            .map(<[_]>::to_vec)
            .collect()
    }

    fn batches_of(&self, epoch: u64) -> Vec<Vec<&'a Pair>> {
        let picks = self.order.epoch(epoch);
        let pairs: Vec<&Pair> = picks
            .into_iter()
            .map(|pick| &self.pairs[pick.row])
            .collect();
        let lengths: Vec<usize> = pairs.iter().map(|pair| pair.n_tokens()).collect();
        let batches = epoch_batches(&lengths, &self.batching, epoch);
        let resolve = |batch: Vec<usize>| batch.into_iter().map(|i| pairs[i]).collect();
        batches.into_iter().map(resolve).collect()
    }
}
