//! When a run is stopped because the policy has gone astray.
//!
//! All three checks look at the responses before they are learned from, so the weights on disk are those that
//! gave them, and the step's samples are already written.

use std::path::Path;

use crate::RlError;
use crate::metrics::RolloutMetrics;
use crate::recipe::GuardRecipe;
use crate::rollout::Rollout;
use crate::scoring::Score;

/// How many rows an error names.
const NAMED: usize = 5;

/// Checks a step's responses; `samples` is where they can be seen.
///
/// # Errors
/// The mean KL is above its limit or not a number, responses have become too short, or none has ended by itself.
pub fn check(
    guard: &GuardRecipe,
    step: u64,
    metrics: &RolloutMetrics,
    rollouts: &[Rollout<'_>],
    scores: &[Score],
    samples: &Path,
) -> Result<(), RlError> {
    let Some((problem, remedy)) = problem(guard, metrics, scores) else {
        return Ok(());
    };
    Err(RlError::Diverged {
        step,
        problem,
        remedy,
        samples: samples.to_owned(),
        ids: culprits(rollouts, scores),
    })
}

fn problem(
    guard: &GuardRecipe,
    metrics: &RolloutMetrics,
    scores: &[Score],
) -> Option<(String, &'static str)> {
    let figures = [
        Some(metrics.kl_mean),
        Some(metrics.reward_mean),
        metrics.values_mean,
    ];
    if figures.iter().flatten().any(|figure| !figure.is_finite())
        || scores.iter().any(|score| !score.terminal.total.is_finite())
    {
        let value = metrics
            .values_mean
            .map(|mean| format!(", the value {mean}"));
        let problem = format!(
            "KL is {}, the reward {}{}",
            metrics.kl_mean,
            metrics.reward_mean,
            value.unwrap_or_default()
        );
        let remedy = "lower optimizer.learning_rate and go back to a checkpoint before it";
        return Some((problem, remedy));
    }
    if metrics.kl_mean > guard.max_kl {
        let problem = format!(
            "the policy is {:.1} nats a response from its reference, more than guard.max_kl = {}",
            metrics.kl_mean, guard.max_kl
        );
        let remedy = "raise kl.coef or lower optimizer.learning_rate, or raise guard.max_kl if the samples read well";
        return Some((problem, remedy));
    }
    if metrics.response_tokens_mean < guard.min_response_tokens {
        let problem = format!(
            "responses have {:.1} tokens on average, fewer than guard.min_response_tokens = {}",
            metrics.response_tokens_mean, guard.min_response_tokens
        );
        let remedy = "lower score.length_penalty, raise kl.coef, or lower the guard if short answers are wanted";
        return Some((problem, remedy));
    }
    if metrics.finished_share == 0.0 {
        let problem = "not one response ended by itself".to_owned();
        let remedy =
            "raise sampling.max_new_tokens or score.no_eos_penalty, or check model.policy_init";
        return Some((problem, remedy));
    }
    None
}

/// Rows whose score is not a number, or else the first few.
fn culprits(rollouts: &[Rollout<'_>], scores: &[Score]) -> Vec<String> {
    let both = || rollouts.iter().zip(scores);
    let named = |(rollout, _): (&Rollout<'_>, &Score)| rollout.prompt.id.clone();
    let mut ids: Vec<String> = both()
        .filter(|(_, score)| !score.terminal.total.is_finite())
        .map(named)
        .collect();
    if ids.is_empty() {
        ids = both().map(named).collect();
    }
    // Responses to one prompt stand beside each other.
    ids.dedup();
    ids.truncate(NAMED);
    ids
}
