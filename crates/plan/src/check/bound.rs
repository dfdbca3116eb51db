//! How much a run does at most, by its recipe alone: rows as it counts them, each of the full length.

use candor_data::mixture::Share;
use candor_dpo::DpoRecipe;
use candor_model::ModelConfig;
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_sample::SampleRecipe;
use candor_sft::SftRecipe;
use candor_train::{Judgements, Length};

/// What is known without data.
pub(crate) struct Bound {
    /// Steps.
    pub n_steps: Option<u64>,
    /// Rows of the data, or those that the run takes where the recipe does not say how many there are.
    pub n_rows: u64,
    /// What a row is.
    pub rows: &'static str,
    /// Tokens at most.
    pub n_tokens: u64,
}

/// Fine-tuning, where every source has a count, or all of them together have.
pub(crate) fn sft(recipe: &SftRecipe) -> Option<Bound> {
    let counts = recipe.sources.iter().map(|source| match source.share {
        Share::Count(count) => Some(count as u64),
        Share::All | Share::Weight(_) => None,
    });
    let n_rows = match recipe.epoch_rows {
        Some(rows) => rows as u64,
        None => counts.sum::<Option<u64>>()?,
    };
    let batch = recipe.batch as u64;
    let n_steps = match recipe.length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => epochs * n_rows.div_ceil(batch),
    };
    Some(Bound {
        n_steps: Some(n_steps),
        n_rows,
        rows: "conversations an epoch",
        n_tokens: n_steps * batch * recipe.max_tokens as u64,
    })
}

/// Sampling, where the number of prompts is given. A prompt is as long as leaves room for an answer.
pub(crate) fn sample(recipe: &SampleRecipe, config: &ModelConfig) -> Option<Bound> {
    let n_rows = recipe.count? as u64;
    let positions = config.n_positions() as u64;
    Some(Bound {
        n_steps: Some(n_rows.div_ceil(recipe.chunk as u64)),
        n_rows,
        rows: "prompts",
        n_tokens: n_rows * (positions + recipe.max_new_tokens as u64),
    })
}

/// A reward model, where the steps or the pairs are given.
pub(crate) fn reward(recipe: &RewardRecipe) -> Option<Bound> {
    let (responses, rows) = trained_on(&recipe.judgements);
    let row = responses * recipe.max_tokens as u64;
    let (batch, n_train) = (recipe.batch as u64, recipe.judgements.n_train());
    judged(recipe.length, n_train, batch, row, rows)
}

/// Learning from preferences, where the steps or the rows are given.
pub(crate) fn dpo(recipe: &DpoRecipe) -> Option<Bound> {
    learning(recipe, recipe.judgements.n_train())
}

/// The same from at most so many comparisons, of which the recipe may take fewer.
pub(crate) fn dpo_of(recipe: &DpoRecipe, n_rows: Option<usize>) -> Option<Bound> {
    let both = [n_rows, recipe.judgements.n_train()];
    learning(recipe, both.into_iter().flatten().min())
}

fn learning(recipe: &DpoRecipe, n_train: Option<usize>) -> Option<Bound> {
    let (answers, rows) = trained_on(&recipe.judgements);
    let objective = &recipe.objective;
    // All again where the image is spoilt or another row's answers are compared with.
    let spoilt = u64::from(objective.image_negative.is_some());
    let again = u64::from(objective.loss.needs_divergence());
    let row = (1 + spoilt + again) * answers * recipe.max_tokens as u64;
    judged(recipe.length, n_train, recipe.batch as u64, row, rows)
}

/// The answers of a row, and what rows are called where only the recipe says how many there are.
fn trained_on(judgements: &Judgements) -> (u64, &'static str) {
    match judgements {
        Judgements::Comparisons(_) => (2, "comparisons trained on, if there are so many"),
        Judgements::Rated(_) => (1, "rated answers trained on, if there are so many"),
    }
}

fn judged(
    length: Length,
    n_train: Option<usize>,
    batch: u64,
    row: u64,
    rows: &'static str,
) -> Option<Bound> {
    let n_steps = match length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => epochs * (n_train? as u64).div_ceil(batch),
    };
    Some(Bound {
        n_steps: Some(n_steps),
        n_rows: n_steps * batch,
        rows,
        n_tokens: n_steps * batch * row,
    })
}

/// PPO, where the steps are given; `longest` is a prompt and its answer. Each round of refilling may ask as many prompts again.
pub(crate) fn rl(recipe: &RlRecipe, longest: u64) -> Option<Bound> {
    let Length::Steps(n_steps) = recipe.length else {
        return None;
    };
    let n_rows = n_steps * recipe.batch.rollout_batch as u64;
    let times = 1 + recipe.ppo.advantages.refill_rounds() as u64;
    Some(Bound {
        n_steps: Some(n_steps),
        n_rows,
        rows: "rollouts",
        n_tokens: n_rows * longest * times,
    })
}
