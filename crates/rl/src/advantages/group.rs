//! Against the group: a response is as good as its reward exceeds the mean reward of all responses to its prompt, in
//! units of how far rewards are spread (GRPO), or in its own (Dr. GRPO).
//!
//! `A = (R − mean) / (std + 1e-4)` with `R = Σ_t r_t`; every token of a response has its advantage. The standard deviation
//! divides by one less than the number of responses, as TRL's.
//!
//! # Reference
//! GRPO: Shao and others, arXiv 2402.03300, section 4.1. Dr. GRPO: Liu and others, arXiv 2503.20783, leaves the division
//! out, because it makes questions that are all but solved or hopeless weigh more. TRL: `GRPOTrainer`, `scale_rewards`.

use tch::{Device, Tensor};

use super::totals;

/// What keeps the divisor above zero, as in TRL.
const EPSILON: f64 = 1e-4;

/// Groups whose rewards differ by less have no spread: what is left is rounding.
const FLAT: f64 = 1e-6;

/// What the distance from the group's mean is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// The standard deviation of the group's rewards.
    Group,
    /// That of all rewards of the step.
    Batch,
    /// Nothing.
    None,
}

/// Advantages of every position, without gradients.
///
/// # Shapes
/// `rewards`: `[n_prompts · n, response]`, the `n` (at least 2) responses to one prompt beside each other; `mask`: the
/// same, bool, true = counted position → the same, 0 where the mask is false.
pub fn against_group(rewards: &Tensor, mask: &Tensor, n: usize, scale: Scale) -> Tensor {
    let groups = totals(rewards, mask).reshape([-1, n as i64]);
    let own = [1].as_slice();
    let centred = &groups - groups.mean_dim(own, true, groups.kind());
    let advantages = match scale {
        Scale::Group => centred / (groups.std_dim(own, true, true) + EPSILON),
        Scale::Batch => centred / (groups.std(true) + EPSILON),
        Scale::None => centred,
    };
    let advantages = advantages.reshape([-1, 1]);
    advantages
        .expand_as(mask)
        .masked_fill(&mask.logical_not(), 0.0)
}

/// Advantages against the mean reward of all responses of the step (REINFORCE with a baseline), without gradients.
///
/// # Shapes
/// `rewards`: `[rollouts, response]`; `mask`: the same, bool, true = counted position → the same, 0 where the mask is false.
pub fn against_batch(rewards: &Tensor, mask: &Tensor) -> Tensor {
    let totals = totals(rewards, mask);
    let advantages = (&totals - totals.mean(totals.kind())).reshape([-1, 1]);
    advantages
        .expand_as(mask)
        .masked_fill(&mask.logical_not(), 0.0)
}

/// Which responses belong to a group whose rewards are all alike, so that there is nothing to prefer.
///
/// # Shapes
/// As [`against_group`]; → one for each response.
#[must_use]
pub fn without_spread(rewards: &Tensor, mask: &Tensor, n: usize) -> Vec<bool> {
    let groups = totals(rewards, mask).reshape([-1, n as i64]);
    let own = [1].as_slice();
    let flat = (groups.amax(own, false) - groups.amin(own, false)).lt(FLAT);
    // All at once: a device is waited for with each copy.
    let flat = flat.to_device(Device::Cpu);
    let is_flat = |group: i64| flat.int64_value(&[group]) == 1;
    let groups = 0..flat.size()[0];
    groups
        .flat_map(|group| std::iter::repeat_n(is_flat(group), n))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two prompts with three responses each; a pad's reward must not count.
    ///
    /// Rewards add up to (3, 1, 8) and (2, 2, 2). The first group has mean 4 and variance (1 + 9 + 16) / 2 = 13. All six
    /// have mean 3 and variance (0 + 4 + 25 + 3) / 5 = 6.4.
    fn given() -> (Tensor, Tensor) {
        let pad = f64::NAN;
        let rewards = [
            [1.0, 2.0],
            [1.0, pad],
            [2.0, 6.0],
            [2.0, pad],
            [0.5, 1.5],
            [2.0, 0.0],
        ];
        let rewards = Tensor::from_slice(rewards.as_flattened()).reshape([6, 2]);
        let mask = rewards.isnan().logical_not();
        (rewards, mask)
    }

    fn assert_rows(found: &Tensor, mask: &Tensor, expected: [f64; 6]) {
        for (row, expected) in expected.into_iter().enumerate() {
            for at in 0..2 {
                let at = [row as i64, at];
                let expected = if mask.int64_value(&at) == 1 {
                    expected
                } else {
                    0.0
                };
                let found = found.double_value(&at);
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{at:?}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn by_hand() {
        let (rewards, mask) = given();
        let of = |scale| against_group(&rewards, &mask, 3, scale);
        let centred = [-1.0, -3.0, 4.0, 0.0, 0.0, 0.0];
        assert_rows(&of(Scale::None), &mask, centred);
        assert_rows(
            &of(Scale::Group),
            &mask,
            centred.map(|a| a / (13_f64.sqrt() + 1e-4)),
        );
        assert_rows(
            &of(Scale::Batch),
            &mask,
            centred.map(|a| a / (6.4_f64.sqrt() + 1e-4)),
        );
        assert_rows(
            &against_batch(&rewards, &mask),
            &mask,
            [0.0, -2.0, 5.0, -1.0, -1.0, -1.0],
        );
    }

    #[test]
    fn a_group_of_equal_rewards_has_no_spread() {
        let (rewards, mask) = given();
        let flat = without_spread(&rewards, &mask, 3);
        assert_eq!(flat, [false, false, false, true, true, true]);
    }
}
