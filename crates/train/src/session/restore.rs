//! What a checkpoint holds, put back into the tensors that a stage uses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::Tensor;

use crate::checkpoint::Checkpoint;
use crate::error::TrainError;
use crate::optimizer::AdamW;

pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";
pub(super) const KEPT: &str = "kept.safetensors";

/// Puts a checkpoint back; nothing is changed if anything of it does not fit.
pub(super) fn restore(
    checkpoint: &Checkpoint,
    optimizer: &mut AdamW,
    kept: &[(String, Tensor)],
) -> Result<(), TrainError> {
    const REMEDY: &str = "resume with the recipe and the base model that the run began with";
    let path = |name| checkpoint.path().join(name);
    let weights = checkpoint.tensors(WEIGHTS)?;
    check_finite(&path(WEIGHTS), &weights)?;
    let state = checkpoint.tensors(OPTIMIZER)?;
    check_finite(&path(OPTIMIZER), &state)?;
    let stored = if path(KEPT).exists() {
        checkpoint.tensors(KEPT)?
    } else {
        Vec::new()
    };
    check_finite(&path(KEPT), &stored)?;
    restore_tensors(path(WEIGHTS), &optimizer.parameters(), weights, REMEDY)?;
    optimizer.load_state(state)?;
    restore_tensors(path(KEPT), kept, stored, REMEDY)
}

/// Copies `stored` into `tensors`, name by name; all of them must fit before the first is copied.
pub(super) fn restore_tensors(
    path: PathBuf,
    tensors: &[(String, Tensor)],
    stored: Vec<(String, Tensor)>,
    remedy: &'static str,
) -> Result<(), TrainError> {
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
        return Err(TrainError::Checkpoint {
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

/// Whether every number of the tensors that `path` holds is one: a run that goes on from others is lost already.
pub(super) fn check_finite(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), TrainError> {
    let unusable = |(_, tensor): &&(String, Tensor)| {
        tensor.is_floating_point() && tensor.isfinite().all().int64_value(&[]) == 0
    };
    let Some((name, tensor)) = tensors.iter().find(unusable) else {
        return Ok(());
    };
    let n_bad = tensor.isfinite().logical_not().sum(tch::Kind::Int64);
    Err(TrainError::Checkpoint {
        path: path.to_owned(),
        problem: format!(
            "{} of the {} numbers of `{name}` are not finite",
            n_bad.int64_value(&[]),
            tensor.numel()
        ),
        remedy: "the run had gone astray: go on from a checkpoint before this one (move this one away), or start anew with a \
                 lower learning rate",
    })
}
