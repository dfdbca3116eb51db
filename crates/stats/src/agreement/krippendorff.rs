//! Krippendorff's alpha for categories and for numbers; people may have judged different items, and different numbers of them.
//!
//! # Reference
//! K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: the coincidence matrix. For nominal
//! data `1 − D_o / D_e = 1 − (n − 1) Σ_c≠k o_ck / Σ_c≠k n_c n_k`; for interval data each term is weighted by `(c − k)²`.

use super::Unit;

/// Alpha over items of categories below `N`; items with a single judgement say nothing.
#[must_use]
pub fn krippendorff<const N: usize>(units: &[&Unit]) -> Option<f64> {
    let mut totals = [0.0; N];
    let mut disagreeing = 0.0;
    for unit in units.iter().filter(|unit| unit.len() >= 2) {
        let mut counts = [0.0; N];
        for &category in *unit {
            counts[category] += 1.0;
        }
        let m = unit.len() as f64;
        let agreeing: f64 = counts.iter().map(|n| n * (n - 1.0)).sum();
        disagreeing += (m * (m - 1.0) - agreeing) / (m - 1.0);
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
    }
    let n: f64 = totals.iter().sum();
    let unlike = n * n - totals.iter().map(|n| n * n).sum::<f64>();
    (unlike > 0.0).then(|| 1.0 - (n - 1.0) * disagreeing / unlike)
}

/// Alpha over items of whole numbers on a scale of equal steps, such as ratings: the further apart, the more they disagree.
/// Items with a single judgement say nothing.
#[must_use]
pub fn krippendorff_interval(units: &[&Unit]) -> Option<f64> {
    // The sum of (x − y)² over all ordered pairs is twice (n Σx² − (Σx)²).
    let apart = |n: f64, sum: f64, squares: f64| 2.0 * (n * squares - sum * sum);
    let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
    let mut disagreeing = 0.0;
    for unit in units.iter().filter(|unit| unit.len() >= 2) {
        let m = unit.len() as f64;
        let values = || unit.iter().map(|&value| value as f64);
        let sum_here: f64 = values().sum();
        let squares_here: f64 = values().map(|value| value * value).sum();
        disagreeing += apart(m, sum_here, squares_here) / (m - 1.0);
        n += m;
        sum += sum_here;
        squares += squares_here;
    }
    let expected = apart(n, sum, squares);
    (expected > 0.0).then(|| 1.0 - (n - 1.0) * disagreeing / expected)
}
