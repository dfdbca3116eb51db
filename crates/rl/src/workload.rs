//! How much a run of PPO will do.

use std::path::Path;

use candor_data::rows::Look;
use candor_judge::JudgeError;
use candor_judge::reward::Term;
use candor_model::Reading;
use candor_reward::RewardPrompt;
use candor_run::{ImageCount, Workload};

use crate::prompts::{Asking, Judge, Prompts};
use crate::recipe::RlRecipe;
use crate::{RlError, run};

/// Reads and tokenises the recipe's prompts for the policy's base and that of its reward model, which are one where there is none. A token is counted
/// once, however often it is read: it is sampled, scored, compared with the reference and valued, and then trained on
/// `inner_epochs` times by the policy and the value model. Where prompts are replaced, every round may sample and score as many
/// tokens again.
///
/// # Errors
/// As reading the prompts for the run.
pub fn workload(recipe: &RlRecipe, policy: &Reading, judge: &Reading) -> Result<Workload, RlError> {
    let mut with_facts = false;
    let of_segments = recipe.rewards.iter().filter_map(Term::segments);
    for reward in recipe.reward.as_deref().into_iter().chain(of_segments) {
        with_facts |= shows_facts(&reward.join("prompt.txt"))?;
    }
    let terms = recipe.rewards.iter().map(Term::wants_facts);
    let terms = terms.collect::<Result<Vec<bool>, JudgeError>>()?;
    let images = recipe.data.images.as_path();
    let asking = Asking {
        policy: policy.rules(policy.n_positions(), images),
        judge: Judge {
            rules: judge.rules(judge.n_positions(), images),
            with_facts: with_facts || terms.contains(&true),
            // Its weights would have to be opened.
            reward: None,
            segments: &[],
        },
        max_new_tokens: recipe.sampling.max_new_tokens,
        tells_facts: !terms.is_empty(),
        look: Look::of_plan(recipe.data.on_bad_row, &recipe.data.images),
    };
    let prompts = Prompts::read(&recipe.data, &recipe.quirks, asking, None)?;
    let n_steps = run::n_steps(recipe, prompts.len())?;
    let answer = recipe.sampling.max_new_tokens as u64;
    let lengths = prompts.lengths().iter().map(|&length| u64::from(length));
    let mean = lengths.clone().sum::<u64>() / prompts.len() as u64;
    // In each round of refilling as many prompts may be asked again.
    let times = 1 + recipe.ppo.advantages.refill_rounds() as u64;
    Ok(Workload {
        n_rows: prompts.len() as u64,
        rows: "prompts",
        n_steps: Some(n_steps),
        n_tokens: n_steps * recipe.batch.rollout_batch as u64 * (mean + answer) * times,
        tokens_are_a_bound: true,
        longest_tokens: lengths.max().unwrap_or(0) + answer,
        images: ImageCount::of(prompts.images().iter().cloned()),
        notes: prompts.skipped.iter().map(ToString::to_string).collect(),
    })
}

/// Whether the reward model asks for facts, where it is trained already.
fn shows_facts(prompt: &Path) -> Result<bool, RlError> {
    if !prompt.exists() {
        return Ok(false);
    }
    Ok(RewardPrompt::open(prompt)?.with_facts())
}
