//! `candor world …`

use std::path::Path;

use candor_world::{Annotator, World, WorldConfig};

use crate::arguments::WorldCommand;

/// Runs a `candor world` command.
pub fn run(command: WorldCommand) -> anyhow::Result<()> {
    match command {
        WorldCommand::Write {
            out,
            seed,
            train,
            preference,
            rl,
            eval,
        } => {
            let config = WorldConfig {
                seed,
                n_train: train,
                n_preference: preference,
                n_rl: rl,
                n_eval: eval,
                ..WorldConfig::default()
            };
            write(&config, &out)
        }
        WorldCommand::Annotate {
            world,
            candidates,
            out,
            error_rate,
            seed,
        } => {
            let error_rate = if let Some(error_rate) = error_rate {
                error_rate
            } else {
                let summary = candor_world::read_summary(&world.join("world.json"))?;
                summary.config.annotator_error
            };
            let annotator = Annotator::new(seed, error_rate);
            annotate(&annotator, &world, &candidates, &out)
        }
    }
}

fn write(config: &WorldConfig, out: &Path) -> anyhow::Result<()> {
    let world = World::generate(config)?;
    let summary = candor_world::write(&world, out)?;
    println!(
        "{}: {} scenes, {:.3} false objects per description",
        out.display(),
        world.scenes().len(),
        summary.false_objects_per_description
    );
    Ok(())
}

fn annotate(
    annotator: &Annotator,
    world: &Path,
    candidates: &Path,
    out: &Path,
) -> anyhow::Result<()> {
    let summary = candor_world::annotate_candidates(annotator, world, candidates, out)?;
    println!(
        "{}: {} of {} pairs compared ({} dropped, {} of them identical), {:.0} % by the first question, error \
         rate {}",
        out.display(),
        summary.n_pairs - summary.n_dropped,
        summary.n_pairs,
        summary.n_dropped,
        summary.n_identical,
        100.0 * summary.first_question_share,
        summary.error_rate
    );
    Ok(())
}
