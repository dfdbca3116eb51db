//! What a checkpoint holds, put back into the tensors that a stage uses.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candor_model::tensor_file::Promise;
use candor_run::{Checkpoint, Ranks, RunError};
use tch::Tensor;

use crate::checkpoint::read_tensors;
use crate::error::TrainError;
use crate::lanes;
use crate::optimizer::AdamW;
use crate::parameter::Saved;
use crate::shards::Shards;

pub(super) const WEIGHTS: &str = "weights.safetensors";
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";
pub(super) const KEPT: &str = "kept.safetensors";

/// Tensors of parameters by their numbers, which all fit.
pub(super) type Stored = BTreeMap<(usize, Saved), Tensor>;

/// Reads a checkpoint, whose reader refuses numbers that are not finite; what the stage keeps is put back, and what is for the
/// optimizer is returned. Nothing is changed if anything of it does not fit.
pub(super) fn read(
    checkpoint: &Checkpoint,
    optimizer: &AdamW,
    kept: &[(String, Tensor)],
) -> Result<Stored, TrainError> {
    const REMEDY: &str = "resume with the recipe and the base model that the run began with";
    let path = |name| checkpoint.path().join(name);
    let weights = read_tensors(checkpoint, WEIGHTS)?;
    let state = read_tensors(checkpoint, OPTIMIZER)?;
    let stored = if path(KEPT).exists() {
        read_tensors(checkpoint, KEPT)?
    } else {
        Vec::new()
    };
    let mut found = weights_of(optimizer, path(WEIGHTS), weights, REMEDY)?;
    let state = optimizer.fitting(state)?;
    found.extend(
        state
            .into_iter()
            .map(|(number, saved, tensor)| ((number, saved), tensor)),
    );
    restore_tensors(path(KEPT), kept, stored, REMEDY)?;
    Ok(found)
}

/// Weights by the numbers of their parameters.
pub(super) fn weights_of(
    optimizer: &AdamW,
    path: PathBuf,
    weights: Vec<(String, Tensor)>,
    remedy: &'static str,
) -> Result<Stored, RunError> {
    let promises = optimizer.promises(&[Saved::Weight]).into_iter();
    let promises: Vec<Promise> = promises.map(|(promise, ..)| promise).collect();
    let weights = fitting(path, &promises, weights, remedy)?.into_iter();
    let numbered = weights.enumerate();
    Ok(numbered
        .map(|(number, tensor)| ((number, Saved::Weight), tensor))
        .collect())
}

/// Copies `stored` into `tensors`, name by name; all of them must fit before the first is copied.
fn restore_tensors(
    path: PathBuf,
    tensors: &[(String, Tensor)],
    stored: Vec<(String, Tensor)>,
    remedy: &'static str,
) -> Result<(), RunError> {
    let promise = |(name, tensor): &(String, Tensor)| Promise {
        name: name.clone(),
        kind: tensor.kind(),
        size: tensor.size(),
    };
    let promises: Vec<Promise> = tensors.iter().map(promise).collect();
    let stored = fitting(path, &promises, stored, remedy)?;
    tch::no_grad(|| {
        for ((_, tensor), saved) in tensors.iter().zip(stored) {
            tensor.shallow_clone().copy_(&saved);
        }
    });
    Ok(())
}

/// The tensors of a file in the order of what is expected of it, which all are as expected, and no more.
fn fitting(
    path: PathBuf,
    expected: &[Promise],
    stored: Vec<(String, Tensor)>,
    remedy: &'static str,
) -> Result<Vec<Tensor>, RunError> {
    let mut stored: BTreeMap<String, Tensor> = stored.into_iter().collect();
    let mut found = Vec::with_capacity(expected.len());
    let mut problem = None;
    for Promise { name, kind, size } in expected {
        match stored.remove(name) {
            None => problem = Some(format!("lacks `{name}`")),
            Some(saved) if saved.kind() != *kind || saved.size() != *size => {
                problem = Some(format!(
                    "has `{name}` as {:?} {:?}, expected {kind:?} {size:?}",
                    saved.kind(),
                    saved.size()
                ));
            }
            Some(saved) => found.push(saved),
        }
    }
    if let Some(name) = stored.keys().next() {
        problem = problem.or(Some(format!("has `{name}`, which this run does not")));
    }
    match problem {
        None => Ok(found),
        Some(problem) => Err(RunError::Checkpoint {
            path,
            problem,
            remedy,
        }),
    }
}

/// Puts what the first rank has read into the optimizers of all. Where it has read nothing, all begin with its weights; where it has
/// read weights alone, `has_state` is false, and optimizers begin anew.
pub(super) fn give_out(
    ranks: &Ranks,
    shards: Option<&Shards>,
    optimizer: &mut AdamW,
    mut stored: Stored,
    has_state: bool,
) -> Result<(), RunError> {
    for number in 0..optimizer.of_tensors().len() {
        let parameter = &optimizer.of_tensors()[number];
        let read = stored.remove(&(number, Saved::Weight));
        if read.is_some() || ranks.world() > 1 {
            let weight = read.unwrap_or_else(|| parameter.weight());
            lanes::from_first(ranks, std::slice::from_ref(&weight))?;
            optimizer.of_tensors_mut()[number].put(Saved::Weight, &weight);
        }
        if !has_state {
            continue;
        }
        for saved in Saved::OF_OPTIMIZER {
            let parameter = &optimizer.of_tensors()[number];
            let read = stored.remove(&(number, saved));
            let here = if let Some(shards) = shards {
                shards.bring(parameter, number, saved, read)?
            } else {
                let mine = read.or_else(|| parameter.saved(saved));
                lanes::from_first(ranks, mine.as_slice())?;
                mine
            };
            if let Some(tensor) = here {
                optimizer.of_tensors_mut()[number].put(saved, &tensor);
            }
        }
    }
    Ok(())
}
