//! How much a run of supervised fine-tuning will do.

use candor_data::rows::{Look, OnBadRow};
use candor_model::Reading;
use candor_model::sample::SampleRules;
use candor_run::{ImageCount, Workload};
use candor_train::Length;

use crate::corpus::{Corpus, Order};
use crate::held_out::HeldOut;
use crate::{SftError, SftRecipe};

/// Reads and tokenises the recipe's data for the model that `reading` is of, and goes through the order of the run. What is held
/// out is read and not counted, but a look at it may have the longest sequence of the run.
///
/// # Errors
/// A file is missing or damaged, or a conversation does not fit the model.
pub fn workload(recipe: &SftRecipe, reading: &Reading) -> Result<Workload, SftError> {
    let own = reading.rules(recipe.max_tokens, recipe.images.as_path());
    let rules = SampleRules {
        template: recipe.template.as_ref().unwrap_or(own.template),
        ..own
    };
    let look = Look::of_plan(recipe.on_bad_row, &recipe.images);
    let corpus = Corpus::read(recipe, rules, look, None)?;
    let held_out = recipe.evaluation.as_ref().map(|evaluation| {
        let look = Look::of_plan(OnBadRow::Stop, &recipe.images);
        let rows = recipe.pass.rows_of(recipe.max_tokens);
        HeldOut::read(recipe, evaluation, rules, look, rows, None)
    });
    let held_out = held_out.transpose()?;
    let n_steps = match recipe.length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => epochs * corpus.steps_per_epoch(),
    };
    let mut order = Order::default();
    let (mut n_tokens, mut longest) = (0, 0);
    for done in 0..n_steps {
        for &row in order.of_step(&corpus, done).iter().flatten() {
            let of_row = corpus.n_tokens(row) as u64;
            n_tokens += of_row;
            longest = longest.max(of_row);
        }
    }
    let held_out_longest = held_out.as_ref().map_or(0, HeldOut::longest);
    Ok(Workload {
        n_rows: corpus.n_rows() as u64,
        rows: "conversations",
        n_steps: Some(n_steps),
        n_tokens,
        tokens_are_a_bound: false,
        longest_tokens: longest.max(held_out_longest as u64),
        images: images(&corpus, held_out.as_ref()),
        notes: notes(&corpus),
    })
}

fn images(corpus: &Corpus, held_out: Option<&HeldOut>) -> ImageCount {
    let shown = [Some(corpus.images()), held_out.map(HeldOut::images)];
    let shown = shown.into_iter().flatten();
    let of_a_row = shown.clone().map(|shown| shown.of_a_row as u64).max();
    ImageCount {
        of_a_row: of_a_row.unwrap_or(0),
        ..ImageCount::of(shown.flat_map(|shown| shown.names.iter().cloned()))
    }
}

fn notes(corpus: &Corpus) -> Vec<String> {
    let skipped = corpus.skipped().map(ToString::to_string);
    skipped.into_iter().chain(corpus.repeats()).collect()
}
