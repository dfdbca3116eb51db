//! Fleiss' kappa of any number of people, the same number for each item.
//!
//! # Reference
//! J. L. Fleiss, Measuring nominal scale agreement among many raters, Psychological Bulletin 76 (1971).

use super::{Unit, corrected};

/// Kappa over items with exactly `n_raters` judgements of categories below `N`; others are left out.
#[must_use]
pub fn fleiss<const N: usize>(units: &[&Unit], n_raters: usize) -> Option<f64> {
    if n_raters < 2 {
        return None;
    }
    let mut totals = [0.0; N];
    let (mut observed, mut n_items) = (0.0, 0.0);
    for unit in units.iter().filter(|unit| unit.len() == n_raters) {
        let mut counts = [0.0; N];
        for &category in *unit {
            counts[category] += 1.0;
        }
        let squares: f64 = counts.iter().map(|n| n * n).sum();
        let r = n_raters as f64;
        observed += (squares - r) / (r * (r - 1.0));
        n_items += 1.0;
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
    }
    if n_items == 0.0 {
        return None;
    }
    let all = n_items * n_raters as f64;
    let expected: f64 = totals.iter().map(|n| (n / all) * (n / all)).sum();
    corrected(observed / n_items, expected)
}
