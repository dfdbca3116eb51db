//! `candor recipe …`

use std::path::PathBuf;

use candor_plan::{Planner, recipe_fields, show_plans};

use crate::arguments::RecipeCommand;

/// Runs the command.
pub fn run(command: RecipeCommand) -> anyhow::Result<()> {
    match command {
        RecipeCommand::Check {
            recipes,
            rate,
            ranks,
            sets,
            json,
        } => check(&recipes, rate, ranks, &sets, json),
        RecipeCommand::Fields { stage } => {
            print!("{}", recipe_fields(stage.as_deref()));
            Ok(())
        }
    }
}

/// Checks recipes and prints their plans. Mistakes of all recipes are reported together.
fn check(
    recipes: &[PathBuf],
    rate: Option<f64>,
    n_ranks: u16,
    sets: &[String],
    json: bool,
) -> anyhow::Result<()> {
    if let Some(rate) = rate {
        anyhow::ensure!(
            rate.is_finite() && rate > 0.0,
            "--rate is {rate}; give the tokens per second that the machine does"
        );
    }
    let mut planner = Planner::new(rate).of_ranks(n_ranks.into());
    let (mut plans, mut mistakes) = (Vec::new(), Vec::new());
    for recipe in recipes {
        match planner.plan(recipe, sets) {
            Ok(plan) => plans.push(plan),
            Err(error) => mistakes.push(crate::chain(&error.into())),
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&plans)?);
    } else {
        print!("{}", show_plans(&plans));
    }
    anyhow::ensure!(mistakes.is_empty(), "{}", mistakes.join("\n"));
    Ok(())
}
