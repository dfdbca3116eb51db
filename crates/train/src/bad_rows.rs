//! What a stage does about rows that it cannot use, as its recipe says.

use candor_data::rows::{OnBadRow, Skipped};

use candor_recipe::Reader;

/// Reads `data.on_bad_row`; without it bad rows stop the run.
pub fn on_bad_row(recipe: &mut Reader) -> OnBadRow {
    let choices = [("stop", OnBadRow::Stop), ("skip", OnBadRow::Skip)];
    let meaning = "Whether a row that cannot be used stops the run (the default), or is skipped, counted and listed in `skipped.jsonl`.";
    let field = recipe.one_of("data.on_bad_row", &choices, meaning);
    field.optional().unwrap_or_default()
}

/// Tells the person who started the run which rows it does without.
pub fn say_skipped(stage: &str, skipped: Option<&Skipped>) {
    if let Some(skipped) = skipped.filter(|skipped| !skipped.rows().is_empty()) {
        tracing::warn!(
            "{stage}: {skipped} (see {} of the run)",
            candor_data::rows::SKIPPED
        );
    }
}
