//! `candor eval`: a model by a recipe, or one of its commands.

use std::path::Path;

use candor_eval::EvalRecipe;
use candor_run::StopSignal;
use candor_train::DeviceChoice;

use super::{ask, compare, device, ranks, results, reward_benchmark, score, suite};
use crate::arguments::{EvalArguments, EvalCommand};

/// Runs a `candor eval` command.
pub fn run(arguments: &EvalArguments) -> anyhow::Result<()> {
    match (&arguments.command, &arguments.recipe) {
        (Some(EvalCommand::Run(arguments)), _) => ask::run(arguments),
        (Some(EvalCommand::Suite(arguments)), _) => suite::run(arguments),
        (Some(EvalCommand::Score(arguments)), _) => score::run(arguments),
        (Some(EvalCommand::Reward(arguments)), _) => reward_benchmark::run(arguments),
        (Some(EvalCommand::Compare(arguments)), _) => compare::run(arguments),
        (None, Some(recipe)) => evaluate(recipe, arguments),
        (None, None) => {
            anyhow::bail!("name a recipe, or `run`, `suite`, `score`, `reward` or `compare`")
        }
    }
}

/// Evaluates a model and prints the table, or the results as JSON.
fn evaluate(recipe: &Path, arguments: &EvalArguments) -> anyhow::Result<()> {
    let device_setting = arguments.device.map(DeviceChoice::setting);
    let sets: Vec<String> = arguments
        .sets
        .iter()
        .cloned()
        .chain(device_setting)
        .collect();
    let recipe = EvalRecipe::open(recipe, &sets)?;
    // Nothing is kept of what is half answered, so a signal ends it at once, as without a handler.
    let stop = StopSignal::detached();
    let Some(ranks) = ranks::start(&arguments.ranks)? else {
        return Ok(());
    };
    let device = device::of_rank(recipe.device, &ranks)?;
    let found = candor_eval::run(&recipe, &stop, device, &ranks)?;
    ranks.meet()?;
    let Some(found) = found else {
        return Ok(());
    };
    results::show(&recipe.out, &found, None, recipe.seed, arguments.json)
}
