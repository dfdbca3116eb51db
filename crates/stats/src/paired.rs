//! How certain it is that two models differ on the same items.
//!
//! A figure is a ratio of sums over items. Items of one image stand or fall together, so images are what is
//! resampled and exchanged. The interval is the percentile bootstrap of the difference. The test asks how
//! often a difference at least as large turns up when for each image it is left to a coin which model gave
//! which answers: exactly over all outcomes while at most 13 images differ, else over 9999 drawn ones.

use crate::bootstrap::{self, Interval, ratio};
use candor_data::random;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

/// Coins, up to which all outcomes are counted.
const EXACT_UP_TO: usize = 13;
/// Outcomes that are drawn beyond that.
const N_DRAWN: usize = 9999;

/// What two models contribute to a figure with one item: part and whole of the ratio.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The image of the item.
    pub image: String,
    /// The first model's.
    pub first: [f64; 2],
    /// The second model's.
    pub second: [f64; 2],
}

/// How two models differ in a figure.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Difference {
    /// The second model's figure less the first's; `None` where one of them is a ratio over nothing.
    pub difference: Option<f64>,
    /// Its 95% interval.
    pub ci95: Option<Interval>,
    /// Chance of a difference at least as large between equal models.
    pub p: Option<f64>,
    /// Whether `p` counts all outcomes.
    pub is_exact: bool,
    /// Items that both models answered.
    pub n: usize,
    /// Whether they answered each of them in the same words, which whoever compares answers says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_answers: bool,
}

impl Difference {
    /// Whether there is nothing to test: the answers are the same, and so is the figure.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.same_answers && self.difference.is_none_or(|by| by == 0.0)
    }
}

/// What two models contribute: part and whole of the first, part and whole of the second.
pub(crate) type Sums = [[f64; 2]; 2];

/// Sums in another order differ in their last bits, which must not decide whether one is as large as another.
pub(crate) const ROUNDING: f64 = 1e-9;

/// Compares two models. `seed` decides the interval and the drawn outcomes.
#[must_use]
pub fn compare(pairs: &[Pair], seed: u64) -> Difference {
    let of = |pairs: &[&Pair]| [difference(total(pairs.iter().copied()))];
    let difference = difference(total(pairs));
    let [ci95] = bootstrap::intervals(pairs, seed, "judge.paired", |pair| &pair.image, of);
    let (equal, differing) = split(&by_image(pairs));
    Difference {
        difference,
        ci95,
        p: difference.map(|observed| exchanged(&differing, equal, observed, seed)),
        is_exact: differing.len() <= EXACT_UP_TO,
        n: pairs.len(),
        same_answers: false,
    }
}

/// All items together.
pub(crate) fn total<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> Sums {
    let mut sums = Sums::default();
    for pair in pairs {
        add(&mut sums, &[pair.first, pair.second], false);
    }
    sums
}

/// Each image's items together, in the order of the images' names.
pub(crate) fn by_image(pairs: &[Pair]) -> Vec<Sums> {
    let images = bootstrap::by_image(pairs, |pair| &pair.image).into_iter();
    images.map(total).collect()
}

/// The images to which both models contribute the same, together, and the others.
pub(crate) fn split(images: &[Sums]) -> (Sums, Vec<Sums>) {
    let differ = |[first, second]: &Sums| first.map(f64::to_bits) != second.map(f64::to_bits);
    let (differing, equal): (Vec<Sums>, Vec<Sums>) = images.iter().copied().partition(differ);
    let mut base = Sums::default();
    for sums in &equal {
        add(&mut base, sums, false);
    }
    (base, differing)
}

pub(crate) fn add(sums: &mut Sums, more: &Sums, exchanged: bool) {
    for model in 0..2 {
        for k in 0..2 {
            sums[model][k] += more[if exchanged { 1 - model } else { model }][k];
        }
    }
}

fn difference([first, second]: Sums) -> Option<f64> {
    Some(ratio(second[0], second[1])? - ratio(first[0], first[1])?)
}

fn exchanged(images: &[Sums], base: Sums, observed: f64, seed: u64) -> f64 {
    chance(images.len(), seed, |is_exchanged| {
        let mut sums = base;
        for (i, image) in images.iter().enumerate() {
            add(&mut sums, image, is_exchanged(i));
        }
        // An undefined outcome speaks against a difference.
        difference(sums).is_none_or(|drawn| drawn.abs() >= observed.abs() - ROUNDING)
    })
}

/// How often an outcome of `n` coins is as large as the one found: counted over all outcomes, or over drawn ones, of which
/// the one found is one more.
pub(crate) fn chance(
    n: usize,
    seed: u64,
    is_as_large: impl Fn(&dyn Fn(usize) -> bool) -> bool,
) -> f64 {
    if n <= EXACT_UP_TO {
        let n_outcomes = 1_usize << n;
        let as_large = (0..n_outcomes).filter(|outcome| is_as_large(&|i| outcome >> i & 1 == 1));
        return as_large.count() as f64 / n_outcomes as f64;
    }
    let as_large = (0..N_DRAWN).filter(|&draw| {
        let mut stream = random::stream(seed, "judge.exchange", &[draw as u64]);
        let coins: Vec<bool> = (0..n).map(|_| stream.random::<bool>()).collect();
        is_as_large(&|i| coins[i])
    });
    (as_large.count() + 1) as f64 / (N_DRAWN + 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(scores: &[(f64, f64)]) -> Vec<Pair> {
        let pair = |(i, &(first, second)): (usize, &(f64, f64))| Pair {
            image: i.to_string(),
            first: [first, 1.0],
            second: [second, 1.0],
        };
        scores.iter().enumerate().map(pair).collect()
    }

    #[test]
    fn small_tests_are_counted_out_by_hand() {
        // Differences 1, 1, 1: of 8 sign patterns only +++ and --- are as large.
        let found = compare(&pairs(&[(0.0, 1.0), (1.0, 2.0), (3.0, 4.0)]), 0);
        assert!((found.difference.unwrap() - 1.0).abs() < 1e-12);
        assert_eq!((found.p, found.is_exact), (Some(0.25), true));
        // Differences 3, -1, 0: sums are ±2 and ±4, so all 4 patterns are at least 2.
        let found = compare(&pairs(&[(0.0, 3.0), (1.0, 0.0), (5.0, 5.0)]), 0);
        assert_eq!(found.p, Some(1.0));
        // Differences 3, 1: sums ±4 and ±2, half of them as large as 4.
        let found = compare(&pairs(&[(0.0, 3.0), (0.0, 1.0)]), 0);
        assert_eq!(found.p, Some(0.5));
        assert_eq!(compare(&pairs(&[(2.0, 2.0)]), 0).p, Some(1.0));
    }

    #[test]
    fn questions_of_one_image_are_exchanged_together() {
        let mut all = pairs(&[(0.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0)]);
        for pair in &mut all {
            pair.image = "same".to_owned();
        }
        assert_eq!(compare(&all, 0).p, Some(1.0));
    }

    #[test]
    fn drawn_outcomes_come_near_the_counted_ones() {
        // 20 differences of 1 but 5 of -1: P(|sum| >= 10) for 20 coins is 2 · 21700 / 2^20 = 0.04139.
        let scores: Vec<(f64, f64)> = (0..20)
            .map(|i| if i < 5 { (1.0, 0.0) } else { (0.0, 1.0) })
            .collect();
        let found = compare(&pairs(&scores), 3);
        assert!(!found.is_exact);
        let p = found.p.unwrap();
        // Four standard deviations of 9999 draws.
        assert!((p - 0.04139).abs() < 0.008, "{p}");
        let [low, high] = found.ci95.unwrap();
        assert!(low < 0.5 && 0.5 < high && low > 0.0, "{low} {high}");
    }

    #[test]
    fn exchanging_the_models_turns_the_sign_and_nothing_else() {
        let all = pairs(&[(0.0, 1.0), (2.0, 0.5), (1.0, 1.0), (0.0, 4.0)]);
        let turned: Vec<Pair> = all
            .iter()
            .map(|pair| Pair {
                first: pair.second,
                second: pair.first,
                ..pair.clone()
            })
            .collect();
        let (here, there) = (compare(&all, 1), compare(&turned, 1));
        assert_eq!(here.difference, there.difference.map(|d| -d));
        assert_eq!(here.p, there.p);
    }

    #[test]
    fn ratios_over_nothing_are_not_compared() {
        let all = [Pair {
            image: "a".to_owned(),
            first: [0.0, 0.0],
            second: [1.0, 1.0],
        }];
        let found = compare(&all, 0);
        assert_eq!((found.difference, found.p, found.ci95), (None, None, None));
        assert_eq!(compare(&[], 0).n, 0);
    }
}
