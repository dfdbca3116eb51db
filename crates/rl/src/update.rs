//! From experience to gradients: one mini-batch at a time, in passes of a micro-batch.
//!
//! Policy and critic, where there is one, are read in passes of their own, because they have different adapters and
//! perhaps different bases. Their losses add up to
//! `policy_loss + kl_coef · kl − entropy_coef · entropy + value_coef · value_loss`, the KL where the recipe has it in the loss,
//! and one optimizer with one gradient clip takes the step for both, as in the reference.

use candor_model::Activations;
use candor_train::{Session, StepStats, TrainError};
use tch::{Device, Kind, Tensor};

use crate::critic::{CriticLearner, CriticRecipe};
use crate::experience::{CriticExperience, Experience};
use crate::loss::{Weights, kl_loss, policy_loss, value_loss};
use crate::order::permutation;
use crate::passes::{PolicyReader, longest_first, widened};
use crate::recipe::{AverageOver, BatchRecipe, KlPlace, PpoRecipe};
use crate::rollout::Rollout;

/// What is trained and how it learns.
#[derive(Debug, Clone, Copy)]
pub struct Learner<'a> {
    /// The policy.
    pub policy: PolicyReader<'a>,
    /// The critic, where there is one.
    pub critic: Option<CriticLearner<'a>>,
    /// Coefficients and ranges.
    pub ppo: PpoRecipe,
    /// What a pass keeps in memory.
    pub activations: Activations,
    /// Rollouts of a pass.
    pub micro_batch: usize,
    /// Longest response, its end token included.
    pub max_new_tokens: usize,
}

/// What a mini-batch's passes found, with the weights before its update.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MiniBatchStats {
    /// The sum that was minimised.
    pub loss: f64,
    /// Clipped policy loss.
    pub policy_loss: f64,
    /// The KL to the reference, before its coefficient, where it is in the loss.
    pub kl_loss: Option<f64>,
    /// Of the critic, where there is one.
    pub critic: Option<CriticStats>,
    /// Mean entropy over real tokens.
    pub entropy: f64,
    /// Share of positions whose policy gradient is clipped away.
    pub clip_fraction: f64,
    /// Estimate of KL(policy at sampling ‖ policy now).
    pub approx_kl: f64,
    /// Largest ratio of probabilities, either way up.
    pub ratio_max: f64,
    /// Largest difference of log-probabilities between sampling and this pass.
    pub log_ratio_max: f64,
    /// Real response tokens.
    pub n_tokens: usize,
}

/// What a mini-batch's passes found of the critic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CriticStats {
    /// Clipped value loss, before its coefficient.
    pub loss: f64,
    /// Share of positions whose value gradient is clipped away.
    pub clip_fraction: f64,
}

/// What the sums of a mini-batch are divided by.
#[derive(Debug, Clone, Copy)]
struct Counts {
    /// Counted positions.
    counted: f64,
    /// Real tokens.
    real: f64,
    /// Responses.
    rows: f64,
}

impl Counts {
    /// What a position of each rollout weighs in the loss.
    ///
    /// # Shapes
    /// → `[rollouts, 1]` f32.
    fn weights(self, learner: &Learner<'_>, rollouts: &[&Rollout<'_>], device: Device) -> Tensor {
        let of_row = |rollout: &&Rollout<'_>| {
            let n = match learner.ppo.average_over {
                AverageOver::RealTokensOfMiniBatch | AverageOver::Padded => self.counted,
                AverageOver::Responses => self.rows * rollout.response.ids.len().max(1) as f64,
                AverageOver::LongestResponse => self.rows * learner.max_new_tokens as f64,
            };
            (1.0 / n) as f32
        };
        let weights: Vec<f32> = rollouts.iter().map(of_row).collect();
        Tensor::from_slice(&weights).unsqueeze(1).to_device(device)
    }
}

impl Learner<'_> {
    /// Adds the gradients of a mini-batch, the given rows of the rollouts, to what the parameters have. `compute` computes its
    /// passes, of a micro-batch each, and returns the numbers that each gave.
    ///
    /// # Errors
    /// As `compute`.
    pub fn pass<E>(
        &self,
        rollouts: &[Rollout<'_>],
        experience: &Experience,
        rows: &[usize],
        compute: impl FnOnce(
            &[Vec<usize>],
            &mut dyn FnMut(&Vec<usize>) -> Tensor,
        ) -> Result<Vec<Vec<f64>>, E>,
    ) -> Result<MiniBatchStats, E> {
        let n_tokens: usize = rows.iter().map(|&r| rollouts[r].response.ids.len()).sum();
        let n_positions = rows.len() * experience.counted.size()[1] as usize;
        let n = Counts {
            real: n_tokens.max(1) as f64,
            counted: match self.ppo.average_over {
                AverageOver::Padded => n_positions.max(1) as f64,
                _ => n_tokens.max(1) as f64,
            },
            rows: rows.len().max(1) as f64,
        };
        let critic = self.critic.as_ref().zip(experience.critic.as_ref());
        let rows = longest_first(rollouts, rows);
        let micros: Vec<Vec<usize>> = rows
            .chunks(self.micro_batch)
            .map(<[usize]>::to_vec)
            .collect();
        let found = compute(&micros, &mut |micro| {
            let some: Vec<&Rollout<'_>> = micro.iter().map(|&row| &rollouts[row]).collect();
            let (sums, largest) = self.policy_pass(&some, experience, micro, n);
            let mut of_pass = Vec::from(largest);
            of_pass.extend(sums);
            if let Some((learner, said)) = critic {
                of_pass.extend(self.critic_pass(learner, said, &some, experience, micro, n));
            }
            let of_pass: Vec<Tensor> = of_pass.iter().map(|x| x.to_kind(Kind::Double)).collect();
            Tensor::stack(&of_pass, 0)
        })?;
        let critic = critic.map(|(learner, _)| learner.recipe);
        Ok(self.figures(&found, n, n_tokens, critic))
    }

    /// Returns `[policy loss, clip fraction, approx KL, entropy, KL in the loss]`, to be summed, and
    /// `[ratio, log ratio]`, of which the largest counts.
    fn policy_pass(
        &self,
        some: &[&Rollout<'_>],
        experience: &Experience,
        micro: &[usize],
        n: Counts,
    ) -> (Vec<Tensor>, [Tensor; 2]) {
        let rows = self.policy.rows(some);
        let width = self.width(experience, rows.responses.mask.size()[1]);
        let micro = indices(micro, experience);
        let at = |x: &Tensor| view(x, &micro, width);
        let old = at(&experience.logprobs);
        let embedded = self.policy.embed(some, &rows);
        let model = &self.policy.bundle.model;
        let adapter = Some(self.policy.adapter);
        model.backward(&embedded, adapter, self.activations, |hidden| {
            let (logprobs, entropy) = self.policy.logprobs_and_entropy(&rows, hidden);
            let logprobs = widened(&logprobs, width);
            let counted = at(&experience.counted);
            let of_row = n.weights(self, some, model.device());
            let weights = Weights {
                of_row: &of_row,
                n_tokens: n.counted,
            };
            let advantages = at(&experience.advantages);
            let clip = self.ppo.clip;
            let policy = policy_loss(&logprobs, &old, &advantages, &counted, clip, weights);
            let kl = (self.ppo.kl_place == KlPlace::Loss).then(|| {
                let reference = at(&experience.ref_logprobs);
                let estimator = self.ppo.kl_estimator;
                kl_loss(estimator, &logprobs, &reference, &counted, weights)
            });
            let entropy = entropy.sum(Kind::Float);
            let sums = vec![
                policy.loss.detach(),
                policy.clip_fraction,
                policy.approx_kl,
                entropy.detach() / n.real,
                (kl.as_ref()).map_or_else(|| policy.loss.detach().zeros_like(), Tensor::detach),
            ];
            // Pads are 0 on both sides.
            let log_ratio_max = (logprobs.detach() - &old).abs().max();
            let maxima = [policy.ratio_max, log_ratio_max];
            let loss = policy.loss - entropy * (self.ppo.entropy_coef / n.counted);
            let loss = match kl {
                Some(kl) => loss + kl * self.ppo.kl_coef,
                None => loss,
            };
            (loss, (sums, maxima))
        })
    }

    /// Returns `[value loss, clip fraction]`, to be summed where the policy is.
    fn critic_pass(
        &self,
        critic: &CriticLearner<'_>,
        said: &CriticExperience,
        some: &[&Rollout<'_>],
        experience: &Experience,
        micro: &[usize],
        n: Counts,
    ) -> [Tensor; 2] {
        let (reader, recipe) = (&critic.reader, critic.recipe);
        let rows = reader.rows(some);
        let width = self.width(experience, rows.responses.mask.size()[1]);
        // The experience is where the policy is; the critic may be elsewhere.
        let (model, policy) = (&reader.bundle.model, &self.policy.bundle.model);
        let micro = indices(micro, experience);
        let at = |x: &Tensor| view(x, &micro, width).to_device(model.device());
        let embedded = reader.embed(some, &rows);
        let adapter = Some(reader.adapter);
        model.backward(&embedded, adapter, self.activations, |hidden| {
            let of_row = n.weights(self, some, model.device());
            let weights = Weights {
                of_row: &of_row,
                n_tokens: n.counted,
            };
            let value = value_loss(
                &reader.values_of(&rows, hidden),
                &at(&said.values),
                &at(&said.returns),
                &at(&experience.counted),
                recipe.value_clip_range,
                weights,
            );
            let sums = [value.loss.detach(), value.clip_fraction];
            let sums = sums.map(|sum| sum.to_device(policy.device()));
            (value.loss * recipe.value_coef, sums)
        })
    }

    /// Columns that a micro-batch needs.
    fn width(&self, experience: &Experience, longest: i64) -> i64 {
        match self.ppo.average_over {
            AverageOver::Padded => experience.counted.size()[1],
            _ => longest,
        }
    }

    /// The figures of a mini-batch from those of its passes: the first two are the largest of all, the others sums.
    fn figures(
        &self,
        found: &[Vec<f64>],
        n: Counts,
        n_tokens: usize,
        critic: Option<CriticRecipe>,
    ) -> MiniBatchStats {
        let found: Vec<Tensor> = found
            .iter()
            .map(|of_pass| Tensor::from_slice(of_pass))
            .collect();
        let found = Tensor::stack(&found, 0);
        let maxima = found.narrow(1, 0, 2).amax([0].as_slice(), false);
        let sums = found.narrow(1, 2, found.size()[1] - 2).contiguous();
        let sums = sums.sum_dim_intlist([0].as_slice(), false, Kind::Double);
        let all =
            Vec::<f64>::try_from(Tensor::cat(&[maxima, sums], 0)).expect("one dimension of f64");
        let [ratio_max, log_ratio_max] = [all[0], all[1]];
        let [policy_loss, clip_fraction, approx_kl, entropy] = [all[2], all[3], all[4], all[5]];
        let bonus = self.ppo.entropy_coef * entropy * n.real / n.counted;
        let kl_loss = (self.ppo.kl_place == KlPlace::Loss).then_some(all[6]);
        let of_policy = policy_loss + kl_loss.unwrap_or(0.0) * self.ppo.kl_coef - bonus;
        MiniBatchStats {
            loss: critic.map_or(of_policy, |critic| of_policy + critic.value_coef * all[7]),
            policy_loss,
            kl_loss,
            critic: critic.map(|_| CriticStats {
                loss: all[7],
                clip_fraction: all[8],
            }),
            entropy,
            clip_fraction,
            approx_kl,
            ratio_max,
            log_ratio_max,
            n_tokens,
        }
    }
}

/// Rows of the experience, `[n]` i64, where it is.
fn indices(rows: &[usize], experience: &Experience) -> Tensor {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Tensor::from_slice(&rows).to_device(experience.mask.device())
}

/// Some rows and the first columns of a matrix.
fn view(x: &Tensor, rows: &Tensor, width: i64) -> Tensor {
    x.index_select(0, rows).narrow(1, 0, width)
}

/// The mini-batches of one inner epoch: a shuffle of the rollouts that are trained on, cut. The last may be smaller, or is
/// dropped. Where rollouts are left out, those that stay are cut into parts of nearly one size instead, the larger first: an
/// optimizer that divides by the size of the gradient moves the weights as far for the last few rollouts as for a whole mini-batch.
#[must_use]
pub fn mini_batches(
    seed: u64,
    [done, epoch]: [u64; 2],
    batch: &BatchRecipe,
    is_trained: impl Fn(usize) -> bool,
    drop_partial: bool,
) -> Vec<Vec<usize>> {
    let mut order = permutation(seed, "rl.mini_batch", &[done, epoch], batch.rollout_batch);
    order.retain(|&row| is_trained(row));
    if order.len() == batch.rollout_batch || drop_partial {
        let whole = |chunk: &&[usize]| !drop_partial || chunk.len() == batch.mini_batch;
        let chunks = order.chunks(batch.mini_batch).filter(whole);
        return chunks.map(<[usize]>::to_vec).collect();
    }
    let n_parts = order.len().div_ceil(batch.mini_batch);
    let mut left = order.as_slice();
    let part = |place: usize| {
        let (part, after) = left.split_at(left.len().div_ceil(n_parts - place));
        left = after;
        part.to_vec()
    };
    (0..n_parts).map(part).collect()
}

/// All inner epochs of a step; returns what each update found and did.
///
/// # Errors
/// A loss or a gradient is not finite.
pub fn update(
    session: &mut Session,
    learner: &Learner<'_>,
    rollouts: &[Rollout<'_>],
    experience: &Experience,
    epochs: &[Vec<Vec<usize>>],
) -> Result<Vec<(MiniBatchStats, StepStats)>, TrainError> {
    let mut updates = Vec::new();
    for mini_batch in epochs.iter().flatten() {
        session.zero_grad();
        let passed = learner.pass(rollouts, experience, mini_batch, |micros, pass| {
            session.passes(micros, &mut |micro| Ok::<_, TrainError>(pass(micro)))
        })?;
        let ids = || {
            let ids = mini_batch
                .iter()
                .map(|&row| rollouts[row].prompt.id.clone());
            ids.collect()
        };
        updates.push((passed, session.apply(passed.loss, ids)?));
    }
    Ok(updates)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: BatchRecipe = BatchRecipe {
        rollout_batch: 10,
        mini_batch: 4,
        micro_batch: 2,
        inner_epochs: 2,
    };

    fn sizes(cut: &[Vec<usize>]) -> Vec<usize> {
        cut.iter().map(Vec::len).collect()
    }

    #[test]
    fn every_rollout_is_in_one_mini_batch_of_an_inner_epoch() {
        let cut = mini_batches(1, [7, 0], &BATCH, |_| true, false);
        assert_eq!(sizes(&cut), [4, 4, 2]);
        let mut all = cut.concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_ne!(cut, mini_batches(1, [7, 1], &BATCH, |_| true, false));
        assert_ne!(cut, mini_batches(1, [8, 0], &BATCH, |_| true, false));
    }

    #[test]
    fn what_is_left_out_leaves_the_order_of_the_others() {
        let all = mini_batches(1, [7, 0], &BATCH, |_| true, false).concat();
        let even = mini_batches(1, [7, 0], &BATCH, |row| row % 2 == 0, false);
        assert_eq!(sizes(&even), [3, 2]);
        let expected: Vec<usize> = all.into_iter().filter(|row| row % 2 == 0).collect();
        assert_eq!(even.concat(), expected);
        assert!(mini_batches(1, [7, 0], &BATCH, |_| false, false).is_empty());
    }

    /// 264 = 256 + 8 would give the last 8 an update of their own.
    #[test]
    fn where_rollouts_are_left_out_no_mini_batch_is_a_small_rest() {
        let step = BatchRecipe {
            rollout_batch: 512,
            mini_batch: 256,
            ..BATCH
        };
        let kept = |n: usize| sizes(&mini_batches(1, [7, 0], &step, |row| row < n, false));
        assert_eq!(kept(264), [132, 132]);
        assert_eq!(kept(257), [129, 128]);
        assert_eq!(kept(256), [256]);
        assert_eq!(kept(512), [256, 256]);
        let tens = |n: usize| sizes(&mini_batches(1, [7, 0], &BATCH, |row| row < n, false));
        assert_eq!(tens(9), [3, 3, 3]);
        // The paper's code drops what fills no mini-batch.
        let dropped = mini_batches(1, [7, 0], &BATCH, |row| row < 9, true);
        assert_eq!(sizes(&dropped), [4, 4]);
    }

    #[test]
    fn the_reference_drops_what_does_not_fill_a_mini_batch() {
        let cut = |drop_partial| mini_batches(1, [7, 0], &BATCH, |_| true, drop_partial);
        assert_eq!(cut(true), cut(false)[..2]);
    }
}
