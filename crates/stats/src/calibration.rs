//! Whether the reward model is as sure as it may be: predicted probabilities against what people preferred.
//!
//! A comparison's two responses come in an order that the seed draws, the model says with which probability the
//! first is the preferred one, and people say whether it is. Without the drawing the preferred one would always
//! come first, and a bin could never hold a model that is wrong as often as it is right.

use candor_data::random;
use serde::{Deserialize, Serialize};

use crate::bootstrap::Interval;
use crate::wilson::wilson;

/// Bins of equal width over `[0, 1]`.
pub const N_BINS: usize = 10;

/// Predictions of nearly one probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Least probability in it.
    pub low: f64,
    /// Probabilities in it are below this; in the last bin, at most this.
    pub high: f64,
    /// Mean predicted probability; none in an empty bin.
    pub mean_probability: Option<f64>,
    /// How often it came true; none in an empty bin.
    pub accuracy: Option<f64>,
    /// 95% interval of that, the pairs taken to be independent; none in an empty bin.
    pub ci95: Option<Interval>,
    /// Predictions in it.
    pub n: usize,
}

/// A reliability curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// [`N_BINS`] of them.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean over predictions of |mean probability − accuracy| of their bin.
    pub ece: f64,
}

/// The model's probability that `score` belongs to the preferred one of the two: σ(score − other).
#[must_use]
pub fn probability(score: f64, other: f64) -> f64 {
    let margin = score - other;
    // With the exponential of a negative number alone, nothing overflows.
    let small = (-margin.abs()).exp();
    if margin < 0.0 {
        small / (1.0 + small)
    } else {
        1.0 / (1.0 + small)
    }
}

/// Predictions and what came true, from the scores of chosen and rejected responses, in drawn order.
#[must_use]
pub fn predictions(scores: &[[f64; 2]], seed: u64) -> Vec<(f64, bool)> {
    let prediction = |(row, [chosen, rejected]): (usize, &[f64; 2])| {
        if random::uniform(seed, "reward.calibration", &[row as u64]) < 0.5 {
            (probability(*chosen, *rejected), true)
        } else {
            (probability(*rejected, *chosen), false)
        }
    };
    scores.iter().enumerate().map(prediction).collect()
}

/// The reliability curve of predictions, each a probability and whether it came true.
#[must_use]
pub fn calibration(predictions: &[(f64, bool)]) -> Calibration {
    let mut sums = [(0.0, 0_usize, 0_usize); N_BINS];
    for &(probability, came_true) in predictions {
        let bin = ((probability * N_BINS as f64) as usize).min(N_BINS - 1);
        sums[bin].0 += probability;
        sums[bin].1 += usize::from(came_true);
        sums[bin].2 += 1;
    }
    let edge = |i: usize| i as f64 / N_BINS as f64;
    let mut off = 0.0;
    let bin = |(i, (sum, n_true, n)): (usize, (f64, usize, usize))| {
        off += (sum - n_true as f64).abs();
        Bin {
            low: edge(i),
            high: edge(i + 1),
            mean_probability: (n > 0).then(|| sum / n as f64),
            accuracy: (n > 0).then(|| n_true as f64 / n as f64),
            ci95: wilson(n_true, n),
            n,
        }
    };
    let bins = sums.into_iter().enumerate().map(bin).collect();
    Calibration {
        bins,
        ece: off / predictions.len().max(1) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12, "{left} {right}");
    }

    #[test]
    fn six_predictions_worked_by_hand() {
        let curve = calibration(&[
            (0.0, false),
            (0.62, true),
            (0.68, false),
            (0.65, true),
            (0.9, true),
            (1.0, true),
        ]);
        let seen: Vec<usize> = curve.bins.iter().map(|bin| bin.n).collect();
        assert_eq!(seen, [1, 0, 0, 0, 0, 0, 3, 0, 0, 2]);
        assert_eq!(curve.bins[1].accuracy, None);
        assert_eq!(curve.bins[1].ci95, None);
        close(curve.bins[6].mean_probability.unwrap(), 0.65);
        close(curve.bins[6].accuracy.unwrap(), 2.0 / 3.0);
        close(curve.bins[9].mean_probability.unwrap(), 0.95);
        close(curve.bins[9].high, 1.0);
        // (1·|0 − 0| + 3·|0.65 − 2/3| + 2·|0.95 − 1|) / 6
        close(curve.ece, (3.0 * (2.0 / 3.0 - 0.65) + 0.1) / 6.0);
    }

    #[test]
    fn probabilities_are_the_logistic_of_the_margin() {
        close(probability(3_f64.ln(), 0.0), 0.75);
        close(probability(0.0, 3_f64.ln()), 0.25);
        close(probability(1e4, -1e4), 1.0);
        assert!(probability(-1e4, 1e4) < 1e-300);
    }

    #[test]
    fn the_order_of_a_pair_is_drawn() {
        // 1000 pairs, all judged right with probability 3/4: half of them are asked the other way round.
        let scores = vec![[3_f64.ln(), 0.0]; 1000];
        let drawn = predictions(&scores, 5);
        let first = drawn.iter().filter(|(_, came_true)| *came_true).count();
        // Binomial(1000, 1/2) has a standard deviation of 16; five of them.
        assert!((420..=580).contains(&first), "{first}");
        for (probability, came_true) in &drawn {
            close(*probability, if *came_true { 0.75 } else { 0.25 });
        }
        assert_eq!(drawn, predictions(&scores, 5));
        assert_ne!(drawn, predictions(&scores, 6));
    }
}
