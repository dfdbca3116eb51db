//! What scored pairs say of a reward model: pure functions of the pairs.

use std::collections::BTreeMap;

use candor_data::rows::SkippedCounts;
use candor_stats::bootstrap::{self, Interval};
use candor_stats::calibration::{Bin, calibration, predictions};
use candor_stats::histogram::{Bar, histogram};
use serde::Serialize;

use super::rows::JudgedPair;
use crate::scores::right;

/// Bins of the margins, at most.
const MOST_BARS: usize = 40;

/// How often the preferred answer has the higher score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairAccuracy {
    /// Share of pairs; equal scores count half.
    pub accuracy: f64,
    /// Its 95% interval by the bootstrap over images.
    pub ci95: Option<Interval>,
    /// Pairs.
    pub n_pairs: usize,
    /// Mean of the preferred answer's score less the other's.
    pub margin_mean: f64,
}

/// Whether what is long is preferred.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LengthBias {
    /// Share of pairs of different length, in words, whose longer answer has the higher score; equal scores count half.
    pub model_prefers_longer: Option<f64>,
    /// Share of these pairs whose longer answer is the one that people prefer.
    pub people_prefer_longer: Option<f64>,
    /// Accuracy where people prefer the longer answer.
    pub accuracy_longer: Option<f64>,
    /// Accuracy where people prefer the shorter one.
    pub accuracy_shorter: Option<f64>,
}

/// What was measured: the content of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairResult {
    /// Over all pairs of all files.
    #[serde(flatten)]
    pub all: PairAccuracy,
    /// Mean of the accuracies of the groups.
    pub macro_accuracy: f64,
    /// By the group that the set says, else by file, without its ending.
    pub groups: BTreeMap<String, PairAccuracy>,
    /// The reliability curve.
    pub calibration: Vec<Bin>,
    /// Expected calibration error.
    pub ece: f64,
    /// How the margins are spread: the preferred answer's score less the other's.
    pub margins: Vec<Bar>,
    /// Whether what is long is preferred.
    pub length: LengthBias,
    /// Pairs that were left out because both answers are the same.
    pub n_identical: usize,
    /// Rows that were left out because they cannot be scored; none where these end it.
    #[serde(flatten)]
    pub skipped: Option<SkippedCounts>,
    /// Whether the model was shown facts.
    pub with_facts: bool,
}

/// What scored pairs say of the model, but for what is not in the pairs.
pub(super) fn measured(pairs: &[JudgedPair], seed: u64) -> PairResult {
    let all: Vec<&JudgedPair> = pairs.iter().collect();
    let mut by_group: BTreeMap<&str, Vec<&JudgedPair>> = BTreeMap::new();
    for pair in pairs {
        by_group.entry(&pair.group).or_default().push(pair);
    }
    let groups = by_group.into_iter();
    let groups: BTreeMap<String, PairAccuracy> = groups
        .map(|(name, pairs)| (name.to_owned(), accuracy(&pairs, seed)))
        .collect();
    let scores: Vec<[f64; 2]> = pairs.iter().map(|pair| pair.scores).collect();
    let margins: Vec<f64> = scores
        .iter()
        .map(|[chosen, other]| chosen - other)
        .collect();
    let curve = calibration(&predictions(&scores, seed));
    let sum: f64 = groups.values().map(|group| group.accuracy).sum();
    PairResult {
        all: accuracy(&all, seed),
        macro_accuracy: sum / groups.len().max(1) as f64,
        groups,
        calibration: curve.bins,
        ece: curve.ece,
        margins: histogram(&margins, MOST_BARS),
        length: length_bias(pairs),
        n_identical: 0,
        skipped: None,
        with_facts: false,
    }
}

fn accuracy(pairs: &[&JudgedPair], seed: u64) -> PairAccuracy {
    let of = |sample: &[&&JudgedPair]| {
        let sum = sample.iter().map(|pair| right(&pair.scores)).sum();
        [bootstrap::ratio(sum, sample.len() as f64)]
    };
    let whole: Vec<&&JudgedPair> = pairs.iter().collect();
    // A row without an image stands for itself.
    let [ci95] = bootstrap::intervals(
        pairs,
        seed,
        "reward.pairs",
        |pair| pair.image.as_deref().unwrap_or(&pair.id),
        of,
    );
    let margins: f64 = pairs
        .iter()
        .map(|pair| pair.scores[0] - pair.scores[1])
        .sum();
    PairAccuracy {
        accuracy: of(&whole)[0].unwrap_or_default(),
        ci95,
        n_pairs: pairs.len(),
        margin_mean: margins / pairs.len() as f64,
    }
}

fn length_bias(pairs: &[JudgedPair]) -> LengthBias {
    let words = |text: &str| text.split_whitespace().count();
    let (mut longer, mut shorter) = (Vec::new(), Vec::new());
    for pair in pairs {
        match words(&pair.chosen).cmp(&words(&pair.rejected)) {
            std::cmp::Ordering::Greater => longer.push(right(&pair.scores)),
            std::cmp::Ordering::Less => shorter.push(right(&pair.scores)),
            std::cmp::Ordering::Equal => {}
        }
    }
    let (n_longer, n_shorter) = (longer.len() as f64, shorter.len() as f64);
    let (right_longer, right_shorter): (f64, f64) = (longer.iter().sum(), shorter.iter().sum());
    let for_longer = right_longer + (n_shorter - right_shorter);
    LengthBias {
        model_prefers_longer: bootstrap::ratio(for_longer, n_longer + n_shorter),
        people_prefer_longer: bootstrap::ratio(n_longer, n_longer + n_shorter),
        accuracy_longer: bootstrap::ratio(right_longer, n_longer),
        accuracy_shorter: bootstrap::ratio(right_shorter, n_shorter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(group: &str, number: usize, texts: [&str; 2], scores: [f64; 2]) -> JudgedPair {
        JudgedPair {
            group: group.to_owned(),
            id: number.to_string(),
            image: Some(format!("{}.png", number / 2)),
            turns: Vec::new(),
            chosen: texts[0].to_owned(),
            rejected: texts[1].to_owned(),
            scores,
        }
    }

    #[test]
    fn five_pairs_worked_by_hand() {
        let (short, long) = ("A dog.", "A dog and a cat.");
        let pairs = [
            pair("a", 0, [short, long], [2.0, 0.0]),
            pair("a", 1, [long, short], [3.0, 0.0]),
            pair("a", 2, [long, short], [0.0, 1.0]),
            pair("b", 3, [short, short], [1.0, 1.0]),
            pair("b", 4, [short, long], [0.0, 4.0]),
        ];
        let found = measured(&pairs, 0);
        let close = |left: f64, right: f64| assert!((left - right).abs() < 1e-12, "{left} {right}");
        // Right, right, wrong, half, wrong.
        close(found.all.accuracy, 2.5 / 5.0);
        close(found.groups["a"].accuracy, 2.0 / 3.0);
        close(found.groups["b"].accuracy, 0.5 / 2.0);
        close(found.macro_accuracy, 11.0 / 24.0);
        close(found.all.margin_mean, (2.0 + 3.0 - 1.0 + 0.0 - 4.0) / 5.0);
        // Margins 2, 3, −1, 0 and −4: with a width of 0.1 there would be 71 bins, with one of 0.2 there are 36.
        let held: Vec<(f64, f64, usize)> = found
            .margins
            .iter()
            .map(|bar| (bar.low, bar.high, bar.n))
            .collect();
        assert_eq!(held.len(), 36);
        for bar in [
            (-4.0, -3.8, 1),
            (-1.0, -0.8, 1),
            (0.0, 0.2, 1),
            (2.0, 2.2, 1),
            (3.0, 3.2, 1),
        ] {
            assert!(held.contains(&bar), "{bar:?} in {held:?}");
        }
        // Four pairs differ in length; the model is for the longer one in the second and the last.
        let length = found.length;
        close(length.model_prefers_longer.unwrap(), 2.0 / 4.0);
        close(length.people_prefer_longer.unwrap(), 2.0 / 4.0);
        close(length.accuracy_longer.unwrap(), 1.0 / 2.0);
        close(length.accuracy_shorter.unwrap(), 1.0 / 2.0);
        let [low, high] = found.all.ci95.unwrap();
        assert!((0.0..0.5).contains(&low) && high > 0.5 && high <= 1.0);
    }

    #[test]
    fn rows_that_share_an_image_are_resampled_together() {
        let shows = |number: usize, shown: &str, scores: [f64; 2]| JudgedPair {
            image: Some(shown.to_owned()),
            ..pair("a", number, ["yes", "no"], scores)
        };
        let interval = |second: &str| {
            let pairs = [shows(0, "x", [1.0, 0.0]), shows(1, second, [0.0, 1.0])];
            measured(&pairs, 0).all.ci95
        };
        // One is right, one wrong: together they are half right however often they are drawn.
        assert_eq!(interval("y\nx"), Some([0.5, 0.5]));
        assert_eq!(interval("y\nz"), Some([0.0, 1.0]));
    }
}
