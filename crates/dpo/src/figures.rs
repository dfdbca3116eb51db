//! What the log-probabilities of some rows amount to.
//!
//! Of rated answers the good ones stand for the preferred answers and the bad ones for the others; nothing says which good one is
//! to be compared with which bad one, so all are compared with all. How bad a row says that an answer is (`dpo.severity`) is in the
//! losses alone: rewards, and what is told of them, are as if nothing was said, as in the code of HSA-DPO's authors.

use serde::Serialize;
use tch::{Kind, Tensor};

use crate::objective::Objective;
use crate::policy::{Scored, columns, desirable, severity, to_host};
use crate::reference::Reference;
use crate::rows::Row;

/// The figures of at least one row; means go over comparisons, or over rated answers. What has no answers is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// All parts of the loss together.
    pub loss: f64,
    /// Of the answers.
    pub preference_loss: f64,
    /// Of the image and its spoilt form; none where nothing is spoilt.
    pub image_loss: Option<f64>,
    /// Of the anchor; none where there is no anchor.
    pub anchor_loss: Option<f64>,
    /// Mean negative log-probability of the tokens of the preferred answers; 0 without any.
    pub nll: f64,
    /// Share of the comparisons whose preferred answer has the higher reward; a tie counts half.
    pub accuracy: Option<f64>,
    /// Mean reward of the preferred answers.
    pub chosen_reward: Option<f64>,
    /// Mean reward of the others.
    pub rejected_reward: Option<f64>,
    /// Difference of the two.
    pub margin: Option<f64>,
    /// Mean log-probability of the preferred answers, as they are counted.
    pub chosen_logprob: Option<f64>,
    /// Mean log-probability of the others.
    pub rejected_logprob: Option<f64>,
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
        let mut policy = columns(scored);
        policy.desirable = desirable(rows);
        policy.severity = severity(rows);
        let reference = reference.map(|all| all.of(rows));
        let loss = objective.loss;
        let terms = loss.terms(&policy, reference.as_ref(), objective.context(divergence));
        let rewards = loss.rewards(&policy, reference.as_ref());
        let rated = policy.desirable.as_ref();
        let of = |chosen: &Tensor, rejected: &Tensor| match rated {
            None => [chosen.shallow_clone(), rejected.shallow_clone()],
            Some(rated) => [
                chosen.masked_select(&rated.eq(1.0)),
                rejected.masked_select(&rated.eq(0.0)),
            ],
        };
        let sides = of(&rewards[0], &rewards[1]);
        let [chosen_logprob, rejected_logprob] =
            of(&policy.chosen, &policy.rejected).map(|x| mean(&x));
        let [chosen_reward, rejected_reward] = sides.each_ref().map(mean);
        let n_targets: usize = rows.iter().map(|row| row.n_targets()).sum();
        let nll = scored.iter().map(|row| row.nll).sum::<f64>() / n_targets.max(1) as f64;
        let drift = |branch: usize| {
            // β times the log-ratio, of which a token has its share.
            let total = sides[branch].sum(Kind::Double).double_value(&[]) / loss.beta();
            let own = rows.iter().filter(|row| row.rating() != Some(branch == 1));
            let weights = own.filter_map(|row| match row.rating() {
                None => row.answers.weights.get(branch),
                Some(_) => row.answers.weights.first(),
            });
            let n = if objective.counting.mean {
                weights.count() as f64
            } else {
                weights.flatten().sum::<f64>()
            };
            (reference.is_some() && n > 0.0).then(|| total / n)
        };
        Self {
            loss: mean_of_rows(&terms.total()) + objective.sft_weight * nll,
            preference_loss: mean_of_rows(&terms.preference),
            image_loss: terms.image.as_ref().map(mean_of_rows),
            anchor_loss: terms.anchor.as_ref().map(mean_of_rows),
            nll,
            accuracy: match rated {
                None => {
                    let right = rewards[0].gt_tensor(&rewards[1]).to_kind(Kind::Double);
                    let tied = rewards[0].eq_tensor(&rewards[1]).to_kind(Kind::Double);
                    mean(&(right + tied / 2.0))
                }
                Some(_) => share_above(&to_host(&sides[0]), &to_host(&sides[1])),
            },
            chosen_reward,
            rejected_reward,
            margin: match rated {
                None => mean(&(&rewards[0] - &rewards[1])),
                Some(_) => chosen_reward.zip(rejected_reward).map(|(c, r)| c - r),
            },
            chosen_logprob,
            rejected_logprob,
            chosen_drift: drift(0),
            rejected_drift: drift(1),
            divergence: loss.needs_divergence().then_some(divergence),
        }
    }
}

/// The rewards of both answers of each row; of a rated answer twice its own.
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

/// Of all pairs of a number of each the share in which that of `high` is larger; a tie counts half. None where there is no pair.
#[must_use]
pub(crate) fn share_above(high: &[f64], low: &[f64]) -> Option<f64> {
    let mut sorted = low.to_vec();
    sorted.sort_by(f64::total_cmp);
    let won = |x: &f64| {
        let below = sorted.partition_point(|y| y < x);
        let tied = sorted.partition_point(|y| y <= x) - below;
        below as f64 + tied as f64 / 2.0
    };
    let n_pairs = high.len() * low.len();
    (n_pairs > 0).then(|| high.iter().map(won).sum::<f64>() / n_pairs as f64)
}

fn mean_of_rows(values: &Tensor) -> f64 {
    values.mean(Kind::Double).double_value(&[])
}

fn mean(values: &Tensor) -> Option<f64> {
    (values.numel() > 0).then(|| mean_of_rows(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_above_count_ties_half() {
        // Of six pairs 2 wins over -1 and 1, and is even with 2; 0 wins over -1 alone.
        let found = share_above(&[2.0, 0.0], &[1.0, 2.0, -1.0]);
        assert_eq!(found, Some(3.5 / 6.0));
        assert_eq!(share_above(&[], &[1.0]), None);
        assert_eq!(share_above(&[1.0], &[]), None);
    }
}
