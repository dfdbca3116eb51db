//! Writes a data folder of the micro-world.
//!
//! ```text
//! cargo run --release -p candor-world --example write_world -- OUT_DIR [SEED] [N_TRAIN]
//! ```

use std::path::PathBuf;
use std::time::Instant;

use candor_world::{World, WorldConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(
        args.next()
            .ok_or("usage: write_world OUT_DIR [SEED] [N_TRAIN]")?,
    );
    let mut config = WorldConfig::default();
    if let Some(seed) = args.next() {
        config.seed = seed.parse()?;
    }
    if let Some(n_train) = args.next() {
        config.n_train = n_train.parse()?;
    }
    let start = Instant::now();
    let world = World::generate(&config)?;
    let summary = candor_world::write(&world, &dir)?;
    let secs = start.elapsed().as_secs_f64();
    println!(
        "{} scenes in {secs:.1} s, {:.3} false objects per description",
        world.scenes().len(),
        summary.false_objects_per_description
    );
    Ok(())
}
