//! What the trained policy turned out to prefer, on comparisons that it did not see.

use std::path::Path;

use candor_data::comparisons::Parts;
use candor_data::rows::{Skipped, SkippedCounts};
use candor_stats::bootstrap::{self, Interval};
use serde::Serialize;

use crate::DpoError;
use crate::figures::Figures;
use crate::policy::Scored;
use crate::rows::Row;

/// `result.json` of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DpoResult {
    /// Figures of the held-out comparisons after the last step.
    #[serde(flatten)]
    pub figures: Figures,
    /// 95% interval of the accuracy by the bootstrap over images.
    pub ci95: Option<Interval>,
    /// Held-out comparisons.
    pub n_pairs: usize,
    /// Comparisons that were trained on.
    pub n_train: usize,
    /// Comparisons that were evaluated along the way.
    pub n_validation: usize,
    /// Comparisons that were left out because both answers are the same.
    pub n_identical: usize,
    /// Comparisons that were left out because they do not fit the model, where the recipe skips them.
    #[serde(flatten)]
    pub skipped: Option<SkippedCounts>,
}

/// One line of `held_out.jsonl`, for people to look at.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    id: &'a str,
    image: Option<&'a str>,
    chosen: &'a str,
    rejected: &'a str,
    chosen_logprob: f64,
    rejected_logprob: f64,
    chosen_reward: f64,
    rejected_reward: f64,
}

impl<'a> Line<'a> {
    /// What the policy scored a row.
    #[must_use]
    pub fn new(row: &'a Row, scored: &Scored, rewards: [f64; 2]) -> Self {
        Self {
            id: &row.id,
            image: row.answers.shared.image.as_deref(),
            chosen: &row.chosen,
            rejected: &row.rejected,
            chosen_logprob: scored.chosen,
            rejected_logprob: scored.rejected,
            chosen_reward: rewards[0],
            rejected_reward: rewards[1],
        }
    }

    /// 1 for a comparison whose preferred answer has the higher reward, 1/2 for a tie.
    fn right(&self) -> f64 {
        match self.chosen_reward.total_cmp(&self.rejected_reward) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        }
    }
}

impl DpoResult {
    /// Measures the held-out comparisons.
    #[must_use]
    pub fn new(rows: &Parts<Row>, figures: Figures, lines: &[Line<'_>], seed: u64) -> Self {
        let accuracy = |sample: &[&Line<'_>]| {
            let sum = sample.iter().map(|line| line.right()).sum();
            [bootstrap::ratio(sum, sample.len() as f64)]
        };
        // A row without an image stands for itself.
        let [ci95] = bootstrap::intervals(
            lines,
            seed,
            "dpo.held_out",
            |line| line.image.unwrap_or(line.id),
            accuracy,
        );
        Self {
            figures,
            ci95,
            n_pairs: lines.len(),
            n_train: rows.train.len(),
            n_validation: rows.validation.len(),
            n_identical: rows.n_equal,
            skipped: rows.skipped.as_ref().map(Skipped::counts),
        }
    }

    /// The held-out accuracy with its interval, as a person is told it.
    #[must_use]
    pub fn told(&self) -> String {
        let interval = match self.ci95 {
            Some([low, high]) => format!("95% interval [{low:.3}, {high:.3}]"),
            None => "too few for an interval".to_owned(),
        };
        let (accuracy, n) = (self.figures.accuracy, self.n_pairs);
        format!("held-out accuracy {accuracy:.3} ({interval}, {n} pairs)")
    }
}

/// Writes `held_out.jsonl`.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_lines(path: &Path, lines: &[Line<'_>]) -> Result<(), DpoError> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line).map_err(|error| DpoError::Unfit {
            path: path.to_owned(),
            problem: error.to_string(),
            remedy: "this is a bug, please report it",
        })?;
        text.push(b'\n');
    }
    Ok(candor_data::atomic::write(path, &text)?)
}
