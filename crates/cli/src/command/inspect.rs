//! `candor inspect`

use anyhow::ensure;
use candor_plan::{inspect, show_inspection};

use crate::arguments::InspectArguments;

/// Says what a model folder holds.
pub fn run(arguments: &InspectArguments) -> anyhow::Result<()> {
    let inspection = inspect(&arguments.model)?;
    let fits = inspection.problems.is_none();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&inspection)?);
    } else {
        print!("{}", show_inspection(&inspection));
    }
    ensure!(
        fits,
        "{}: its parts do not fit together, as said above; no stage opens it",
        inspection.folder.display()
    );
    Ok(())
}
