//! Tensors in the checkpoints of a run, as safetensors.

use candor_model::tensor_file;
use candor_run::{Checkpoint, CheckpointWriter};
use tch::Tensor;

use crate::error::TrainError;

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
