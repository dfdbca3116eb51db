//! Student's t: how far the mean of a few values may be from that of all of which they are a sample.
//!
//! It takes the values as independent draws from one normal distribution. With few of them that cannot be checked;
//! the interval is wide instead, which is what few values deserve.

use crate::bootstrap::Interval;

/// The 95% interval of the mean of all of which `values` are a sample: their mean ± t · s / √n with n − 1 degrees of
/// freedom. `None` for fewer than two values, which say nothing of their spread.
#[must_use]
pub fn interval(values: &[f64]) -> Option<Interval> {
    let n = values.len() as f64;
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let reach = quantile_975(values.len() - 1) * (squares / (n - 1.0) / n).sqrt();
    Some([mean - reach, mean + reach])
}

/// The t that a value stays below with probability 0.975, with `df` ≥ 1 degrees of freedom.
#[must_use]
pub fn quantile_975(df: usize) -> f64 {
    // The angle is searched and not t itself, because it lies between known ends.
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if within(middle, df) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high).tan() * (df as f64).sqrt()
}

/// The probability that |t| is below tan(`angle`) · √`df`: a finite sum for whole degrees of freedom (Abramowitz and
/// Stegun, 26.7.3 and 26.7.4).
fn within(angle: f64, df: usize) -> f64 {
    let (sin, cos) = angle.sin_cos();
    let first = if df.is_multiple_of(2) { 1.0 } else { cos };
    let (mut term, mut sum) = (first, if df == 1 { 0.0 } else { first });
    for k in (2 + df % 2..df).step_by(2) {
        term *= cos * cos * (k - 1) as f64 / k as f64;
        sum += term;
    }
    if df.is_multiple_of(2) {
        sin * sum
    } else {
        (angle + sin * sum) * std::f64::consts::FRAC_2_PI
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_that_have_a_closed_form() {
        // One degree is Cauchy's distribution: tan(0.475 π). Two: 0.95 √2 / √(1 − 0.95²) = 0.95 / √(0.04875).
        let one = (0.475 * std::f64::consts::PI).tan();
        assert!((quantile_975(1) - one).abs() < 1e-9);
        assert!((quantile_975(2) - 0.95 / 0.048_75_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn an_interval_worked_by_hand() {
        // Mean 2, variance 1: 2 ± 4.302653 / √3.
        let [low, high] = interval(&[1.0, 2.0, 3.0]).unwrap();
        assert!((low + 0.484_138).abs() < 1e-6 && (high - 4.484_138).abs() < 1e-6);
        assert_eq!(interval(&[5.0]), None);
        assert_eq!(interval(&[]), None);
    }
}
