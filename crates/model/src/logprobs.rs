//! Log-probabilities of tokens and the entropy of their distribution.
//!
//! Generation and every training pass read them here, so that what was sampled and what is trained on differ by
//! rounding alone. All of it is in f32, whatever the model computes in, and differentiable.
//!
//! The temperature divides the logits; 0, which means greedy decoding, leaves them as they are.

use tch::{Kind, Tensor};

/// The log-probabilities of all tokens.
///
/// # Shapes
/// `logits`: `[n, vocab]` → the same, f32.
pub fn distribution(logits: &Tensor, temperature: f64) -> Tensor {
    let logits = logits.to_kind(Kind::Float);
    // At 1 they would be divided into a copy of the same bits, the largest tensor of a pass once more.
    let is_copy = temperature.to_bits() == 1.0_f64.to_bits();
    let tempered = if temperature > 0.0 && !is_copy {
        logits / temperature
    } else {
        logits
    };
    tempered.log_softmax(-1, Kind::Float)
}

/// The log-probability of each row's target: log π(target).
///
/// # Shapes
/// `logits`: `[n, vocab]`; `targets`: `[n]` i64 → `[n]` f32.
pub fn token_logprobs(logits: &Tensor, targets: &Tensor, temperature: f64) -> Tensor {
    of_targets(&distribution(logits, temperature), targets)
}

/// The entropy of each row's distribution in nats: −Σ π log π. Logits must be finite.
///
/// # Shapes
/// `logits`: `[n, vocab]` → `[n]` f32.
pub fn entropy(logits: &Tensor, temperature: f64) -> Tensor {
    entropy_of(&distribution(logits, temperature))
}

/// [`token_logprobs`] and [`entropy`] from one softmax.
///
/// # Shapes
/// `logits`: `[n, vocab]`; `targets`: `[n]` i64 → twice `[n]` f32.
pub fn token_logprobs_and_entropy(
    logits: &Tensor,
    targets: &Tensor,
    temperature: f64,
) -> (Tensor, Tensor) {
    let distribution = distribution(logits, temperature);
    (
        of_targets(&distribution, targets),
        entropy_of(&distribution),
    )
}

/// Picks the targets out of [`distribution`].
///
/// # Shapes
/// `distribution`: `[n, vocab]` f32; `targets`: `[n]` i64 → `[n]` f32.
pub fn of_targets(distribution: &Tensor, targets: &Tensor) -> Tensor {
    distribution
        .gather(-1, &targets.unsqueeze(-1), false)
        .squeeze_dim(-1)
}

fn entropy_of(distribution: &Tensor) -> Tensor {
    -(distribution.exp() * distribution).sum_dim_intlist([-1].as_slice(), false, Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities 1/8, 2/8, 5/8 and, as the second row, 1/4, 1/2, 1/4.
    fn logits() -> Tensor {
        let odds = [1_f32, 2.0, 5.0, 1.0, 2.0, 1.0];
        Tensor::from_slice(&odds).log().reshape([2, 3])
    }

    fn assert_near(found: &Tensor, expected: &[f64]) {
        let found = Vec::<f64>::try_from(found.detach().flatten(0, -1)).unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }

    /// −Σ p ln p of odds that need not sum to one.
    fn entropy_by_hand(odds: &[f64]) -> f64 {
        let total: f64 = odds.iter().sum();
        -odds
            .iter()
            .map(|o| o / total * (o / total).ln())
            .sum::<f64>()
    }

    #[test]
    fn logprobs_and_entropy_at_three_temperatures() {
        let targets = Tensor::from_slice(&[2_i64, 0]);
        // At temperature T the odds are raised to 1/T; 0 leaves them alone.
        for (temperature, odds) in [
            (1.0, [[1.0, 2.0, 5.0], [1.0, 2.0, 1.0]]),
            (0.5, [[1.0, 4.0, 25.0], [1.0, 4.0, 1.0]]),
            (0.0, [[1.0, 2.0, 5.0], [1.0, 2.0, 1.0]]),
        ] {
            let total = odds.map(|row: [f64; 3]| row.iter().sum::<f64>());
            let logprobs = [(odds[0][2] / total[0]).ln(), (odds[1][0] / total[1]).ln()];
            let entropies = odds.map(|row| entropy_by_hand(&row));
            let (both_logprobs, both_entropies) =
                token_logprobs_and_entropy(&logits(), &targets, temperature);
            assert_near(&both_logprobs, &logprobs);
            assert_near(&both_entropies, &entropies);
            assert_near(&token_logprobs(&logits(), &targets, temperature), &logprobs);
            assert_near(&entropy(&logits(), temperature), &entropies);
        }
    }

    #[test]
    fn gradients_are_those_of_the_formulas() {
        let (p, temperature) = ([1.0 / 30.0, 4.0 / 30.0, 25.0 / 30.0_f64], 0.5);
        let leaf = || logits().narrow(0, 0, 1).set_requires_grad(true);
        let target = Tensor::from_slice(&[1_i64]);

        let x = leaf();
        token_logprobs(&x, &target, temperature)
            .sum(Kind::Float)
            .backward();
        // d log p_t / dz_i = (1[i = t] − p_i) / T
        assert_near(&x.grad(), &[-p[0] / 0.5, (1.0 - p[1]) / 0.5, -p[2] / 0.5]);

        let x = leaf();
        entropy(&x, temperature).sum(Kind::Float).backward();
        // dH / dz_i = −p_i (ln p_i + H) / T
        let h = entropy_by_hand(&p);
        assert_near(&x.grad(), &p.map(|p| -p * (p.ln() + h) / 0.5));
    }

    #[test]
    fn half_precision_logits_are_read_in_single() {
        let logits = Tensor::from_slice(&[0_f32, 1.0, 2.0]).to_kind(Kind::BFloat16);
        let logprob = token_logprobs(&logits.unsqueeze(0), &Tensor::from_slice(&[0_i64]), 1.0);
        assert_eq!(logprob.kind(), Kind::Float);
        // The logits above are exact in bf16, so nothing may be lost after them.
        assert_near(&logprob, &[-(1.0 + 1_f64.exp() + 2_f64.exp()).ln()]);
    }
}
