//! Krippendorff's alpha for categories; people may have judged different items, and different numbers of them.
//!
//! # Reference
//! K. Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: the coincidence matrix. For nominal
//! data `1 − D_o / D_e = 1 − (n − 1) Σ_c≠k o_ck / Σ_c≠k n_c n_k`.

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
