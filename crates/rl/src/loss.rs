//! The clipped losses of PPO.
//!
//! Every loss is a sum over the counted positions divided by `n_tokens`, the number of counted positions of the
//! **whole mini-batch**. So a mini-batch may be cut into micro-batches at will: their losses, gradients and
//! shares add up to those of the uncut one. The reference takes the mean of each micro-batch over tokens and pads
//! alike, which makes a token weigh more the shorter its neighbours are; pass a mask that is true everywhere and
//! the number of all positions for the pads.

use tch::{Kind, Tensor};

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

/// `Σ max(−A · ρ, −A · clip(ρ, 1 − ε, 1 + ε)) / n_tokens` with `ρ = exp(logprobs − old_logprobs)`.
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
    clip_range: f64,
    n_tokens: f64,
) -> PolicyLoss {
    let out = mask.logical_not();
    // Masked before the exponential: its gradient at an infinite value would not be a number even times zero.
    let log_ratio = (logprobs - old_logprobs).masked_fill(&out, 0.0);
    let advantages = advantages.detach().masked_fill(&out, 0.0);
    let ratio = log_ratio.exp();
    let plain = -(&advantages * &ratio);
    let clipped = -(&advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range));
    let loss = plain.maximum(&clipped).sum(plain.kind()) / n_tokens;
    tch::no_grad(|| PolicyLoss {
        loss,
        clip_fraction: share(&clipped.gt_tensor(&plain), n_tokens),
        approx_kl: (&ratio - 1.0 - &log_ratio).sum(ratio.kind()).detach() / n_tokens,
        ratio_max: log_ratio.abs().max().exp().detach(),
    })
}

/// `½ Σ max((V − R)², (clip(V, V_old − ε, V_old + ε) − R)²) / n_tokens`.
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
    n_tokens: f64,
) -> ValueLoss {
    let out = mask.logical_not();
    let [values, old_values, returns] =
        [values, &old_values.detach(), &returns.detach()].map(|x| x.masked_fill(&out, 0.0));
    let near = values
        .maximum(&(&old_values - value_clip_range))
        .minimum(&(&old_values + value_clip_range));
    let plain = (&values - &returns).square();
    let clipped = (near - &returns).square();
    let loss = plain.maximum(&clipped).sum(plain.kind()) * 0.5 / n_tokens;
    ValueLoss {
        loss,
        clip_fraction: share(&clipped.gt_tensor(&plain), n_tokens),
    }
}

fn share(condition: &Tensor, n_tokens: f64) -> Tensor {
    condition.sum(Kind::Float).detach() / n_tokens
}
