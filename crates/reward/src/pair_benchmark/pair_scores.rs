//! Scores of pairs that nobody needs to have judged: the annotation app hands out first what the model is least sure about.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use candor_data::formats::scores::{self, Scores};
use candor_data::rows::{OnBadRow, Row, Skipped, SkippedCounts};
use candor_data::{DataError, Spot, atomic};
use candor_train::BasePrecision;
use tch::Device;

use super::rows::{self, Chosen, JudgedPair};
use super::{PairBenchmark, scored};
use crate::RewardError;

/// Which pairs are scored, and by what.
#[derive(Debug, Clone)]
pub struct PairScores {
    /// Run folder of a reward model.
    pub reward: PathBuf,
    /// What its base is held in.
    pub base_precision: BasePrecision,
    /// A file of comparisons, judged or not.
    pub pairs: PathBuf,
    /// Image folder. Images that are inside the file are written there.
    pub images: PathBuf,
    /// Captions by image, where the reward model is shown facts.
    pub facts: Option<PathBuf>,
    /// What follows from a row that cannot be scored.
    pub on_bad_row: OnBadRow,
    /// The file of scores.
    pub out: PathBuf,
    /// Answers that are scored together.
    pub pass_rows: usize,
}

/// What scoring came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoredPairs {
    /// Pairs with scores.
    pub n_pairs: usize,
    /// Pairs that were left out because both answers are the same.
    pub n_identical: usize,
    /// Rows that were left out because they cannot be scored; none where these end it.
    pub skipped: Option<SkippedCounts>,
}

/// Scores both answers of each pair, in their order, and writes them; `progress` hears how many pairs are done, and of how many.
///
/// # Errors
/// As [`super::pair_benchmark()`], but for rows that nobody has judged; or two rows have one id, by which their scores could not be told
/// apart, or the file of scores cannot be written. Both are found before the model is loaded.
pub fn pair_scores(
    plan: &PairScores,
    device: Device,
    progress: impl FnMut(usize, usize),
) -> Result<ScoredPairs, RewardError> {
    let all = PairBenchmark {
        reward: plan.reward.clone(),
        base_precision: plan.base_precision,
        files: vec![plan.pairs.clone()],
        images: plan.images.clone(),
        facts: plan.facts.clone(),
        on_bad_row: plan.on_bad_row,
        out: PathBuf::new(),
        pass_rows: plan.pass_rows,
        seed: 0,
    };
    let read = rows::read(&all, Chosen::First)?;
    check_ids(&plan.pairs, &read.rows)?;
    check_out(&plan.out)?;
    let found = scored(&all, read, device, progress)?;
    let rows: Vec<Scores> = found
        .pairs
        .into_iter()
        .map(|pair| Scores {
            id: pair.id,
            scores: pair.scores,
        })
        .collect();
    scores::write(&plan.out, &rows)?;
    Ok(ScoredPairs {
        n_pairs: rows.len(),
        n_identical: found.n_identical,
        skipped: found.skipped.as_ref().map(Skipped::counts),
    })
}

/// Refuses two rows of one id.
fn check_ids(file: &Path, rows: &[Row<JudgedPair>]) -> Result<(), DataError> {
    let mut seen = HashMap::with_capacity(rows.len());
    for row in rows.iter().filter(|row| row.made.is_ok()) {
        if let Some(first) = seen.insert(row.name.id.as_str(), &row.name.place) {
            return Err(DataError::DuplicateId {
                spot: Spot::new(file, row.name.place.clone(), "id"),
                id: row.name.id.clone(),
                first: first.clone(),
                remedy: "give each row an id of its own, or remove one of the two".into(),
            });
        }
    }
    Ok(())
}

/// Refuses a path that nothing can be written to, and leaves what is there.
fn check_out(path: &Path) -> Result<(), RewardError> {
    if path.is_dir() {
        return Err(RewardError::Unfit {
            path: path.to_owned(),
            problem: "it is a folder".to_owned(),
            remedy: "name a file for the scores",
        });
    }
    let mut is_open = false;
    let tried = atomic::write_with(path, |_| {
        is_open = true;
        Err(io::Error::other("nothing is written yet"))
    });
    if !is_open {
        tried?;
    }
    Ok(())
}
