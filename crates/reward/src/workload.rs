//! How much the training of a reward model will do.

use candor_model::Reading;
use candor_run::{ImageCount, Workload};
use candor_train::RowShape;

use crate::{RewardError, RewardRecipe, pairs};

/// Reads and tokenises the recipe's comparisons for the base that `reading` is of, and goes through the order of the
/// run, which may end earlier. Validation is not counted.
///
/// # Errors
/// As reading the comparisons for the run.
pub fn workload(recipe: &RewardRecipe, reading: &Reading) -> Result<Workload, RewardError> {
    let images = recipe.judgements.images();
    let rules = reading.rules(recipe.max_tokens, images);
    let pairs = pairs::read(recipe, rules, None)?;
    let mut batches = pairs::batches(recipe, &pairs)?;
    let n_steps = batches.n_steps(recipe.length);
    let (mut n_tokens, mut longest) = (0, 0);
    for done in 0..n_steps {
        for pass in batches.of_step(done) {
            let sizes = pass.iter().map(|&row| pairs.held(row).size());
            n_tokens += sizes.clone().map(|size| size.n_tokens as u64).sum::<u64>();
            let shapes = sizes.map(|size| size.shape);
            longest = longest.max(RowShape::most_of_a_row(shapes) as u64);
        }
    }
    Ok(Workload {
        n_rows: pairs.len() as u64,
        rows: recipe.judgements.rows(),
        n_steps: Some(n_steps),
        n_tokens,
        tokens_are_a_bound: false,
        longest_tokens: longest,
        images: ImageCount::of(pairs.images()),
        notes: pairs.skipped.iter().map(ToString::to_string).collect(),
    })
}
