//! What a reward model turned out to be worth, on comparisons that nothing was chosen by.

use std::path::Path;

use candor_data::comparisons::Parts;
use candor_data::rows::{Skipped, SkippedCounts};
use candor_stats::bootstrap::{self, Interval};
use candor_train::Found;
use serde::Serialize;

use crate::RewardError;
use crate::pairs::Pair;
use crate::scores::{Figures, PairScores, right};
use candor_stats::calibration::{Bin, calibration, predictions, probability};

/// `result.json` of a reward model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RewardResult {
    /// Share of the held-out pairs judged as people did; ties count half.
    pub accuracy: f64,
    /// 95% interval of the accuracy by the bootstrap over images.
    pub ci95: Option<Interval>,
    /// Held-out pairs.
    pub n_pairs: usize,
    /// Accuracy on the validation pairs of the step that was kept; the best of several, so a little too good.
    pub validation_accuracy: f64,
    /// The step whose weights were kept.
    pub best_step: u64,
    /// The reliability curve.
    pub calibration: Vec<Bin>,
    /// Expected calibration error.
    pub ece: f64,
    /// Mean score of all held-out responses.
    pub score_mean: f64,
    /// Standard deviation of the scores of all held-out responses (divided by n − 1).
    pub score_std: f64,
    /// Mean of chosen − rejected.
    pub margin_mean: f64,
    /// Pairs that were trained on.
    pub n_train: usize,
    /// Pairs that chose the step.
    pub n_validation: usize,
    /// Pairs that were left out because both responses are the same.
    pub n_identical: usize,
    /// Pairs that were left out because they cannot be judged, where the recipe skips them.
    #[serde(flatten)]
    pub skipped: Option<SkippedCounts>,
}

impl RewardResult {
    /// Measures the scores of the held-out pairs.
    #[must_use]
    pub fn new(pairs: &Parts<Pair>, scores: &[PairScores], best: Found, seed: u64) -> Self {
        let figures = Figures::of(scores);
        let curve = calibration(&predictions(scores, seed));
        Self {
            accuracy: figures.accuracy,
            ci95: accuracy_interval(&pairs.held_out, scores, seed),
            n_pairs: scores.len(),
            validation_accuracy: best.accuracy,
            best_step: best.step,
            calibration: curve.bins,
            ece: curve.ece,
            score_mean: figures.score_mean,
            score_std: standard_deviation(scores, figures.score_mean),
            margin_mean: figures.margin_mean,
            n_train: pairs.train.len(),
            n_validation: pairs.validation.len(),
            n_identical: pairs.n_equal,
            skipped: pairs.skipped.as_ref().map(Skipped::counts),
        }
    }
}

fn accuracy_interval(pairs: &[Pair], scores: &[PairScores], seed: u64) -> Option<Interval> {
    let judged: Vec<(&Pair, &PairScores)> = pairs.iter().zip(scores).collect();
    let [interval] = bootstrap::intervals(
        &judged,
        seed,
        "reward.held_out",
        // A row without an image stands for itself.
        |(pair, _)| pair.shared.image.as_deref().unwrap_or(&pair.id),
        |sample| {
            let sum = sample.iter().map(|(_, scores)| right(scores)).sum();
            [bootstrap::ratio(sum, sample.len() as f64)]
        },
    );
    interval
}

fn standard_deviation(scores: &[PairScores], mean: f64) -> f64 {
    let squares = scores.as_flattened().iter().map(|s| (s - mean).powi(2));
    let n = scores.as_flattened().len();
    (squares.sum::<f64>() / (n.max(2) - 1) as f64).sqrt()
}

/// One line of `held_out.jsonl`, for people to look at.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    image: Option<&'a str>,
    chosen: &'a str,
    rejected: &'a str,
    chosen_score: f64,
    rejected_score: f64,
    /// Probability that the chosen one is preferred.
    p: f64,
    /// Whether the chosen one has the higher score.
    right: bool,
}

/// Writes `held_out.jsonl`.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_lines(
    path: &Path,
    pairs: &[Pair],
    scores: &[PairScores],
) -> Result<(), RewardError> {
    let mut text = Vec::new();
    for (pair, &[chosen, rejected]) in pairs.iter().zip(scores) {
        let line = Line {
            id: &pair.id,
            image: pair.shared.image.as_deref(),
            chosen: &pair.chosen,
            rejected: &pair.rejected,
            chosen_score: chosen,
            rejected_score: rejected,
            p: probability(chosen, rejected),
            right: chosen > rejected,
        };
        serde_json::to_writer(&mut text, &line).map_err(|e| RewardError::Unfit {
            path: path.to_owned(),
            problem: e.to_string(),
            remedy: "this is a bug, please report it",
        })?;
        text.push(b'\n');
    }
    Ok(candor_data::atomic::write(path, &text)?)
}

#[cfg(test)]
mod tests {
    use candor_data::rows::ImageRows;
    use candor_model::shared::SharedPrefix;

    use super::*;

    fn pair(number: usize) -> Pair {
        Pair {
            id: format!("p{number}"),
            chosen: "yes".to_owned(),
            rejected: "no".to_owned(),
            shared: SharedPrefix {
                prefix: vec![1],
                branches: vec![vec![2], vec![3]],
                read: vec![0..1, 0..1],
                image: Some(format!("{}.png", number / 2)),
            },
        }
    }

    #[test]
    fn four_pairs_worked_by_hand() {
        let pairs = Parts {
            train: vec![pair(9)],
            validation: vec![pair(8)],
            held_out: (0..4).map(pair).collect(),
            n_equal: 3,
            skipped: None,
            images: ImageRows::default(),
        };
        let best = Found {
            step: 7,
            accuracy: 0.8,
            loss: 0.5,
        };
        // Both pairs of the first image are right, both of the second wrong: a resample of the two images has
        // an accuracy of 0, 1/2 or 1, with 1/4, 1/2 and 1/4.
        let scores = [[2.0, 0.0], [1.0, -1.0], [0.0, 2.0], [-1.0, 1.0]];
        let result = RewardResult::new(&pairs, &scores, best, 0);
        assert_eq!(result.ci95, Some([0.0, 1.0]));
        assert_eq!(
            (result.n_pairs, result.n_train, result.n_identical),
            (4, 1, 3)
        );
        assert_eq!((result.best_step, result.n_validation), (7, 1));
        let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
        close(result.accuracy, 0.5);
        close(result.margin_mean, 0.0);
        // The scores are 2, 0, 1, −1, 0, 2, −1, 1: mean 1/2, squares around it 10.
        close(result.score_mean, 0.5);
        close(result.score_std, (10.0_f64 / 7.0).sqrt());
        assert_eq!(result.calibration.iter().map(|bin| bin.n).sum::<usize>(), 4);
    }

    #[test]
    fn pairs_that_share_an_image_are_resampled_together() {
        let shows = |number: usize, shown: &str| {
            let mut pair = pair(number);
            pair.shared.image = Some(shown.to_owned());
            pair
        };
        let interval = |second: &str| {
            let pairs = [shows(0, "x"), shows(1, second)];
            accuracy_interval(&pairs, &[[1.0, 0.0], [0.0, 1.0]], 0)
        };
        // One is right, one wrong: together they are half right however often they are drawn.
        assert_eq!(interval("y\nx"), Some([0.5, 0.5]));
        assert_eq!(interval("y\nz"), Some([0.0, 1.0]));
    }
}
