//! What the log-probabilities of some comparisons amount to.

use serde::Serialize;
use tch::{Kind, Tensor};

use crate::objective::Objective;
use crate::policy::{Scored, columns, to_host};
use crate::reference::Reference;
use crate::rows::Row;

/// The figures of at least one comparison; means go over comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// All parts of the loss together.
    pub loss: f64,
    /// Of the two answers.
    pub preference_loss: f64,
    /// Of the image and its spoilt form; none where nothing is spoilt.
    pub image_loss: Option<f64>,
    /// Of the anchor; none where there is no anchor.
    pub anchor_loss: Option<f64>,
    /// Mean negative log-probability of the tokens of the preferred answers.
    pub nll: f64,
    /// Share of the comparisons whose preferred answer has the higher reward; a tie counts half.
    pub accuracy: f64,
    /// Mean reward of the preferred answers.
    pub chosen_reward: f64,
    /// Mean reward of the others.
    pub rejected_reward: f64,
    /// Mean of the differences of the rewards.
    pub margin: f64,
    /// Mean log-probability of the preferred answers, as they are counted.
    pub chosen_logprob: f64,
    /// Mean log-probability of the others.
    pub rejected_logprob: f64,
    /// Mean log-ratio to the reference of a token of a preferred answer; none without a reference.
    pub chosen_drift: Option<f64>,
    /// The same of the others.
    pub rejected_drift: Option<f64>,
    /// The divergence that KTO compared with.
    pub divergence: Option<f64>,
}

impl Figures {
    /// The figures of rows, with what the policy scored them.
    #[must_use]
    pub fn of(
        objective: &Objective,
        rows: &[&Row],
        scored: &[Scored],
        reference: Option<&Reference>,
        divergence: f64,
    ) -> Self {
        let (policy, reference) = (columns(scored), reference.map(|all| all.of(rows)));
        let loss = objective.loss;
        let terms = loss.terms(&policy, reference.as_ref(), objective.context(divergence));
        let rewards = loss.rewards(&policy, reference.as_ref());
        let rewards = rewards.each_ref();
        let right = rewards[0].gt_tensor(rewards[1]).to_kind(Kind::Double);
        let tied = rewards[0].eq_tensor(rewards[1]).to_kind(Kind::Double);
        let n_targets: usize = rows.iter().map(|row| row.n_targets()).sum();
        let nll = scored.iter().map(|row| row.nll).sum::<f64>() / n_targets as f64;
        let drift = |branch: usize| {
            // β times the log-ratio, of which a token has its share.
            let total = rewards[branch].sum(Kind::Double).double_value(&[]) / loss.beta();
            let weight = rows
                .iter()
                .map(|row| row.answers.weights[branch].iter().sum::<f64>());
            let n = if objective.counting.mean {
                rows.len() as f64
            } else {
                weight.sum()
            };
            reference.as_ref().map(|_| total / n)
        };
        Self {
            loss: mean(&terms.total()) + objective.sft_weight * nll,
            preference_loss: mean(&terms.preference),
            image_loss: terms.image.as_ref().map(mean),
            anchor_loss: terms.anchor.as_ref().map(mean),
            nll,
            accuracy: mean(&(right + tied / 2.0)),
            chosen_reward: mean(rewards[0]),
            rejected_reward: mean(rewards[1]),
            margin: mean(&(rewards[0] - rewards[1])),
            chosen_logprob: mean(&policy.chosen),
            rejected_logprob: mean(&policy.rejected),
            chosen_drift: drift(0),
            rejected_drift: drift(1),
            divergence: loss.needs_divergence().then_some(divergence),
        }
    }
}

/// The rewards of both answers of each row.
#[must_use]
pub(crate) fn rewards(
    objective: &Objective,
    rows: &[&Row],
    scored: &[Scored],
    reference: Option<&Reference>,
) -> Vec<[f64; 2]> {
    let reference = reference.map(|all| all.of(rows));
    let both = (objective.loss).rewards(&columns(scored), reference.as_ref());
    let [chosen, rejected] = both.map(|rewards| to_host(&rewards));
    chosen
        .into_iter()
        .zip(rejected)
        .map(|(c, r)| [c, r])
        .collect()
}

fn mean(values: &Tensor) -> f64 {
    values.mean(Kind::Double).double_value(&[])
}
