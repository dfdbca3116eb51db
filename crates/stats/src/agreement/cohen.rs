//! Cohen's kappa of two people.
//!
//! # Reference
//! J. Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20 (1960).

use super::corrected;

/// Kappa over the items that both judged, each a pair of categories below `N`.
#[must_use]
pub fn cohen<const N: usize>(pairs: &[(usize, usize)]) -> Option<f64> {
    if pairs.is_empty() {
        return None;
    }
    let n = pairs.len() as f64;
    let (mut one, mut other) = ([0.0; N], [0.0; N]);
    let mut same = 0.0;
    for &(a, b) in pairs {
        one[a] += 1.0;
        other[b] += 1.0;
        same += f64::from(u8::from(a == b));
    }
    let expected: f64 = one.iter().zip(&other).map(|(a, b)| a * b).sum::<f64>() / (n * n);
    corrected(same / n, expected)
}
