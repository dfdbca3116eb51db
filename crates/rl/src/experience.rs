//! What a step's rollouts taught: rewards, advantages and returns of every response token.
//!
//! # Reference
//! The reference counts every position up to the longest response allowed, pads included
//! ([`AverageOver::Padded`]); its value model reads the pads and says a value there. Ours does the same in that
//! mode, except that its pads see the pads before them, which the reference masks.

use tch::{Device, Kind, Tensor};

use crate::kl;
use crate::recipe::{AverageOver, KlPlace, PpoRecipe, ScoreRecipe};
use crate::rollout::Rollout;
use crate::scoring::Score;
use crate::shaping::{by_sentence, rewards};
use crate::whiten::{moments, whiten_centered, whiten_keep_mean};

/// Everything an update needs of a step's rollouts, `[rollouts, width]` each.
#[derive(Debug)]
pub struct Experience {
    /// True = a real response token.
    pub mask: Tensor,
    /// True = a position that statistics and losses go over: the mask, or everything.
    pub counted: Tensor,
    /// Of sampling; 0 at pads.
    pub logprobs: Tensor,
    /// Of the reference.
    pub ref_logprobs: Tensor,
    /// `log π − log π_ref`, the k1 estimate whatever the recipe penalises; 0 at pads.
    pub k1: Tensor,
    /// Of the critic, where there is one.
    pub critic: Option<CriticExperience>,
    /// After shaping, before whitening.
    pub rewards: Tensor,
    /// Whitened if the recipe says so, over the rollouts that are learned from; then 0 for the others.
    pub advantages: Tensor,
    /// Standard deviation of the advantages before whitening; a scalar.
    pub advantages_std: Tensor,
    /// Which rollouts belong to a prompt whose responses all earned the same, where they are compared.
    pub flat: Option<Vec<bool>>,
}

/// What a critic said and what it should have said, `[rollouts, width]` each.
#[derive(Debug)]
pub struct CriticExperience {
    /// Before each token, before the update.
    pub values: Tensor,
    /// What values are trained towards.
    pub returns: Tensor,
}

/// Columns of a rollout batch: its longest response, or the longest allowed where pads count.
#[must_use]
pub fn width_of(rollouts: &[Rollout<'_>], average: AverageOver, max_new_tokens: usize) -> usize {
    let longest = rollouts.iter().map(|r| r.response.ids.len()).max();
    match average {
        AverageOver::Padded => max_new_tokens,
        _ => longest.unwrap_or(0),
    }
}

/// What was sampled, as a matrix.
///
/// # Shapes
/// → log-probabilities `[rollouts, width]` f32, 0 at pads; and the mask, bool, true = real token.
pub fn sampled(rollouts: &[Rollout<'_>], width: usize, device: Device) -> (Tensor, Tensor) {
    let mut logprobs = vec![0_f32; rollouts.len() * width];
    let mut mask = vec![false; rollouts.len() * width];
    for (row, rollout) in rollouts.iter().enumerate() {
        let response = &rollout.response;
        logprobs[row * width..][..response.ids.len()].copy_from_slice(&response.logprobs);
        mask[row * width..][..response.ids.len()].fill(true);
    }
    let shape = [rollouts.len() as i64, width as i64];
    (
        Tensor::from_slice(&logprobs)
            .reshape(shape)
            .to_device(device),
        Tensor::from_slice(&mask).reshape(shape).to_device(device),
    )
}

/// What each response's sentences are paid, by the place of their ends, by its reward model and by those of terms, and the place of
/// its last token.
fn sentences(
    rollouts: &[Rollout<'_>],
    scores: &[Score],
    weight: f64,
) -> (Vec<Vec<(usize, f64)>>, Vec<usize>) {
    let paid = scores.iter().map(|score| {
        let gains = score.model.iter().flat_map(|model| &model.sentences);
        let of_score = gains.map(|&(place, gain)| (place, weight * gain));
        of_score.chain(score.segments.iter().copied()).collect()
    });
    let last = rollouts
        .iter()
        .map(|r| r.response.ids.len().saturating_sub(1));
    (paid.collect(), last.collect())
}

/// A mask that is false in the rows that are left out too.
///
/// # Shapes
/// `mask`: `[rollouts, width]`, bool → the same.
fn without_rows(mask: &Tensor, left_out: &[bool]) -> Tensor {
    let left_out = Tensor::from_slice(left_out).to_device(mask.device());
    mask.logical_and(&left_out.logical_not().unsqueeze(1))
}

impl Experience {
    /// Shapes rewards and estimates advantages.
    ///
    /// # Shapes
    /// `ref_logprobs`, the critic's `values`: `[rollouts, width]`, with the width of [`width_of`].
    #[must_use]
    pub fn new(
        rollouts: &[Rollout<'_>],
        scores: &[Score],
        ref_logprobs: &Tensor,
        values: Option<&Tensor>,
        score: &ScoreRecipe,
        ppo: &PpoRecipe,
    ) -> Self {
        let device = ref_logprobs.device();
        let (logprobs, mask) = sampled(rollouts, ref_logprobs.size()[1] as usize, device);
        let counted = match ppo.average_over {
            AverageOver::Padded => mask.ones_like(),
            _ => mask.shallow_clone(),
        };
        let terminal: Vec<f64> = scores.iter().map(|s| s.terminal.total).collect();
        let terminal = Tensor::from_slice(&terminal)
            .to_kind(Kind::Float)
            .to_device(device);
        let penalised = kl::per_token(ppo.kl_estimator, &logprobs, ref_logprobs);
        let shaped = rewards(
            &penalised,
            &mask,
            &terminal,
            match ppo.kl_place {
                KlPlace::Reward => ppo.kl_coef,
                KlPlace::Loss => 0.0,
            },
            score.position,
            score.reward_scale,
        );
        // Without a critic all is added up anyway, and what is moved would come back with another rounding.
        let moves_segments = ppo.advantages.critic().is_some()
            && scores.iter().any(|score| !score.segments.is_empty());
        let shaped = if score.position.by_sentence() || moves_segments {
            let (sentences, last) = sentences(rollouts, scores, score.weight);
            by_sentence(&shaped, &sentences, &last, score.reward_scale)
        } else {
            shaped
        };
        let paid = if ppo.whiten_rewards {
            whiten_keep_mean(&shaped, &counted)
        } else {
            shaped.shallow_clone()
        };
        let flat = ppo.advantages.flat(&paid, &counted);
        let estimate = ppo.advantages.estimate(&paid, values, &counted);
        let advantages_std = moments(&estimate.advantages, &counted).1.sqrt();
        let advantages = if ppo.whiten_advantages {
            let left_out = (flat.as_deref()).filter(|_| ppo.advantages.leaves_out_flat());
            let learned = left_out.map(|flat| without_rows(&counted, flat));
            whiten_centered(&estimate.advantages, learned.as_ref().unwrap_or(&counted))
        } else {
            estimate.advantages
        };
        let critic = values
            .zip(estimate.returns)
            .map(|(values, returns)| CriticExperience {
                values: values.shallow_clone(),
                returns,
            });
        let k1 = kl::per_token(kl::KlEstimator::K1, &logprobs, ref_logprobs);
        Self {
            k1: k1.masked_fill(&mask.logical_not(), 0.0),
            mask,
            counted,
            logprobs,
            critic,
            rewards: shaped,
            advantages,
            advantages_std,
            flat,
            ref_logprobs: ref_logprobs.shallow_clone(),
        }
    }
}
