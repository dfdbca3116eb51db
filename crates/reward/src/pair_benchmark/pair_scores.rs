//! Scores of pairs that nobody needs to have judged: the annotation app hands out first what the model is least sure about.

use std::path::PathBuf;

use candor_data::formats::scores::{self, Scores};
use candor_data::rows::{OnBadRow, Skipped, SkippedCounts};
use candor_train::BasePrecision;
use tch::Device;

use super::rows::Chosen;
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
/// apart.
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
    let found = scored(&all, device, progress, Chosen::First)?;
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
