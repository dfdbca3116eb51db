//! How much learning from preferences will do.

use candor_data::comparisons::Purpose;
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
    let rows = rows::read(recipe, rules, Purpose::Plan)?;
    let mut batches = rows::batches(recipe, &rows)?;
    let n_steps = batches.n_steps(recipe.length);
    let (mut n_tokens, mut longest) = (0, 0);
    for done in 0..n_steps {
        for pass in batches.of_step(done) {
            n_tokens += pass.iter().map(|row| row.n_tokens as u64).sum::<u64>();
            let shapes = pass.iter().map(|row| row.shape());
            longest = longest.max(RowShape::most_of_a_row(shapes) as u64);
        }
    }
    let is_rated = matches!(recipe.judgements, Judgements::Rated(_));
    let kinds = is_rated.then(|| rows::kinds_told(rows::kinds(&rows.train)));
    let skipped = rows.skipped.iter().map(ToString::to_string);
    Ok(Workload {
        n_rows: rows.all().count() as u64,
        rows: recipe.judgements.rows(),
        n_steps: Some(n_steps),
        n_tokens,
        tokens_are_a_bound: false,
        longest_tokens: longest,
        images: ImageCount::of(rows::images(&rows)),
        notes: kinds.into_iter().chain(skipped).collect(),
    })
}
