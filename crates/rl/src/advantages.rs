//! How much better than expected each token did: what the policy learns from. The estimator is a choice of the
//! recipe, one file each.

mod gae;
mod group;
mod leave_one_out;

use tch::Tensor;

pub use self::gae::{Gae, gae};
pub use self::group::{Scale, against_batch, against_group, without_spread};
pub use self::leave_one_out::leave_one_out;
use crate::critic::CriticRecipe;

/// The estimators with what a recipe says of them; each is what one of its algorithms is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Advantages {
    /// Generalised advantage estimation against what a critic expected (PPO): [`gae()`].
    Gae {
        /// Discount.
        gamma: f64,
        /// Between the critic's word alone (0) and the rewards to come alone (1).
        lambda: f64,
        /// How the critic learns.
        critic: CriticRecipe,
    },
    /// REINFORCE leave-one-out, against the other responses to the same prompt: [`leave_one_out()`].
    Rloo {
        /// Responses to a prompt, at least 2.
        samples_per_prompt: usize,
    },
    /// GRPO, against all responses to the same prompt: [`against_group()`].
    Group {
        /// Responses to a prompt, at least 2.
        samples_per_prompt: usize,
        /// In which units.
        scale: Scale,
        /// Whether groups without spread are not trained on.
        leave_out_flat: bool,
        /// How often a step asks further prompts in the place of those that are left out, at most.
        refill_rounds: usize,
    },
    /// REINFORCE against the mean of the step: [`against_batch()`].
    Reinforce,
}

/// What an estimator found.
#[derive(Debug)]
pub struct Estimate {
    /// Of every position, not whitened.
    pub advantages: Tensor,
    /// What a critic should have said, where the estimator has one.
    pub returns: Option<Tensor>,
}

impl Advantages {
    /// How the critic learns; none where the estimator has no use for one.
    #[must_use]
    pub fn critic(&self) -> Option<CriticRecipe> {
        match self {
            Self::Gae { critic, .. } => Some(*critic),
            Self::Rloo { .. } | Self::Group { .. } | Self::Reinforce => None,
        }
    }

    /// Which responses of a step belong to a group of equal rewards; none where responses to one prompt are not compared.
    ///
    /// # Shapes
    /// As [`Advantages::estimate`]; → one for each rollout.
    #[must_use]
    pub fn flat(&self, rewards: &Tensor, mask: &Tensor) -> Option<Vec<bool>> {
        match *self {
            Self::Rloo { samples_per_prompt }
            | Self::Group {
                samples_per_prompt, ..
            } => Some(without_spread(rewards, mask, samples_per_prompt)),
            Self::Gae { .. } | Self::Reinforce => None,
        }
    }

    /// Whether responses of groups without spread are not trained on.
    #[must_use]
    pub fn leaves_out_flat(&self) -> bool {
        matches!(
            self,
            Self::Group {
                leave_out_flat: true,
                ..
            }
        )
    }

    /// How often a step asks further prompts in the place of those whose responses all earned the same, at most.
    #[must_use]
    pub fn refill_rounds(&self) -> usize {
        match *self {
            Self::Group { refill_rounds, .. } => refill_rounds,
            Self::Gae { .. } | Self::Rloo { .. } | Self::Reinforce => 0,
        }
    }

    /// Advantages of a step's responses, all responses to one prompt beside each other; without gradients. `values`
    /// are the critic's; without them a critic is taken to have said 0 everywhere.
    ///
    /// # Shapes
    /// `rewards`, `values`: `[rollouts, response]`; `mask`: the same, bool, true = counted position → the same, 0
    /// where the mask is false.
    #[must_use]
    pub fn estimate(&self, rewards: &Tensor, values: Option<&Tensor>, mask: &Tensor) -> Estimate {
        match *self {
            Self::Gae { gamma, lambda, .. } => {
                let nothing = rewards.zeros_like();
                let found = gae(rewards, values.unwrap_or(&nothing), mask, gamma, lambda);
                Estimate {
                    advantages: found.advantages,
                    returns: Some(found.returns),
                }
            }
            Self::Rloo { samples_per_prompt } => Estimate {
                advantages: leave_one_out(rewards, mask, samples_per_prompt),
                returns: None,
            },
            Self::Group {
                samples_per_prompt,
                scale,
                ..
            } => Estimate {
                advantages: against_group(rewards, mask, samples_per_prompt, scale),
                returns: None,
            },
            Self::Reinforce => Estimate {
                advantages: against_batch(rewards, mask),
                returns: None,
            },
        }
    }
}

/// What each response earned: the sum of its rewards, without gradients.
///
/// # Shapes
/// `rewards`: `[rollouts, response]`; `mask`: the same, bool, true = counted position → `[rollouts]`.
fn totals(rewards: &Tensor, mask: &Tensor) -> Tensor {
    let rewards = rewards.detach().masked_fill(&mask.logical_not(), 0.0);
    rewards.sum_dim_intlist([1].as_slice(), false, rewards.kind())
}
