//! How much learning from preferences will do.

use candor_model::Reading;
use candor_run::{ImageCount, Workload};
use candor_train::{Judgements, RowShape};

use crate::{DpoError, DpoRecipe, rows};

/// Reads and tokenises the recipe's comparisons or rated answers for the base that `reading` is of, and goes through the order of the run.
/// Validation is not counted, nor is the reference's one time through all rows.
///
/// # Errors
/// As reading the comparisons for the run.
pub fn workload(recipe: &DpoRecipe, reading: &Reading) -> Result<Workload, DpoError> {
    let images = recipe.judgements.images();
    let rules = reading.rules(recipe.max_tokens, images);
    let rows = rows::read(recipe, rules, None)?;
    let mut batches = rows.batches(recipe)?;
    let n_steps = batches.n_steps(recipe.length);
    let (mut n_tokens, mut longest) = (0, 0);
    for done in 0..n_steps {
        for pass in batches.of_step(done) {
            let sizes = pass.iter().map(|&row| rows.size(row));
            n_tokens += sizes.clone().map(|size| size.n_tokens as u64).sum::<u64>();
            let shapes = sizes.map(|size| size.shape);
            longest = longest.max(RowShape::most_of_a_row(shapes) as u64);
        }
    }
    let is_rated = matches!(recipe.judgements, Judgements::Rated(_));
    let kinds = is_rated.then(|| rows::kinds_told(rows.kinds()));
    let skipped = rows.parts.skipped.iter().map(ToString::to_string);
    Ok(Workload {
        n_rows: rows.parts.len() as u64,
        rows: recipe.judgements.rows(),
        n_steps: Some(n_steps),
        n_tokens,
        tokens_are_a_bound: false,
        longest_tokens: longest,
        images: ImageCount::of(rows.parts.images()),
        notes: kinds.into_iter().chain(skipped).collect(),
    })
}
