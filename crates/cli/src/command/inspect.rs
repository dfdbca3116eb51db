//! `candor inspect`

use candor_plan::{inspect, show_inspection};

use crate::arguments::InspectArguments;

/// Says what a model folder holds.
pub fn run(arguments: &InspectArguments) -> anyhow::Result<()> {
    let inspection = inspect(&arguments.model)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&inspection)?);
    } else {
        print!("{}", show_inspection(&inspection));
    }
    Ok(())
}
