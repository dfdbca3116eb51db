//! Generalised advantage estimation.
//!
//! `δ_t = r_t + γ V_{t+1} − V_t`, `A_t = δ_t + γ λ A_{t+1}`, with `V` and `A` zero after the last position;
//! returns are `A_t + V_t`.
//!
//! # Reference
//! Schulman and others, arXiv 1506.02438, equation 16. The reference treats pads as tokens; whoever wants that
//! passes a mask that is true everywhere.

use tch::Tensor;

/// Advantages and returns.
#[derive(Debug)]
pub struct Gae {
    /// `A_t`, not whitened.
    pub advantages: Tensor,
    /// `A_t + V_t`, what the value model should have said.
    pub returns: Tensor,
}

/// Advantages of every position, without gradients.
///
/// # Shapes
/// `rewards`, `values`: `[batch, response]`; `mask`: `[batch, response]` bool, true = counted position, in each
/// row a prefix; → the same, 0 where the mask is false.
#[must_use]
pub fn gae(rewards: &Tensor, values: &Tensor, mask: &Tensor, gamma: f64, lambda: f64) -> Gae {
    let out = mask.logical_not();
    let rewards = rewards.detach().masked_fill(&out, 0.0);
    let values = values.detach().masked_fill(&out, 0.0);
    let width = rewards.size()[1];
    let mut after = rewards
        .zeros_like()
        .narrow(1, 0, width.min(1))
        .squeeze_dim(1);
    let mut next_value = after.shallow_clone();
    let mut backwards = Vec::with_capacity(width as usize);
    for t in (0..width).rev() {
        let value = values.select(1, t);
        let delta = rewards.select(1, t) + next_value * gamma - &value;
        after = delta + after * (gamma * lambda);
        next_value = value;
        backwards.push(after.shallow_clone());
    }
    backwards.reverse();
    if backwards.is_empty() {
        return Gae {
            advantages: rewards.shallow_clone(),
            returns: rewards,
        };
    }
    let advantages = Tensor::stack(&backwards, 1);
    let returns = &advantages + &values;
    Gae {
        advantages,
        returns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rows worked by hand: γ = 0.9, λ = 0.5.
    ///
    /// Row 1, three tokens: δ = (1 + .9·2 − 1, −1 + .9·3 − 2, 2 − 3) = (1.8, −0.3, −1);
    /// A₃ = −1, A₂ = −0.3 − 0.45 = −0.75, A₁ = 1.8 − 0.3375 = 1.4625.
    /// Row 2, two tokens and a pad: δ = (0 + .9·0 − 4, 5 − 0) = (−4, 5); A₂ = 5, A₁ = −4 + 2.25 = −1.75.
    #[test]
    fn by_hand() {
        let rewards = Tensor::from_slice(&[1.0_f64, -1.0, 2.0, 0.0, 5.0, f64::NAN]).reshape([2, 3]);
        let values = Tensor::from_slice(&[1.0_f64, 2.0, 3.0, 4.0, 0.0, 9.0]).reshape([2, 3]);
        let mask = Tensor::from_slice(&[true, true, true, true, true, false]).reshape([2, 3]);
        let Gae {
            advantages,
            returns,
        } = gae(&rewards, &values, &mask, 0.9, 0.5);
        let expected = [1.4625, -0.75, -1.0, -1.75, 5.0, 0.0];
        let value = [1.0, 2.0, 3.0, 4.0, 0.0, 0.0];
        for i in 0..6 {
            let at = [i as i64 / 3, i as i64 % 3];
            assert!((advantages.double_value(&at) - expected[i]).abs() < 1e-12);
            assert!((returns.double_value(&at) - expected[i] - value[i]).abs() < 1e-12);
        }
    }
}
