//! A mixture of named sources: in which order their rows are seen.
//!
//! Shares are resolved to whole numbers of rows an epoch, so every epoch has exactly the same composition
//! and only its order differs. Each source is gone through in passes, each pass in a new order, and an epoch
//! continues where the one before stopped: a source with a small share is seen whole before any of its rows
//! comes again, and a source with a large share repeats within the epoch only after all its rows were seen.
//!
//! The order is a function of (seed, names, sizes, shares) alone; adding a source does not change
//! which rows of the others an epoch has. So nothing of it needs saving: a run that goes on asks for the epoch again.

use std::fmt::Write as _;

use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::DataError;
use crate::random;

/// How much of an epoch a source has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// Every row once.
    All,
    /// This many rows.
    Count(usize),
    /// A part of what the other shares leave of the epoch, in proportion to the weights.
    Weight(f64),
}

/// A source of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Name, distinct within the mixture.
    pub name: String,
    /// Number of rows it has.
    pub n_rows: usize,
    /// How much of an epoch it has.
    pub share: Share,
}

/// One row of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pick {
    /// Index of the source in the mixture.
    pub source: usize,
    /// Index of the row in the source.
    pub row: usize,
}

/// Sources with their rows an epoch.
#[derive(Debug, Clone)]
pub struct Mixture {
    seed: u64,
    sources: Vec<Source>,
    /// Rows an epoch, by source.
    counts: Vec<usize>,
    fingerprint: String,
}

impl Mixture {
    /// Resolves the shares. `epoch_rows` is the length of an epoch: needed where there are weights, and
    /// otherwise either left out or equal to the sum of the shares.
    ///
    /// # Errors
    /// [`DataError::Mixture`] naming the source or setting.
    pub fn new(
        seed: u64,
        sources: Vec<Source>,
        epoch_rows: Option<usize>,
    ) -> Result<Self, DataError> {
        check_sources(&sources)?;
        let counts = resolve(&sources, epoch_rows)?;
        let fingerprint = fingerprint(seed, &sources, &counts);
        Ok(Self {
            seed,
            sources,
            counts,
            fingerprint,
        })
    }

    /// The sources, in the order that [`Pick::source`] counts.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Of seed, names, sizes and rows an epoch: mixtures that differ in it have other orders.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Rows an epoch, by source.
    #[must_use]
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Rows an epoch.
    #[must_use]
    pub fn epoch_rows(&self) -> usize {
        self.counts.iter().sum()
    }

    /// How often each row of a source comes in an epoch, for the sources whose rows come more than once; none where
    /// there are no such sources.
    #[must_use]
    pub fn repeats(&self) -> Option<String> {
        let sources = self.sources.iter().zip(&self.counts);
        let repeated = sources.filter(|(source, count)| **count > source.n_rows);
        let told: Vec<String> = repeated
            .map(|(source, count)| {
                let times = *count as f64 / source.n_rows as f64;
                format!(
                    "{:?} {times:.1} times ({count} rows of {})",
                    source.name, source.n_rows
                )
            })
            .collect();
        (!told.is_empty()).then(|| {
            format!(
                "an epoch takes rows more than once: those of {}",
                told.join(", ")
            )
        })
    }

    /// The rows of one epoch, in order.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Vec<Pick> {
        let mut picks = Vec::with_capacity(self.epoch_rows());
        for source in 0..self.sources.len() {
            picks.extend(self.rows(source, epoch).map(|row| Pick { source, row }));
        }
        picks.shuffle(&mut random::stream(self.seed, "mixture.order", &[epoch]));
        picks
    }

    /// The rows that a source contributes to an epoch: the next ones of its endless sequence of passes.
    fn rows(&self, source: usize, epoch: u64) -> impl Iterator<Item = usize> {
        let (count, n_rows) = (
            self.counts[source] as u64,
            self.sources[source].n_rows as u64,
        );
        let purpose = format!("mixture.pass.{}", self.sources[source].name);
        let seed = self.seed;
        let mut pass = None;
        let mut order: Vec<usize> = Vec::new();
        (epoch * count..(epoch + 1) * count).map(move |ordinal| {
            let wanted = ordinal / n_rows;
            if pass != Some(wanted) {
                order = (0..n_rows as usize).collect();
                order.shuffle(&mut random::stream(seed, &purpose, &[wanted]));
                pass = Some(wanted);
            }
            order[(ordinal % n_rows) as usize]
        })
    }
}

fn refused(part: &str, found: impl Into<String>, remedy: &'static str) -> DataError {
    DataError::Mixture {
        part: part.to_owned(),
        found: found.into(),
        remedy: remedy.into(),
    }
}

fn check_sources(sources: &[Source]) -> Result<(), DataError> {
    if sources.is_empty() {
        return Err(refused("sources", "none", "name at least one source"));
    }
    for (i, source) in sources.iter().enumerate() {
        let part = format!("source {:?}", source.name);
        if sources[..i].iter().any(|other| other.name == source.name) {
            return Err(refused(
                &part,
                "named twice",
                "give each source a name of its own, because the name decides the order of its rows",
            ));
        }
        if source.n_rows == 0 {
            return Err(refused(&part, "no rows", "give it rows, or leave it out"));
        }
        match source.share {
            Share::Weight(weight) if !weight.is_finite() || weight <= 0.0 => {
                return Err(refused(
                    &part,
                    format!("weight {weight}"),
                    "give a weight above 0, or leave the source out",
                ));
            }
            Share::Count(0) => {
                return Err(refused(
                    &part,
                    "count 0",
                    "give a count above 0, or leave the source out",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn resolve(sources: &[Source], epoch_rows: Option<usize>) -> Result<Vec<usize>, DataError> {
    let fixed = |source: &Source| match source.share {
        Share::All => Some(source.n_rows),
        Share::Count(count) => Some(count),
        Share::Weight(_) => None,
    };
    let n_fixed: usize = sources.iter().filter_map(fixed).sum();
    let weights: Vec<f64> = sources
        .iter()
        .filter_map(|source| match source.share {
            Share::Weight(weight) => Some(weight),
            _ => None,
        })
        .collect();
    if weights.is_empty() {
        return match epoch_rows.filter(|&rows| rows != n_fixed) {
            None => Ok(sources.iter().filter_map(fixed).collect()),
            Some(rows) => Err(refused(
                "epoch_rows",
                format!("{rows} where the counts add up to {n_fixed}"),
                "leave epoch_rows out, or give weights",
            )),
        };
    }
    let left = epoch_rows
        .ok_or_else(|| {
            refused(
                "epoch_rows",
                "missing although there are weights",
                "say how many rows an epoch has",
            )
        })?
        .checked_sub(n_fixed)
        .filter(|&left| left >= weights.len())
        .ok_or_else(|| {
            refused(
                "epoch_rows",
                format!(
                    "too few rows for counts of {n_fixed} and {} weighted sources",
                    weights.len()
                ),
                "raise epoch_rows, or lower the counts",
            )
        })?;
    let mut shares = apportion(left, &weights).into_iter();
    let counts: Vec<usize> = sources
        .iter()
        .map(|source| fixed(source).or_else(|| shares.next()).unwrap_or(0))
        .collect();
    match counts.iter().position(|&count| count == 0) {
        None => Ok(counts),
        Some(i) => Err(refused(
            &format!("source {:?}", sources[i].name),
            "its weight comes to no row an epoch",
            "raise its weight or epoch_rows, or leave it out",
        )),
    }
}

/// Whole rows in proportion to weights: rounded down, the rest to the largest remainders, the earlier of
/// equals first.
fn apportion(rows: usize, weights: &[f64]) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights
        .iter()
        .map(|weight| rows as f64 * (weight / total))
        .collect();
    let mut counts: Vec<usize> = exact.iter().map(|share| *share as usize).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
    let missing = rows.saturating_sub(counts.iter().sum());
    for &i in by_remainder.iter().cycle().take(missing) {
        counts[i] += 1;
    }
    counts
}

fn fingerprint(seed: u64, sources: &[Source], counts: &[usize]) -> String {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for (source, &count) in sources.iter().zip(counts) {
        // Lengths keep neighbouring names apart.
        hash.update((source.name.len() as u64).to_le_bytes());
        hash.update(source.name.as_bytes());
        hash.update((source.n_rows as u64).to_le_bytes());
        hash.update((count as u64).to_le_bytes());
    }
    let mut text = String::new();
    for byte in &hash.finalize()[..8] {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
