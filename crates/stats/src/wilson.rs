//! The interval of a share of few cases: Wilson's score interval.
//!
//! All shares `p` whose distance from the one found is at most `z` of their own standard errors `√(p(1 − p)/n)`, so that the
//! ends stay in `[0, 1]`, and a share of nothing or of everything has an interval with a width, which resampling cannot give
//! it. The cases are taken to be independent of each other.

use crate::bootstrap::Interval;

/// The 97.5% quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The 95% interval of `n_true` of `n` cases; none of no cases.
#[must_use]
pub fn wilson(n_true: usize, n: usize) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (n_true, n) = (n_true as f64, n as f64);
    let share = n_true / n;
    let middle = n_true + Z * Z / 2.0;
    let half = Z * (n_true * (1.0 - share) + Z * Z / 4.0).sqrt();
    let end = |numerator: f64| (numerator / (n + Z * Z)).clamp(0.0, 1.0);
    Some([end(middle - half), end(middle + half)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Interval, expected: Interval) {
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn known_intervals() {
        // By the textbook's form of it in decimal numbers of 40 digits.
        close(wilson(8, 10).unwrap(), WILSON_8_OF_10);
        close(wilson(1, 1).unwrap(), [1.0 / (1.0 + Z2), 1.0]);
        // Of nothing, solved by hand: z² / (n + z²).
        close(wilson(0, 10).unwrap(), [0.0, Z2 / (10.0 + Z2)]);
        close(wilson(10, 10).unwrap(), [10.0 / (10.0 + Z2), 1.0]);
        assert_eq!(wilson(0, 0), None);
    }

    /// z², of a table of χ² with one degree of freedom at 95%.
    const Z2: f64 = 3.841_458_820_694_126;
    const WILSON_8_OF_10: Interval = [0.490_162_471_536_642, 0.943_317_848_545_625];
}
