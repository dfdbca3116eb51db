//! Starting from the weights of another run of the same stage: its trained tensors, with a fresh optimizer at step 0.
//!
//! `init_from.json` in the new run's folder says which weights they were, so that a run that is resumed before its first
//! checkpoint begins with them again.

use std::path::{Path, PathBuf};

use candor_recipe::value_of;
use candor_run::{Checkpoint, CheckpointStore, Inputs, RunError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::Tensor;

use super::restore::{Stored, WEIGHTS, weights_of};
use crate::checkpoint::read_tensors;
use crate::error::TrainError;
use crate::fingerprint;
use crate::optimizer::AdamW;

const FILE: &str = "init_from.json";
/// The input that the weights of an adapter mean nothing without.
const BASE: &str = "base model";
/// The key of a recipe that a fresh adapter's matrices mean nothing without.
const ALPHA: &str = "model.lora.alpha";
/// The key of a recipe that says whose base a critic's adapter stands on; a recipe without it had the reward model's.
const CRITIC: &str = "model.critic";
const FIRST_CRITIC: &str = "reward";

/// The weights of another run.
#[derive(Debug)]
pub(super) struct Earlier {
    note: Note,
    /// Where they were read.
    path: PathBuf,
    tensors: Vec<(String, Tensor)>,
    /// The fingerprint of the base that they were trained on, as far as that is known.
    base: Option<String>,
    /// What the product of an adapter's matrices is scaled by, where that run's recipe said it.
    alpha: Value,
    /// Whose base its critic stood on, if it had one; null where that run's recipe is not there.
    critic: Value,
}

/// `init_from.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    /// The run's folder.
    run: PathBuf,
    /// The steps that the weights had; null for the result of a finished run.
    step: Option<u64>,
    /// Of the trained tensors.
    sha256: String,
}

/// The newest usable checkpoint of a run that may be going on.
fn newest(run: &Path) -> Result<Option<Checkpoint>, TrainError> {
    let checkpoints = run.join("checkpoints");
    if !checkpoints.exists() {
        return Ok(None);
    }
    let newest = CheckpointStore::of_another_run(&checkpoints).newest()?;
    Ok(newest.checkpoint)
}

impl Earlier {
    /// The run to start from, with the fingerprint that its weights must have: as the command says, or as the folder does
    /// that is resumed.
    pub(super) fn of_run(
        out: &Path,
        init_from: Option<&Path>,
        resume: bool,
    ) -> Result<Option<(PathBuf, Option<String>)>, RunError> {
        let path = out.join(FILE);
        if !resume {
            let absolute = |run: &Path| std::path::absolute(run).map_err(RunError::io("find", run));
            let run = init_from.map(absolute).transpose()?;
            return Ok(run.map(|run| (run, None)));
        }
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).map_err(RunError::io("read", &path))?;
        let note: Note = serde_json::from_slice(&bytes).map_err(|error| RunError::LinesFile {
            path,
            problem: format!("damaged: {error}"),
            remedy: "start the run again without --resume",
        })?;
        Ok(Some((note.run, Some(note.sha256))))
    }

    /// Reads the weights of a run; with a fingerprint they must be those.
    pub(super) fn read<E: From<TrainError>>(
        run: PathBuf,
        sha256: Option<String>,
        result: impl FnOnce(&Path) -> Result<Option<Vec<(String, Tensor)>>, E>,
    ) -> Result<Self, E> {
        let finished = result(&run)?;
        let newest = match &finished {
            None => newest(&run)?,
            // It tells the base that the result belongs to, no more.
            Some(_) => newest(&run).ok().flatten(),
        };
        let (path, step, mut tensors) = match (finished, &newest) {
            (Some(tensors), _) => (run.clone(), None, tensors),
            (None, Some(checkpoint)) => (
                checkpoint.path().join(WEIGHTS),
                Some(checkpoint.state.step),
                read_tensors(checkpoint, WEIGHTS)?,
            ),
            (None, None) => return Err(TrainError::NoEarlierRun { dir: run }.into()),
        };
        check_finite(&path, &tensors).map_err(TrainError::from)?;
        tensors.sort_by(|(left, _), (right, _)| left.cmp(right));
        let found = fingerprint::of_tensors(tensors.iter().map(|(name, tensor)| (name, tensor)));
        if sha256.is_some_and(|then| then != found) {
            let changed = RunError::InputsChanged {
                dir: run,
                names: vec!["the weights that another run started from".to_owned()],
            };
            return Err(TrainError::from(changed).into());
        }
        let base = newest.and_then(|checkpoint| {
            let base = checkpoint.state.stage.get(BASE)?;
            base.as_str().map(str::to_owned)
        });
        let recipe = std::fs::read_to_string(run.join("resolved.toml")).unwrap_or_default();
        let critic = match value_of(&recipe, CRITIC) {
            Value::Null if !recipe.is_empty() => Value::from(FIRST_CRITIC),
            said => said,
        };
        let note = Note {
            run,
            step,
            sha256: found,
        };
        Ok(Self {
            note,
            path,
            tensors,
            base,
            alpha: value_of(&recipe, ALPHA),
            critic,
        })
    }

    /// The weights for the optimizer of a run with this recipe and these inputs.
    pub(super) fn weights(
        &self,
        optimizer: &AdamW,
        resolved: &str,
        inputs: &Inputs,
    ) -> Result<Stored, RunError> {
        const REMEDY: &str = "start from a run of the same stage that trains the same tensors of the same base model";
        if let (Some(then), Some(now)) = (&self.base, inputs.get(BASE))
            && then != now
        {
            return Err(RunError::Checkpoint {
                path: self.path.clone(),
                problem: "was trained on another base model, on this one in another base_precision, or by an earlier candor, which \
                          hashed models in another way"
                    .to_owned(),
                remedy: REMEDY,
            });
        }
        let alpha = value_of(resolved, ALPHA);
        if ![&alpha, &self.alpha].contains(&&Value::Null) && alpha != self.alpha {
            return Err(RunError::Checkpoint {
                path: self.path.clone(),
                problem: format!("was trained with {ALPHA} = {}, not {alpha}", self.alpha),
                remedy: "use that one: the same matrices would be another adapter",
            });
        }
        let critic = value_of(resolved, CRITIC);
        if ![&critic, &self.critic].contains(&&Value::Null) && critic != self.critic {
            return Err(RunError::Checkpoint {
                path: self.path.clone(),
                problem: format!("was trained with {CRITIC} = {}, not {critic}", self.critic),
                remedy: "use that one: on another base, or asked in another way, the same critic says something else",
            });
        }
        let copies = self.tensors.iter();
        let copies = copies.map(|(name, tensor)| (name.clone(), tensor.shallow_clone()));
        weights_of(optimizer, self.path.clone(), copies.collect(), REMEDY)
    }

    /// Says in the folder of the new run where it began.
    pub(super) fn note(&self, out: &Path) -> Result<(), RunError> {
        let path = out.join(FILE);
        let mut json =
            serde_json::to_vec_pretty(&self.note).map_err(|error| RunError::LinesFile {
                path: path.clone(),
                problem: format!("cannot be written as JSON: {error}"),
                remedy: "name the run to start from in UTF-8",
            })?;
        json.push(b'\n');
        Ok(candor_data::atomic::write(&path, &json)?)
    }
}

/// Whether every number of the tensors that `path` holds is one: a run that goes on from others is lost already.
fn check_finite(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), RunError> {
    let unusable = |(_, tensor): &&(String, Tensor)| {
        tensor.is_floating_point() && tensor.isfinite().all().int64_value(&[]) == 0
    };
    let Some((name, tensor)) = tensors.iter().find(unusable) else {
        return Ok(());
    };
    let n_bad = tensor.isfinite().logical_not().sum(tch::Kind::Int64);
    Err(RunError::Checkpoint {
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
