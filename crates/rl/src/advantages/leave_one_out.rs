//! REINFORCE leave-one-out (RLOO): a response is as good as its reward exceeds the mean reward of the other responses
//! to its prompt.
//!
//! `A = R − (Σ_others R) / (n − 1)` with `R = Σ_t r_t`, the KL penalty included; every token of a response has its
//! advantage.
//!
//! # Reference
//! Ahmadian and others, arXiv 2402.14740, section 3.2. TRL's trainer has the same advantages. It clips the ratio of
//! whole responses, where ours, as PPO's, clips that of tokens; before the first update both gradients are
//! `−Σ A ∇ log π` up to a factor, ours being a mean over tokens and TRL's one over responses.

use tch::Tensor;

use super::totals;

/// Advantages of every position, without gradients.
///
/// # Shapes
/// `rewards`: `[n_prompts · n, response]`, the `n` (at least 2) responses to one prompt beside each other; `mask`: the
/// same, bool, true = counted position → the same, 0 where the mask is false.
pub fn leave_one_out(rewards: &Tensor, mask: &Tensor, n: usize) -> Tensor {
    let totals = totals(rewards, mask).reshape([-1, n as i64]);
    let of_group = totals.sum_dim_intlist([1].as_slice(), true, totals.kind());
    let others = (of_group - &totals) / (n as f64 - 1.0);
    let advantages = (totals - others).reshape([-1, 1]);
    advantages
        .expand_as(mask)
        .masked_fill(&mask.logical_not(), 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two prompts with three responses each, of one to three tokens; a pad's reward must not count.
    ///
    /// Rewards add up to (3, 1, 8) and (−1, 0, 4). The means of the others are (4.5, 5.5, 2) and (2, 1.5, −0.5).
    #[test]
    fn by_hand() {
        let pad = f64::NAN;
        let rewards = [
            [1.0, 2.0, pad],
            [1.0, pad, pad],
            [2.0, 2.0, 4.0],
            [-1.0, pad, pad],
            [0.5, -0.5, pad],
            [4.0, 0.0, 0.0],
        ];
        let advantages = [-1.5, -4.5, 6.0, -3.0, -1.5, 4.5];
        let rewards = Tensor::from_slice(rewards.as_flattened()).reshape([6, 3]);
        let mask = rewards.isnan().logical_not();
        let found = leave_one_out(&rewards, &mask, 3);
        for (row, expected) in advantages.into_iter().enumerate() {
            for at in 0..3 {
                let at = [row as i64, at];
                let expected = if mask.int64_value(&at) == 1 {
                    expected
                } else {
                    0.0
                };
                let found = found.double_value(&at);
                assert!((found - expected).abs() < 1e-12, "{at:?}: {found}");
            }
        }
    }

    /// Of two responses each is the other's baseline.
    #[test]
    fn two_responses_mirror_each_other() {
        let rewards = Tensor::from_slice(&[5.0_f64, 2.0]).reshape([2, 1]);
        let found = leave_one_out(&rewards, &rewards.isfinite(), 2);
        assert_eq!(found, Tensor::from_slice(&[3.0_f64, -3.0]).reshape([2, 1]));
    }
}
