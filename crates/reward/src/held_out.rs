//! What a reward model turned out to be worth, on comparisons that nothing was chosen by.

use std::path::Path;

use candor_data::comparisons::Judged;
use candor_data::rows::SkippedCounts;
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
    /// Held-out pairs; of rated answers these.
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
    /// Of rated answers those among them that are good; none of comparisons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_desirable: Option<usize>,
    /// Pairs that chose the step.
    pub n_validation: usize,
    /// Pairs that were left out because both responses are the same.
    pub n_identical: usize,
    /// Pairs that were left out because they cannot be judged, where the recipe skips them.
    #[serde(flatten)]
    pub skipped: Option<SkippedCounts>,
}

/// What a reward model learned from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Pairs that were trained on.
    pub n_train: usize,
    /// Of rated answers those among them that are good; none of comparisons.
    pub n_desirable: Option<usize>,
    /// Pairs that chose the step.
    pub n_validation: usize,
    /// Pairs that were left out because both responses are the same.
    pub n_identical: usize,
    /// Pairs that were left out because they cannot be judged, where the recipe skips them.
    pub skipped: Option<SkippedCounts>,
}

impl RewardResult {
    /// Measures the scores of the held-out pairs.
    #[must_use]
    pub fn new(
        held_out: &[Pair],
        learned: Learned,
        scores: &[PairScores],
        best: Found,
        seed: u64,
    ) -> Self {
        let figures = Figures::of(scores, learned.n_desirable.is_some());
        let curve = calibration(&match learned.n_desirable {
            None => predictions(scores, seed),
            Some(_) => predicted(held_out, scores),
        });
        Self {
            accuracy: figures.accuracy,
            ci95: accuracy_interval(held_out, scores, seed),
            n_pairs: scores.len(),
            validation_accuracy: best.accuracy,
            best_step: best.step,
            calibration: curve.bins,
            ece: curve.ece,
            score_mean: figures.score_mean,
            score_std: standard_deviation(held_out, scores, figures.score_mean),
            margin_mean: figures.margin_mean,
            n_train: learned.n_train,
            n_desirable: learned.n_desirable,
            n_validation: learned.n_validation,
            n_identical: learned.n_identical,
            skipped: learned.skipped,
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

/// The probability that each rated answer is good, by its score, and whether it is.
fn predicted(pairs: &[Pair], scores: &[PairScores]) -> Vec<(f64, bool)> {
    let of_one = |(pair, [good, bad]): (&Pair, &PairScores)| {
        Some((probability(good + bad, 0.0), pair.rating()?))
    };
    pairs.iter().zip(scores).filter_map(of_one).collect()
}

/// Of the scores that responses have: the 0 beside a rated one is nobody's.
fn standard_deviation(pairs: &[Pair], scores: &[PairScores], mean: f64) -> f64 {
    let own = pairs
        .iter()
        .zip(scores)
        .flat_map(|(pair, scores)| match pair.rating() {
            None => scores.to_vec(),
            Some(_) => vec![scores[0] + scores[1]],
        });
    let own: Vec<f64> = own.collect();
    let squares = own.iter().map(|score| (score - mean).powi(2));
    (squares.sum::<f64>() / (own.len().max(2) - 1) as f64).sqrt()
}

/// One line of `held_out.jsonl`, for people to look at.
#[derive(Debug, Serialize)]
struct Line<'a> {
    id: &'a str,
    image: Option<&'a str>,
    #[serde(flatten)]
    said: LineOf<'a>,
    /// Probability that the chosen one is preferred, or that a rated one is good.
    p: f64,
    /// Whether the chosen one has the higher score, or a rated one the sign of its label.
    right: bool,
}

/// What was said of the responses of a line, with their scores.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum LineOf<'a> {
    Compared {
        chosen: &'a str,
        rejected: &'a str,
        chosen_score: f64,
        rejected_score: f64,
    },
    Rated {
        answer: &'a str,
        label: bool,
        score: f64,
    },
}

impl<'a> Line<'a> {
    fn new(pair: &'a Pair, [chosen_score, rejected_score]: PairScores) -> Self {
        // Of a rated answer one of the two is 0.
        let score = chosen_score + rejected_score;
        let (said, p) = match &pair.said {
            Judged::Compared { chosen, rejected } => (
                LineOf::Compared {
                    chosen,
                    rejected,
                    chosen_score,
                    rejected_score,
                },
                probability(chosen_score, rejected_score),
            ),
            Judged::Rated {
                answer,
                is_desirable,
            } => (
                LineOf::Rated {
                    answer,
                    label: *is_desirable,
                    score,
                },
                probability(score, 0.0),
            ),
        };
        Self {
            id: &pair.id,
            image: pair.shared.image.as_deref(),
            said,
            p,
            right: chosen_score > rejected_score,
        }
    }
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
    for (pair, scores) in pairs.iter().zip(scores) {
        let line = Line::new(pair, *scores);
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
    use candor_model::shared::SharedPrefix;

    use super::*;

    fn pair(number: usize) -> Pair {
        Pair {
            id: format!("p{number}"),
            said: Judged::Compared {
                chosen: "yes".to_owned(),
                rejected: "no".to_owned(),
            },
            shared: SharedPrefix {
                prefix: vec![1_i64].into(),
                branches: vec![vec![2], vec![3]],
                read: vec![0..1, 0..1],
                image: Some(format!("{}.png", number / 2)),
            },
        }
    }

    /// Of three pairs that are trained on and one for validation.
    fn learned(n_desirable: Option<usize>) -> Learned {
        Learned {
            n_train: 3,
            n_desirable,
            n_validation: 1,
            n_identical: 2,
            skipped: None,
        }
    }

    #[test]
    fn four_pairs_worked_by_hand() {
        let pairs: Vec<Pair> = (0..4).map(pair).collect();
        let best = Found {
            step: 7,
            accuracy: 0.8,
            loss: 0.5,
        };
        // Both pairs of the first image are right, both of the second wrong: a resample of the two images has
        // an accuracy of 0, 1/2 or 1, with 1/4, 1/2 and 1/4.
        let scores = [[2.0, 0.0], [1.0, -1.0], [0.0, 2.0], [-1.0, 1.0]];
        let result = RewardResult::new(&pairs, learned(None), &scores, best, 0);
        assert_eq!(result.ci95, Some([0.0, 1.0]));
        assert_eq!(
            (result.n_pairs, result.n_train, result.n_identical),
            (4, 3, 2)
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

    #[test]
    fn three_rated_answers_worked_by_hand() {
        let rated = |number: usize, is_desirable| Pair {
            said: Judged::Rated {
                answer: "A dog.".to_owned(),
                is_desirable,
            },
            ..pair(number)
        };
        let labels = [true, false, false];
        let held_out: Vec<Pair> = (0..)
            .zip(labels)
            .map(|(n, label)| rated(n, label))
            .collect();
        // Scores 2, 1 and −3: the second is wrong.
        let own = [2.0, 1.0, -3.0];
        let scores: Vec<PairScores> = held_out
            .iter()
            .zip(own)
            .map(|(pair, score)| pair.pair_scores(&[score]))
            .collect();
        assert_eq!(scores, [[2.0, 0.0], [0.0, 1.0], [0.0, -3.0]]);
        let best = Found {
            step: 1,
            accuracy: 1.0,
            loss: 0.5,
        };
        let result = RewardResult::new(&held_out, learned(Some(2)), &scores, best, 0);
        let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
        close(result.accuracy, 2.0 / 3.0);
        assert_eq!((result.n_pairs, result.n_desirable), (3, Some(2)));
        // Mean 0; squares 4 + 1 + 9 over n − 1 = 2.
        close(result.score_mean, 0.0);
        close(result.score_std, 7_f64.sqrt());
        // Signed: 2 − 1 + 3.
        close(result.margin_mean, 4.0 / 3.0);
        let line = serde_json::to_value(Line::new(&held_out[1], scores[1])).unwrap();
        assert_eq!(line["label"], false);
        assert_eq!(line["right"], false);
        assert_eq!(line["score"], 1.0);
        close(line["p"].as_f64().unwrap(), 1.0 / (1.0 + (-1.0_f64).exp()));
    }
}
