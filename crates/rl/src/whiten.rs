//! Whitening: to mean 0 and standard deviation 1 over all counted positions of a rollout batch.
//!
//! Mean `m` and variance `v` are taken over the true positions of the mask; `v` divides by their number, not by
//! one less. The divisor is `sqrt(v) + 1e-8`.
//!
//! # Reference
//! The reference uses the same formula over all positions, pads included, gathered from all devices; pass a
//! mask that is true everywhere for that.

use tch::{Kind, Tensor};

/// Keeps the divisor above zero where everything is equal.
const EPSILON: f64 = 1e-8;

/// `(x − m) / (sqrt(v) + 1e-8)`.
///
/// # Shapes
/// `x`: any; `mask`: the same, bool, true = counted → the same, 0 where the mask is false. Without a counted
/// position all is 0.
pub fn whiten_centered(x: &Tensor, mask: &Tensor) -> Tensor {
    whitened(x, mask).0
}

/// `(x − m) / (sqrt(v) + 1e-8) + m`: rewards keep their mean, so that good batches stay better than bad ones.
///
/// # Shapes
/// `x`: any; `mask`: the same, bool, true = counted → the same, 0 where the mask is false. Without a counted
/// position all is 0.
pub fn whiten_keep_mean(x: &Tensor, mask: &Tensor) -> Tensor {
    let (centered, mean) = whitened(x, mask);
    (centered + mean).masked_fill(&mask.logical_not(), 0.0)
}

/// Mean and variance over the counted positions, both 0-dimensional; zeros without any.
///
/// # Shapes
/// `x`: any; `mask`: the same, bool, true = counted → two scalars of the kind of `x`.
pub fn moments(x: &Tensor, mask: &Tensor) -> (Tensor, Tensor) {
    let out = mask.logical_not();
    let n = mask.sum(Kind::Int64).clamp_min(1).to_kind(x.kind());
    let mean = x.masked_fill(&out, 0.0).sum(x.kind()) / &n;
    let deviation = (x - &mean).masked_fill(&out, 0.0);
    let variance = deviation.square().sum(x.kind()) / &n;
    (mean, variance)
}

fn whitened(x: &Tensor, mask: &Tensor) -> (Tensor, Tensor) {
    let (mean, variance) = moments(x, mask);
    let centered = (x - &mean) / (variance.sqrt() + EPSILON);
    (centered.masked_fill(&mask.logical_not(), 0.0), mean)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counted values 1, 2, 3, 6 have mean 3 and variance (4 + 1 + 0 + 9) / 4 = 3.5.
    #[test]
    fn by_hand() {
        let x = Tensor::from_slice(&[1.0_f64, 2.0, 100.0, 3.0, 6.0, f64::NAN]).reshape([2, 3]);
        let mask = Tensor::from_slice(&[true, true, false, true, true, false]).reshape([2, 3]);
        let divisor = 3.5_f64.sqrt() + 1e-8;
        let centered = Vec::<f64>::try_from(whiten_centered(&x, &mask).flatten(0, 1)).unwrap();
        let kept = Vec::<f64>::try_from(whiten_keep_mean(&x, &mask).flatten(0, 1)).unwrap();
        for (i, value) in [1.0, 2.0, f64::NAN, 3.0, 6.0, f64::NAN]
            .into_iter()
            .enumerate()
        {
            let expected = if value.is_nan() {
                [0.0, 0.0]
            } else {
                [(value - 3.0) / divisor, (value - 3.0) / divisor + 3.0]
            };
            assert!((centered[i] - expected[0]).abs() < 1e-12);
            assert!((kept[i] - expected[1]).abs() < 1e-12);
        }
    }

    #[test]
    fn nothing_counted_is_nothing() {
        let x = Tensor::from_slice(&[1.0_f64, 2.0]);
        let mask = Tensor::from_slice(&[false, false]);
        let centered = Vec::<f64>::try_from(whiten_centered(&x, &mask)).unwrap();
        assert!(
            centered.iter().all(|x| x.abs() < f64::MIN_POSITIVE),
            "{centered:?}"
        );
    }
}
