//! What a checkpoint holds, put back into the tensors that a stage uses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candor_run::{Checkpoint, RunError};
use tch::Tensor;

use crate::checkpoint::read_tensors;
use crate::error::TrainError;
use crate::optimizer::AdamW;

pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";
pub(super) const KEPT: &str = "kept.safetensors";

/// Puts a checkpoint back, whose reader refuses numbers that are not finite; nothing is changed if anything of it does not fit.
pub(super) fn restore(
    checkpoint: &Checkpoint,
    optimizer: &mut AdamW,
    kept: &[(String, Tensor)],
) -> Result<(), TrainError> {
    const REMEDY: &str = "resume with the recipe and the base model that the run began with";
    let path = |name| checkpoint.path().join(name);
    let weights = read_tensors(checkpoint, WEIGHTS)?;
    let state = read_tensors(checkpoint, OPTIMIZER)?;
    let stored = if path(KEPT).exists() {
        read_tensors(checkpoint, KEPT)?
    } else {
        Vec::new()
    };
    restore_tensors(path(WEIGHTS), &optimizer.parameters(), weights, REMEDY)?;
    optimizer.load_state(state)?;
    Ok(restore_tensors(path(KEPT), kept, stored, REMEDY)?)
}

/// Copies `stored` into `tensors`, name by name; all of them must fit before the first is copied.
pub(super) fn restore_tensors(
    path: PathBuf,
    tensors: &[(String, Tensor)],
    stored: Vec<(String, Tensor)>,
    remedy: &'static str,
) -> Result<(), RunError> {
    let mut stored: BTreeMap<String, Tensor> = stored.into_iter().collect();
    let mut pairs = Vec::with_capacity(tensors.len());
    let mut problem = None;
    for (name, tensor) in tensors {
        let form = |t: &Tensor| format!("{:?} {:?}", t.kind(), t.size());
        match stored.remove(name) {
            None => problem = Some(format!("lacks `{name}`")),
            Some(saved) if form(&saved) != form(tensor) => {
                let (found, expected) = (form(&saved), form(tensor));
                problem = Some(format!("has `{name}` as {found}, expected {expected}"));
            }
            Some(saved) => pairs.push((tensor.shallow_clone(), saved)),
        }
    }
    if let Some(name) = stored.keys().next() {
        problem = problem.or(Some(format!("has `{name}`, which this run does not")));
    }
    if let Some(problem) = problem {
        return Err(RunError::Checkpoint {
            path,
            problem,
            remedy,
        });
    }
    tch::no_grad(|| {
        for (mut tensor, saved) in pairs {
            tensor.copy_(&saved);
        }
    });
    Ok(())
}
