//! `candor world …`

use candor_world::{World, WorldConfig};

use crate::arguments::WorldCommand;

/// Runs a `candor world` command.
pub fn run(command: WorldCommand) -> anyhow::Result<()> {
    let WorldCommand::Write {
        out,
        seed,
        train,
        preference,
        rl,
        eval,
    } = command;
    let config = WorldConfig {
        seed,
        n_train: train,
        n_preference: preference,
        n_rl: rl,
        n_eval: eval,
        ..WorldConfig::default()
    };
    let world = World::generate(&config)?;
    let summary = candor_world::write(&world, &out)?;
    println!(
        "{}: {} scenes, {:.3} false objects per description",
        out.display(),
        world.scenes().len(),
        summary.false_objects_per_description
    );
    Ok(())
}
