//! Tensors in the checkpoints of a run, as safetensors.

use std::collections::BTreeMap;

use candor_model::tensor_file;
use candor_run::{Checkpoint, CheckpointWriter};
use tch::Tensor;

use crate::error::TrainError;
use crate::optimizer::AdamW;
use crate::parameter::Saved;
use crate::shards::Shards;

/// The tensors of one file of a checkpoint, on the CPU, sorted by name.
///
/// # Errors
/// The file is missing, not safetensors, or holds what is not finite.
pub(crate) fn read_tensors(
    checkpoint: &Checkpoint,
    name: &str,
) -> Result<Vec<(String, Tensor)>, TrainError> {
    let tensors = tensor_file::read_finite(&checkpoint.path().join(name))?;
    Ok(tensors.into_iter().collect())
}

/// Adds a safetensors file to a checkpoint; its manifest hashes it and syncs it later.
///
/// # Errors
/// The name leaves the folder, a tensor is unsuitable, or writing fails.
pub(crate) fn write_tensors(
    writer: &CheckpointWriter,
    name: &str,
    tensors: &[(String, Tensor)],
) -> Result<(), TrainError> {
    let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    Ok(tensor_file::write_unsynced(
        &writer.place(name)?,
        named,
        None,
    )?)
}

/// Adds a file with these of what a checkpoint holds of all parameters, tensor by tensor: what another rank has is brought here as
/// its turn to be written has come.
///
/// # Errors
/// As [`write_tensors`], or another rank has ended or hangs.
pub(crate) fn write_saved(
    writer: &CheckpointWriter,
    name: &str,
    optimizer: &AdamW,
    shards: Option<&Shards>,
    of_parameter: &[Saved],
) -> Result<(), TrainError> {
    let (mut promises, mut places) = (Vec::new(), BTreeMap::new());
    for (promise, number, saved) in optimizer.promises(of_parameter) {
        places.insert(promise.name.clone(), (number, saved));
        promises.push(promise);
    }
    tensor_file::write_made(&writer.place(name)?, &promises, None, |name| {
        let (number, saved) = places[name];
        match (optimizer.of_tensors()[number].saved(saved), shards) {
            (Some(mine), _) => Ok(mine),
            (None, Some(shards)) => Ok(shards.ask(optimizer, number, saved)?),
            (None, None) => unreachable!("what is not shared out is here"),
        }
    })
}
