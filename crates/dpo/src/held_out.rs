//! What the trained policy turned out to prefer, on rows that it did not see.

use std::cmp::Ordering;
use std::path::Path;

use candor_data::comparisons::Judged;
use candor_data::rows::{Skipped, SkippedCounts};
use candor_stats::bootstrap::{self, Interval};
use serde::Serialize;

use crate::DpoError;
use crate::all_rows::Rows;
use crate::figures::{Figures, share_above};
use crate::policy::Scored;
use crate::rows::Row;

/// `result.json` of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DpoResult {
    /// Figures of the held-out rows after the last step.
    #[serde(flatten)]
    pub figures: Figures,
    /// 95% interval of the accuracy by the bootstrap over images.
    pub ci95: Option<Interval>,
    /// Held-out comparisons; of rated answers these.
    pub n_pairs: usize,
    /// Rows that were trained on.
    pub n_train: usize,
    /// Of rated answers those among them that are good; none of comparisons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_desirable: Option<usize>,
    /// Rows that were evaluated along the way.
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
    #[serde(flatten)]
    answers: Said<'a>,
}

/// What was said of the answers of a row, and by the policy.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Said<'a> {
    Compared {
        chosen: &'a str,
        rejected: &'a str,
        chosen_logprob: f64,
        rejected_logprob: f64,
        chosen_reward: f64,
        rejected_reward: f64,
    },
    Rated {
        answer: &'a str,
        label: bool,
        logprob: f64,
        reward: f64,
    },
}

impl<'a> Line<'a> {
    /// What the policy scored a row.
    #[must_use]
    pub fn new(row: &'a Row, scored: &Scored, rewards: [f64; 2]) -> Self {
        Self {
            id: &row.id,
            image: row.answers.shared.image.as_deref(),
            answers: match &row.judged {
                Judged::Compared { chosen, rejected } => Said::Compared {
                    chosen,
                    rejected,
                    chosen_logprob: scored.chosen,
                    rejected_logprob: scored.rejected,
                    chosen_reward: rewards[0],
                    rejected_reward: rewards[1],
                },
                Judged::Rated {
                    answer,
                    is_desirable,
                } => Said::Rated {
                    answer,
                    label: *is_desirable,
                    logprob: scored.chosen,
                    reward: rewards[0],
                },
            },
        }
    }
}

/// The share of lines whose preferred answer has the higher reward, or of all pairs of a good and a bad one; a tie counts half.
fn accuracy(lines: &[&Line<'_>]) -> Option<f64> {
    let (mut n_right, mut n_compared) = (0.0, 0.0);
    let mut rated = [Vec::new(), Vec::new()];
    for line in lines {
        match line.answers {
            Said::Compared {
                chosen_reward,
                rejected_reward,
                ..
            } => {
                n_compared += 1.0;
                n_right += match chosen_reward.total_cmp(&rejected_reward) {
                    Ordering::Greater => 1.0,
                    Ordering::Equal => 0.5,
                    Ordering::Less => 0.0,
                };
            }
            Said::Rated { label, reward, .. } => rated[usize::from(!label)].push(reward),
        }
    }
    let [good, bad] = rated;
    bootstrap::ratio(n_right, n_compared).or_else(|| share_above(&good, &bad))
}

/// The interval of the accuracy, by images. A row without an image stands for itself.
fn interval(lines: &[Line<'_>], seed: u64) -> Option<Interval> {
    let [interval] = bootstrap::intervals(
        lines,
        seed,
        "dpo.held_out",
        |line| line.image.unwrap_or(line.id),
        |sample| [accuracy(sample)],
    );
    interval
}

impl DpoResult {
    /// Measures the held-out rows.
    #[must_use]
    pub fn new(rows: &Rows, figures: Figures, lines: &[Line<'_>], seed: u64) -> Self {
        let parts = &rows.parts;
        Self {
            figures,
            ci95: interval(lines, seed),
            n_pairs: lines.len(),
            n_train: parts.train().len(),
            n_desirable: rows.are_rated().then(|| rows.kinds()[0]),
            n_validation: parts.validation().len(),
            n_identical: parts.n_equal,
            skipped: parts.skipped.as_ref().map(Skipped::counts),
        }
    }

    /// The held-out accuracy with its interval, as a person is told it.
    #[must_use]
    pub fn told(&self) -> String {
        let interval = match self.ci95 {
            Some([low, high]) => format!("95% interval [{low:.3}, {high:.3}]"),
            None => "too few for an interval".to_owned(),
        };
        let (what, n) = match self.n_desirable {
            None => ("pairs", self.n_pairs),
            Some(_) => ("rated answers", self.n_pairs),
        };
        match self.figures.accuracy {
            Some(accuracy) => format!("held-out accuracy {accuracy:.3} ({interval}, {n} {what})"),
            None => format!(
                "the {n} held-out answers all have one label, so nothing tells how right it is"
            ),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_share_an_image_are_resampled_together() {
        let line = |image, chosen_reward| Line {
            id: "a",
            image: Some(image),
            answers: Said::Compared {
                chosen: "yes",
                rejected: "no",
                chosen_logprob: 0.0,
                rejected_logprob: 0.0,
                chosen_reward,
                rejected_reward: 0.0,
            },
        };
        // One is right, one wrong: together they are half right however often they are drawn.
        for (second, expected) in [("y\nx", [0.5, 0.5]), ("y\nz", [0.0, 1.0])] {
            let lines = [line("x", 1.0), line(second, -1.0)];
            assert_eq!(interval(&lines, 0), Some(expected), "{second}");
        }
    }
}
