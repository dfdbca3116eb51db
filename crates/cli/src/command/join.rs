//! `candor join`

use candor_data::image::Fit;
use candor_model::Join;
use tch::Device;

use super::export::{checkpoint_format, kind, report};
use crate::arguments::JoinArguments;

/// Makes a model of its parts.
pub fn run(arguments: &JoinArguments) -> anyhow::Result<()> {
    let join = Join {
        decoder: arguments.decoder.clone(),
        tower: arguments.tower.clone(),
        projector: arguments.projector.clone(),
        seed: arguments.seed,
        fit: if arguments.pad {
            Fit::Pad
        } else {
            Fit::CenterCrop
        },
        checkpoint_format: checkpoint_format(arguments.format),
        kind: arguments.dtype.map(kind),
    };
    // Nothing is computed.
    let joined = join.write(&arguments.out, Device::Cpu)?;
    report(&arguments.out, &joined);
    let projector = match &arguments.projector {
        Some(projector) => projector.display().to_string(),
        None => format!("fresh, from seed {}", arguments.seed),
    };
    println!("projector: {projector}");
    Ok(())
}
