//! The clipped losses of PPO.
//!
//! Every loss is a sum over the counted positions, each by the weight that a position of its row has in the **whole
//! mini-batch**. So a mini-batch may be cut into micro-batches at will: their losses, gradients and
//! shares add up to those of the uncut one. The reference takes the mean of each micro-batch over tokens and pads
//! alike, which makes a token weigh more the shorter its neighbours are; pass a mask that is true everywhere and
//! one over the number of all positions for the pads.

use tch::{Kind, Tensor};

use crate::kl::{self, KlEstimator};

/// How far a ratio may move from 1 before its gradient stops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// Downwards.
    pub low: f64,
    /// Upwards; larger than `low` in DAPO (arXiv 2503.14476), so that unlikely tokens may become likely.
    pub high: f64,
}

/// What the positions of a micro-batch weigh.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// What a position of each row weighs in the loss, `[batch, 1]`.
    pub of_row: &'a Tensor,
    /// Counted positions of the whole mini-batch, which shares are counted by.
    pub n_tokens: f64,
}

/// Policy loss of a micro-batch and what it says of the update; all 0-dimensional.
#[derive(Debug)]
pub struct PolicyLoss {
    /// To be minimised; this micro-batch's share of the mini-batch's loss.
    pub loss: Tensor,
    /// Share of the mini-batch's counted positions at which the clipped term is the larger one, without gradient.
    pub clip_fraction: Tensor,
    /// This micro-batch's share of the mean of `ratio − 1 − log ratio`, an estimate of KL(old ‖ new) that is never
    /// negative; without gradient.
    pub approx_kl: Tensor,
    /// Largest `max(ratio, 1 / ratio)` of the counted positions, at least 1; without gradient. It does not add up
    /// over micro-batches: take the largest.
    pub ratio_max: Tensor,
}

/// Value loss of a micro-batch; all 0-dimensional.
#[derive(Debug)]
pub struct ValueLoss {
    /// To be minimised; this micro-batch's share of the mini-batch's loss.
    pub loss: Tensor,
    /// Share of the mini-batch's counted positions at which the clipped error is the larger one, without gradient.
    pub clip_fraction: Tensor,
}

/// `Σ w max(−A · ρ, −A · clip(ρ, 1 − ε_low, 1 + ε_high))` with `ρ = exp(logprobs − old_logprobs)` and the weight `w` of a
/// row's positions.
///
/// # Shapes
/// `logprobs`, `old_logprobs`, `advantages`: `[batch, response]`; `mask`: the same, bool, true = counted.
///
/// # Reference
/// Schulman and others, arXiv 1707.06347, equation 7.
#[must_use]
pub fn policy_loss(
    logprobs: &Tensor,
    old_logprobs: &Tensor,
    advantages: &Tensor,
    mask: &Tensor,
    clip: Clip,
    weights: Weights<'_>,
) -> PolicyLoss {
    let n_tokens = weights.n_tokens;
    let out = mask.logical_not();
    // Masked before the exponential: its gradient at an infinite value would not be a number even times zero.
    let log_ratio = (logprobs - old_logprobs).masked_fill(&out, 0.0);
    let advantages = advantages.detach().masked_fill(&out, 0.0);
    let ratio = log_ratio.exp();
    let plain = -(&advantages * &ratio);
    let clipped = -(&advantages * ratio.clamp(1.0 - clip.low, 1.0 + clip.high));
    let loss = (plain.maximum(&clipped) * weights.of_row).sum(plain.kind());
    tch::no_grad(|| PolicyLoss {
        loss,
        clip_fraction: share(&clipped.gt_tensor(&plain), n_tokens),
        approx_kl: (&ratio - 1.0 - &log_ratio).sum(ratio.kind()).detach() / n_tokens,
        ratio_max: log_ratio.abs().max().exp().detach(),
    })
}

/// `½ Σ w max((V − R)², (clip(V, V_old − ε, V_old + ε) − R)²)`.
///
/// # Shapes
/// `values`, `old_values`, `returns`: `[batch, response]`; `mask`: the same, bool, true = counted.
///
/// # Reference
/// The value clipping of OpenAI's PPO implementations, which the paper follows; it is in no equation.
#[must_use]
pub fn value_loss(
    values: &Tensor,
    old_values: &Tensor,
    returns: &Tensor,
    mask: &Tensor,
    value_clip_range: f64,
    weights: Weights<'_>,
) -> ValueLoss {
    let out = mask.logical_not();
    let [values, old_values, returns] =
        [values, &old_values.detach(), &returns.detach()].map(|x| x.masked_fill(&out, 0.0));
    let near = values
        .maximum(&(&old_values - value_clip_range))
        .minimum(&(&old_values + value_clip_range));
    let plain = (&values - &returns).square();
    let clipped = (near - &returns).square();
    let loss = (plain.maximum(&clipped) * weights.of_row).sum(plain.kind()) * 0.5;
    ValueLoss {
        loss,
        clip_fraction: share(&clipped.gt_tensor(&plain), weights.n_tokens),
    }
}

/// `Σ w KL_t`: the divergence from the reference as a part of the loss, with gradients.
///
/// # Shapes
/// `logprobs`, `ref_logprobs`: `[batch, response]`; `mask`: the same, bool, true = counted → scalar.
pub fn kl_loss(
    estimator: KlEstimator,
    logprobs: &Tensor,
    ref_logprobs: &Tensor,
    mask: &Tensor,
    weights: Weights<'_>,
) -> Tensor {
    // Masked before the exponential, as above. Every estimate of equals is 0.
    let out = mask.logical_not();
    let [logprobs, reference] = [logprobs, ref_logprobs].map(|x| x.masked_fill(&out, 0.0));
    let kl = kl::per_token(estimator, &logprobs, &reference);
    (&kl * weights.of_row).sum(kl.kind())
}

fn share(condition: &Tensor, n_tokens: f64) -> Tensor {
    condition.sum(Kind::Float).detach() / n_tokens
}
