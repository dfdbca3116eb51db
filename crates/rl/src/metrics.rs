//! What a step writes into `metrics.jsonl`; every field is defined in `docs/metrics.md`, section `rl`.

use std::collections::BTreeMap;

use candor_data::AnswerType;
use candor_eval::training_suite::SuiteFigures;
use candor_judge::reward::Term;
use candor_train::StepStats;
use serde::Serialize;
use tch::{Kind, Tensor};

use crate::experience::{CriticExperience, Experience};
use crate::gather::Drawn;
use crate::parts::{PartMetrics, deviation, mean, parts};
use crate::recipe::ScoreRecipe;
use crate::rollout::Rollout;
use crate::scoring::Score;
use crate::update::{CriticStats, MiniBatchStats};
use crate::whiten::moments;

/// One line of the run's `metrics.jsonl`.
#[derive(Debug, Clone, Serialize)]
pub struct RlMetrics {
    /// Steps done.
    pub step: u64,
    /// Of the responses, before the update.
    #[serde(flatten)]
    pub rollout: RolloutMetrics,
    /// What was asked to fill the step, where groups without spread are replaced.
    #[serde(flatten)]
    pub drawn: Option<Drawn>,
    /// Of the step's optimizer updates.
    #[serde(flatten)]
    pub update: UpdateMetrics,
    /// What the suite measured after them, where it did.
    #[serde(skip_serializing_if = "SuiteFigures::is_empty")]
    pub suite: SuiteFigures,
}

/// What a step's responses were like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RolloutMetrics {
    /// Mean raw score, where there is a reward model.
    pub score_mean: Option<f64>,
    /// Standard deviation of the raw scores.
    pub score_std: Option<f64>,
    /// Mean raw score of responses to general prompts.
    pub general_score_mean: Option<f64>,
    /// Mean over responses of the sum of their rewards.
    pub reward_mean: f64,
    /// Mean KL(policy ‖ reference) of a sequence by k1.
    pub kl_mean: f64,
    /// The same per token.
    pub kl_per_token: f64,
    /// Mean length of a response.
    pub response_tokens_mean: f64,
    /// Share of responses that ended by themselves.
    pub finished_share: f64,
    /// Mean correctness of answers to which a rule applies.
    pub correctness_mean: Option<f64>,
    /// Share of yes among the answers to yes/no prompts.
    pub yes_ratio: Option<f64>,
    /// Mean value of the critic, where there is one.
    pub values_mean: Option<f64>,
    /// Mean return, where there is a critic.
    pub returns_mean: Option<f64>,
    /// Standard deviation of the advantages before whitening.
    pub advantages_std: f64,
    /// How much of the returns' variance the critic's values explain.
    pub explained_variance: Option<f64>,
    /// Prompts of the step whose responses all earned the same, where they are compared.
    pub n_flat_prompts: Option<usize>,
    /// What each part of the reward adds to it.
    pub rewards: BTreeMap<String, PartMetrics>,
    /// Responses.
    pub n_rollouts: usize,
    /// Response tokens.
    pub n_response_tokens: usize,
}

/// What a step's updates did; of a step without any, where nothing was left to learn from, figures are none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct UpdateMetrics {
    /// Mean policy loss.
    pub policy_loss: Option<f64>,
    /// Mean KL to the reference in the loss, before its coefficient, where it is there.
    pub kl_loss: Option<f64>,
    /// Mean value loss, where there is a critic.
    pub value_loss: Option<f64>,
    /// Mean entropy of the policy.
    pub entropy: Option<f64>,
    /// Mean share of clipped policy terms.
    pub clip_fraction: Option<f64>,
    /// Mean share of clipped value terms, where there is a critic.
    pub value_clip_fraction: Option<f64>,
    /// Mean KL from the policy at sampling to the policy of the update.
    pub approx_kl: Option<f64>,
    /// Largest ratio.
    pub ratio_max: Option<f64>,
    /// Largest difference between a sampled and a teacher-forced log-probability.
    pub logprob_mismatch_max: Option<f64>,
    /// Tokens that were compared for it.
    pub n_mismatch_tokens: usize,
    /// Mean gradient norm.
    pub grad_norm: Option<f64>,
    /// Learning rate.
    pub learning_rate: Option<f64>,
    /// Optimizer updates.
    pub n_updates: usize,
}

impl RolloutMetrics {
    /// Measures a step's responses.
    #[must_use]
    pub fn of(
        rollouts: &[Rollout<'_>],
        scores: &[Score],
        recipe: &ScoreRecipe,
        terms: &[Term],
        experience: &Experience,
    ) -> Self {
        let n = rollouts.len() as f64;
        let raw = |score: &Score| score.model.as_ref().map(|model| model.raw);
        let said: Vec<f64> = scores.iter().filter_map(raw).collect();
        let of_type = |wanted: fn(AnswerType) -> bool| {
            let both = rollouts.iter().zip(scores);
            both.filter(move |(rollout, _)| wanted(rollout.prompt.answer_type))
        };
        let general = of_type(|t| t == AnswerType::General);
        let ruled = of_type(|t| t != AnswerType::General);
        let yes_no = of_type(|t| matches!(t, AnswerType::Yes | AnswerType::No));
        let n_tokens: usize = rollouts.iter().map(|r| r.response.ids.len()).sum();
        let kl_sum = sum(&experience.k1);
        let critic = experience.critic.as_ref();
        let mean_of = |x: &Tensor| moments(x, &experience.counted).0.double_value(&[]);
        let finished = rollouts.iter().filter(|r| r.response.finished).count();
        Self {
            score_mean: mean(said.iter().copied()),
            score_std: deviation(&said),
            general_score_mean: mean(general.filter_map(|(_, score)| raw(score))),
            reward_mean: sum(&experience.rewards) / n,
            kl_mean: kl_sum / n,
            kl_per_token: kl_sum / n_tokens.max(1) as f64,
            response_tokens_mean: n_tokens as f64 / n,
            finished_share: finished as f64 / n,
            correctness_mean: mean(ruled.map(|(_, score)| score.correctness)),
            yes_ratio: mean(
                yes_no.map(|(rollout, _)| f64::from(u8::from(rollout.text.starts_with("Yes")))),
            ),
            values_mean: critic.map(|critic| mean_of(&critic.values)),
            returns_mean: critic.map(|critic| mean_of(&critic.returns)),
            advantages_std: experience.advantages_std.double_value(&[]),
            explained_variance: critic
                .map(|critic| explained_variance(critic, &experience.counted)),
            // The first response to each prompt stands for all.
            n_flat_prompts: experience.flat.as_ref().map(|flat| {
                let first = rollouts
                    .iter()
                    .zip(flat)
                    .filter(|(rollout, _)| rollout.sample == 0);
                first.filter(|(_, flat)| **flat).count()
            }),
            rewards: parts(rollouts, scores, recipe, terms),
            n_rollouts: rollouts.len(),
            n_response_tokens: n_tokens,
        }
    }
}

impl UpdateMetrics {
    /// Sums up a step's updates; the first one's pass saw the weights that sampled.
    #[must_use]
    pub fn of(updates: &[(MiniBatchStats, StepStats)]) -> Self {
        let average =
            |figure: fn(&(MiniBatchStats, StepStats)) -> f64| mean(updates.iter().map(figure));
        let of_critic = |figure: fn(CriticStats) -> f64| {
            mean(updates.iter().filter_map(|(p, _)| p.critic.map(figure)))
        };
        let first = updates.first();
        Self {
            policy_loss: average(|(p, _)| p.policy_loss),
            kl_loss: mean(updates.iter().filter_map(|(p, _)| p.kl_loss)),
            value_loss: of_critic(|critic| critic.loss),
            entropy: average(|(p, _)| p.entropy),
            clip_fraction: average(|(p, _)| p.clip_fraction),
            value_clip_fraction: of_critic(|critic| critic.clip_fraction),
            approx_kl: average(|(p, _)| p.approx_kl),
            ratio_max: updates.iter().map(|(p, _)| p.ratio_max).reduce(f64::max),
            logprob_mismatch_max: first.map(|(p, _)| p.log_ratio_max),
            n_mismatch_tokens: first.map_or(0, |(p, _)| p.n_tokens),
            grad_norm: average(|(_, a)| a.grad_norm),
            learning_rate: first.map(|(_, a)| a.learning_rate),
            n_updates: updates.len(),
        }
    }
}

fn explained_variance(critic: &CriticExperience, counted: &Tensor) -> f64 {
    let variance = |x: &Tensor| moments(x, counted).1.double_value(&[]);
    let of_returns = variance(&critic.returns);
    // Returns that are all the same leave nothing to explain.
    if of_returns > 0.0 {
        1.0 - variance(&(&critic.returns - &critic.values)) / of_returns
    } else {
        0.0
    }
}

fn sum(x: &Tensor) -> f64 {
    x.sum(Kind::Double).double_value(&[])
}
