//! How two series of numbers go together: Pearson's and Spearman's coefficient.

use serde::{Deserialize, Serialize};

/// Both coefficients, each from −1 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// Pearson's r: whether they go together along a line.
    pub pearson: f64,
    /// Spearman's rho: whether they go together in order; r of the ranks, tied values sharing their mean rank.
    pub spearman: f64,
}

/// The correlation of pairs; `None` for fewer than three of them, or when one side does not vary.
#[must_use]
pub fn correlation(pairs: &[(f64, f64)]) -> Option<Correlation> {
    if pairs.len() < 3 {
        return None;
    }
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    Some(Correlation {
        pearson: pearson(&x, &y)?,
        spearman: pearson(&ranks(&x), &ranks(&y))?,
    })
}

fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let (mean_x, mean_y) = (mean(x), mean(y));
    let sum = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b));
        products.sum()
    };
    let spread = (sum(x, mean_x, x, mean_x) * sum(y, mean_y, y, mean_y)).sqrt();
    let r = sum(x, mean_x, y, mean_y) / spread;
    // Rounding can lead a little beyond the ends.
    (spread > 0.0 && r.is_finite()).then(|| r.clamp(-1.0, 1.0))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Ranks from 1; equal values get the mean of the ranks they take up.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for group in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]).is_eq()) {
        let shared = from as f64 + f64::midpoint(1.0, group.len() as f64);
        for &place in group {
            ranks[place] = shared;
        }
        from += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn worked_by_hand() {
        // x: deviations −2 −1 0 3, squares 14; y: deviations −1.5 −.5 .5 1.5, squares 5; products 3 + .5 + 0 + 4.5.
        let pairs = [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (6.0, 4.0)];
        let found = correlation(&pairs).unwrap();
        assert!((found.pearson - 8.0 / 70.0_f64.sqrt()).abs() < 1e-12);
        assert!((found.spearman - 1.0).abs() < 1e-12);
    }

    #[test]
    fn ties_share_their_mean_rank() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 0.0, 5.0]), [4.0, 2.0, 4.0, 1.0, 4.0]);
    }

    #[test]
    fn nothing_to_say_of_two_pairs_or_of_what_does_not_vary() {
        assert_eq!(correlation(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(correlation(&[(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]), None);
        assert_eq!(correlation(&[]), None);
    }

    fn pairs() -> impl Strategy<Value = Vec<(f64, f64)>> {
        prop::collection::vec((-100.0..100.0, -100.0..100.0), 3..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn turning_one_side_around_turns_the_sign_and_a_rising_map_keeps_the_order(pairs in pairs()) {
            let found = correlation(&pairs).unwrap();
            let turned: Vec<_> = pairs.iter().map(|&(x, y)| (x, 3.0 - 2.0 * y)).collect();
            let turned = correlation(&turned).unwrap();
            prop_assert!((found.pearson + turned.pearson).abs() < 1e-9);
            prop_assert!((found.spearman + turned.spearman).abs() < 1e-9);
            let bent: Vec<_> = pairs.iter().map(|&(x, y)| (x, y.powi(3))).collect();
            prop_assert!((correlation(&bent).unwrap().spearman - found.spearman).abs() < 1e-9);
        }
    }
}
