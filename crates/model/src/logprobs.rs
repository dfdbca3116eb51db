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
#[must_use]
pub fn distribution(logits: &Tensor, temperature: f64) -> Tensor {
    let logits = logits.to_kind(Kind::Float);
    let tempered = if temperature > 0.0 && temperature != 1.0 {
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
#[must_use]
pub fn token_logprobs(logits: &Tensor, targets: &Tensor, temperature: f64) -> Tensor {
    of_targets(&distribution(logits, temperature), targets)
}

/// The entropy of each row's distribution in nats: −Σ π log π. Logits must be finite.
///
/// # Shapes
/// `logits`: `[n, vocab]` → `[n]` f32.
#[must_use]
pub fn entropy(logits: &Tensor, temperature: f64) -> Tensor {
    entropy_of(&distribution(logits, temperature))
}

/// [`token_logprobs`] and [`entropy`] from one softmax.
///
/// # Shapes
/// `logits`: `[n, vocab]`; `targets`: `[n]` i64 → twice `[n]` f32.
#[must_use]
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
#[must_use]
pub fn of_targets(distribution: &Tensor, targets: &Tensor) -> Tensor {
    distribution
        .gather(-1, &targets.unsqueeze(-1), false)
        .squeeze_dim(-1)
}

fn entropy_of(distribution: &Tensor) -> Tensor {
    -(distribution.exp() * distribution).sum_dim_intlist([-1].as_slice(), false, Kind::Float)
}
