//! How much an evaluation will do.

use candor_model::Reading;
use candor_run::{ImageCount, Workload};

use crate::answer::{Ask, sample_of};
use crate::{EvalError, EvalRecipe};

/// Reads and tokenises the questions for the model that `reading` is of.
///
/// # Errors
/// A benchmark's file or the ground truth is missing or damaged, or a question is too long for the model.
pub fn workload(recipe: &EvalRecipe, reading: &Reading) -> Result<Workload, EvalError> {
    let all = recipe.questions()?;
    let asks: Vec<&Ask> = all.iter().flat_map(|questions| &questions.asks).collect();
    let room = reading.n_positions().saturating_sub(recipe.max_new_tokens);
    let answer = recipe.max_new_tokens as u64;
    let (mut n_tokens, mut longest) = (0, 0);
    for ask in &asks {
        let length = sample_of(ask, reading.rules(room, recipe.images.as_path()))?
            .ids
            .len() as u64
            + answer;
        n_tokens += length;
        longest = longest.max(length);
    }
    Ok(Workload {
        n_rows: asks.len() as u64,
        rows: "questions",
        n_steps: None,
        n_tokens,
        tokens_are_a_bound: true,
        longest_tokens: longest,
        images: ImageCount::of(asks.into_iter().map(|ask| ask.image.clone())),
        notes: Vec::new(),
    })
}
