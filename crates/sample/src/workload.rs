//! How much a sampling run will do.

use candor_data::comparisons::Purpose;
use candor_model::Reading;
use candor_run::{ImageCount, Workload};

use crate::{SampleError, SampleRecipe, prompt};

/// Reads and tokenises the recipe's prompts for the model that `reading` is of. Each is read once and answered twice.
///
/// # Errors
/// As reading the prompts for the run.
pub fn workload(recipe: &SampleRecipe, reading: &Reading) -> Result<Workload, SampleError> {
    let read = prompt::read(
        recipe,
        reading.rules(usize::MAX, recipe.images.as_path()),
        reading.n_positions(),
        Purpose::Plan,
    )?;
    let prompts = read.rows;
    let answer = recipe.max_new_tokens as u64;
    let lengths = prompts.iter().map(|prompt| prompt.ids.len() as u64);
    Ok(Workload {
        n_rows: prompts.len() as u64,
        rows: "prompts",
        n_steps: Some(prompts.len().div_ceil(recipe.chunk) as u64),
        n_tokens: lengths.clone().map(|length| length + 2 * answer).sum(),
        tokens_are_a_bound: true,
        longest_tokens: lengths.max().unwrap_or(0) + answer,
        images: ImageCount::of(prompts.iter().filter_map(|prompt| prompt.image.clone())),
        notes: read.skipped.iter().map(ToString::to_string).collect(),
    })
}
