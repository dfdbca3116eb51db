//! How much a sampling run will do.

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
        None,
    )?;
    let answer = recipe.max_new_tokens as u64;
    let lengths = read.lengths.iter().map(|&length| u64::from(length));
    Ok(Workload {
        n_rows: read.len() as u64,
        rows: "prompts",
        n_steps: Some(read.len().div_ceil(recipe.chunk) as u64),
        n_tokens: lengths.clone().map(|length| length + 2 * answer).sum(),
        tokens_are_a_bound: true,
        longest_tokens: lengths.max().unwrap_or(0) + answer,
        images: ImageCount {
            different: read.images.names.len() as u64,
            of_a_row: read.images.of_a_row as u64,
        },
        notes: read.skipped.iter().map(ToString::to_string).collect(),
    })
}
