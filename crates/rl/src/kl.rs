//! Estimates of KL(policy ‖ reference) from the log-probabilities of sampled tokens, in nats.
//!
//! With `d = log π − log π_ref` at a token drawn from π, the mean of each estimator is:
//! `k1 = d` (unbiased, may be negative), `k2 = d²/2` (biased, never negative), `k3 = e^(−d) − 1 + d` (unbiased,
//! never negative).
//!
//! # Reference
//! The reference's default, which it calls k1, clamps `d` at 0 from below: [`KlEstimator::K1Clamped`]. That is
//! no estimate of the KL: it counts where the policy is likelier than the reference and forgives the rest, so
//! its mean is above zero even between equals that differ by noise. It is there for the `paper` recipe.

use tch::Tensor;

/// How the KL of one token is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KlEstimator {
    /// `d`.
    K1,
    /// `max(d, 0)`, the reference's default.
    K1Clamped,
    /// `d² / 2`.
    K2,
    /// `e^(−d) − 1 + d`.
    K3,
}

impl KlEstimator {
    /// The words a recipe has for them.
    pub const NAMES: [(&str, Self); 4] = [
        ("k1", Self::K1),
        ("k1_clamped", Self::K1Clamped),
        ("k2", Self::K2),
        ("k3", Self::K3),
    ];
}

/// The estimate at each token.
///
/// # Shapes
/// `logprobs`, `ref_logprobs`: any, the same → the same.
///
/// # Reference
/// Schulman, "Approximating KL divergence", names k1 to k3. Paper: section 2 writes the KL term of the reward.
pub fn per_token(estimator: KlEstimator, logprobs: &Tensor, ref_logprobs: &Tensor) -> Tensor {
    let d = logprobs - ref_logprobs;
    match estimator {
        KlEstimator::K1 => d,
        KlEstimator::K1Clamped => d.clamp_min(0.0),
        KlEstimator::K2 => d.square() * 0.5,
        // expm1 keeps the digits where the two policies agree, which is where they start.
        KlEstimator::K3 => d.neg().expm1() + d,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_estimator_by_hand() {
        let logprobs = Tensor::from_slice(&[-1.0_f64, -2.0]);
        let reference = Tensor::from_slice(&[-1.5_f64, -1.5]);
        let expected = [
            (KlEstimator::K1, [0.5, -0.5]),
            (KlEstimator::K1Clamped, [0.5, 0.0]),
            (KlEstimator::K2, [0.125, 0.125]),
            // e^(−½) − 1 + ½ and e^(½) − 1 − ½.
            (
                KlEstimator::K3,
                [0.106_530_659_712_633, 0.148_721_270_700_128],
            ),
        ];
        for (estimator, expected) in expected {
            let found = per_token(estimator, &logprobs, &reference);
            for (i, value) in expected.iter().enumerate() {
                let found = found.double_value(&[i as i64]);
                assert!((found - value).abs() < 1e-12, "{estimator:?}: {found}");
            }
        }
    }
}
