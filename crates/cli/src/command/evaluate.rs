//! `candor eval`: a model by a recipe, or one of its commands.

use std::path::Path;

use candor_eval::{EvalRecipe, table};

use super::stage::device;
use super::{ask, compare, score};
use crate::arguments::{EvalArguments, EvalCommand};

/// Runs a `candor eval` command.
pub fn run(arguments: &EvalArguments) -> anyhow::Result<()> {
    match (&arguments.command, &arguments.recipe) {
        (Some(EvalCommand::Run(arguments)), _) => ask::run(arguments),
        (Some(EvalCommand::Score(arguments)), _) => score::run(arguments),
        (Some(EvalCommand::Compare(arguments)), _) => compare::run(arguments),
        (None, Some(recipe)) => evaluate(recipe, arguments),
        (None, None) => anyhow::bail!("name a recipe, or `run`, `score` or `compare`"),
    }
}

/// Says on stderr, too, what makes numbers meaningless.
pub fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

/// Evaluates a model and prints the table, or the results as JSON.
fn evaluate(recipe: &Path, arguments: &EvalArguments) -> anyhow::Result<()> {
    let recipe = EvalRecipe::open(recipe, &arguments.sets)?;
    let results = candor_eval::run(&recipe, device())?;
    warn(&results.warnings);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        print!("{}", table::render(&results));
    }
    Ok(())
}
