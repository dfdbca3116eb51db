//! `candor eval`

use candor_eval::{EvalRecipe, table};

use super::stage::device;
use crate::arguments::EvalArguments;

/// Evaluates a model and prints the table, or the results as JSON.
pub fn run(arguments: &EvalArguments) -> anyhow::Result<()> {
    let recipe = EvalRecipe::open(&arguments.recipe, &arguments.sets)?;
    let results = candor_eval::run(&recipe, device())?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        print!("{}", table::render(&results));
    }
    Ok(())
}
