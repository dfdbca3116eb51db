//! Checkpoints that are either whole or not there.
//!
//! `checkpoints/step-N/` is written as `.step-N.partial`, synced, given a manifest of hashes and renamed, so
//! a kill at any moment leaves the earlier checkpoints and at most a leftover that [`CheckpointStore::open`]
//! removes. The last few are kept; an old one that cannot be removed stays, and ends no run. On resume the newest is
//! verified byte by byte; a damaged one is named and the one before is used.
//!
//! This module does not know what a model is: the stage writes whatever files it needs.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::durable;
use crate::error::{Damage, RunError};
use crate::manifest::{MANIFEST, Manifest};

const STATE: &str = "state.json";

/// What a run needs besides tensors to continue exactly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunState {
    /// Updates done.
    pub step: u64,
    /// Where the data order continues; the stage decides its form.
    pub data_position: Value,
    /// Length of `metrics.jsonl` at this step.
    pub metrics_bytes: u64,
    /// Anything else the stage carries over, such as the best score so far.
    pub stage: Value,
}

/// The checkpoints of one run.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    dir: PathBuf,
    n_keep: usize,
}

/// The newest usable checkpoint, and the newer ones that are not usable.
#[derive(Debug)]
pub struct Newest {
    /// `None` if there never was a checkpoint.
    pub checkpoint: Option<Checkpoint>,
    /// Damaged checkpoints newer than that, newest first.
    pub damaged: Vec<Damage>,
}

/// A verified checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    dir: PathBuf,
    /// What was stored with it.
    pub state: RunState,
}

/// The folder of a checkpoint being written.
#[derive(Debug)]
pub struct CheckpointWriter {
    dir: PathBuf,
}

impl CheckpointStore {
    /// Opens `dir`, creating it, and clears away what a killed process left half done.
    ///
    /// `n_keep` is the number of checkpoints kept, at least one.
    ///
    /// # Errors
    /// The folder cannot be created or changed.
    pub fn open(dir: &Path, n_keep: usize) -> Result<Self, RunError> {
        durable::create_dir(dir)?;
        let store = Self {
            dir: dir.to_path_buf(),
            n_keep: n_keep.max(1),
        };
        store.clear_leftovers()?;
        Ok(store)
    }

    /// The checkpoints in `dir`, which must be there, to be read only: another process may be at work in it.
    #[must_use]
    pub fn of_another_run(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
            n_keep: usize::MAX,
        }
    }

    /// Writes the checkpoint of `state.step`; `write` adds the files. Returns its folder.
    ///
    /// # Errors
    /// Whatever `write` fails with, or a file-system error. The earlier checkpoints stay as they were.
    pub fn save<E: From<RunError>>(
        &self,
        state: &RunState,
        write: impl FnOnce(&CheckpointWriter) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let target = self.dir.join(folder_name(state.step));
        let partial = self.dir.join(format!(".step-{}.partial", state.step));
        durable::remove_dir(&partial)?;
        durable::create_dir(&partial)?;
        let writer = CheckpointWriter { dir: partial };
        write(&writer)?;
        writer.bytes(STATE, &state_bytes(state))?;
        let manifest = Manifest::of_folder(&writer.dir, state.step)?;
        writer.bytes(MANIFEST, &manifest.to_bytes())?;
        durable::sync_tree(&writer.dir)?;

        let replaced = self.dir.join(format!(".step-{}.replaced", state.step));
        if target.exists() {
            durable::rename(&target, &replaced)?;
        }
        durable::rename(&writer.dir, &target)?;
        durable::discard_dir(&replaced);
        self.prune()?;
        Ok(target)
    }

    /// Verifies checkpoints from the newest down and returns the first that is whole. Changes nothing.
    ///
    /// # Errors
    /// [`RunError::NoUsableCheckpoint`] if there are checkpoints and all are damaged.
    pub fn newest(&self) -> Result<Newest, RunError> {
        let mut damaged = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match Checkpoint::open(&self.dir.join(folder_name(step)), step) {
                Ok(checkpoint) => {
                    return Ok(Newest {
                        checkpoint: Some(checkpoint),
                        damaged,
                    });
                }
                Err(damage) => damaged.push(damage),
            }
        }
        if damaged.is_empty() {
            return Ok(Newest {
                checkpoint: None,
                damaged,
            });
        }
        Err(RunError::NoUsableCheckpoint {
            dir: self.dir.clone(),
            damaged,
        })
    }

    /// Renames the checkpoints after `step` to `step-N.damaged`, so that they neither count as kept nor are
    /// verified again; nothing is deleted.
    ///
    /// # Errors
    /// A folder cannot be renamed.
    pub fn set_aside_after(&self, step: u64) -> Result<(), RunError> {
        for later in self.steps()?.into_iter().filter(|&s| s > step) {
            let aside = self.dir.join(format!("step-{later}.damaged"));
            durable::remove_dir(&aside)?;
            durable::rename(&self.dir.join(folder_name(later)), &aside)?;
        }
        Ok(())
    }

    /// The steps that have a checkpoint, damaged or not, ascending.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, RunError> {
        let mut steps: Vec<u64> = durable::entries(&self.dir)?
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .filter_map(|name| {
                let step = name.strip_prefix("step-")?.parse().ok()?;
                // `step-007` and `step-+7` parse as well, but are not ours.
                (folder_name(step) == name).then_some(step)
            })
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    fn prune(&self) -> Result<(), RunError> {
        let steps = self.steps()?;
        for &step in steps.iter().rev().skip(self.n_keep) {
            // Renamed first, so that a kill halfway never leaves a folder that looks like a checkpoint.
            let removed = self.dir.join(format!(".step-{step}.removed"));
            durable::discard_dir(&removed);
            if removed.exists() {
                // Tried again after the next checkpoint.
                continue;
            }
            durable::rename(&self.dir.join(folder_name(step)), &removed)?;
            durable::discard_dir(&removed);
        }
        Ok(())
    }

    fn clear_leftovers(&self) -> Result<(), RunError> {
        for path in durable::entries(&self.dir)? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let Some(rest) = name.strip_prefix(".step-") else {
                continue;
            };
            if let Some(step) = rest.strip_suffix(".replaced") {
                // A kill between the two renames of `save`: the old checkpoint is still the valid one.
                let target = self.dir.join(format!("step-{step}"));
                if !target.exists() {
                    durable::rename(&path, &target)?;
                    continue;
                }
            }
            durable::discard_dir(&path);
        }
        Ok(())
    }
}

impl Checkpoint {
    /// Opens and verifies one checkpoint folder.
    ///
    /// # Errors
    /// What is damaged.
    pub fn open(dir: &Path, step: u64) -> Result<Self, Damage> {
        let manifest = Manifest::verify(dir, step)?;
        let path = dir.join(STATE);
        let damaged = |problem: String| Damage {
            file: path.clone(),
            problem,
        };
        if !manifest.files.contains_key(STATE) {
            return Err(damaged("not listed in the manifest".to_owned()));
        }
        let bytes = std::fs::read(&path).map_err(|error| damaged(error.to_string()))?;
        let state: RunState =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if state.step != step {
            return Err(damaged(format!(
                "names step {}, the folder step {step}",
                state.step
            )));
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            state,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }
}

impl CheckpointWriter {
    /// The folder to write into, for a model that writes its own files; they are hashed and synced later.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Adds a file with these bytes.
    ///
    /// # Errors
    /// The name leaves the folder, or writing fails.
    pub fn bytes(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.place(name)?;
        std::fs::write(&path, bytes).map_err(RunError::io("write", &path))
    }

    /// Where the file `name` goes, such as `"optimizer.safetensors"` or `"adapter/adapter_model.safetensors"`; its folder
    /// is there.
    ///
    /// # Errors
    /// The name leaves the checkpoint, or a folder cannot be created.
    pub fn place(&self, name: &str) -> Result<PathBuf, RunError> {
        let relative = Path::new(name);
        let inside = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !inside {
            return Err(RunError::Checkpoint {
                path: self.dir.clone(),
                problem: format!("`{name}` is not a name inside the checkpoint"),
                remedy: "use a relative name without `..`",
            });
        }
        let path = self.dir.join(relative);
        path.parent().map_or(Ok(()), durable::create_dir)?;
        Ok(path)
    }
}

fn folder_name(step: u64) -> String {
    format!("step-{step}")
}

fn state_bytes(state: &RunState) -> Vec<u8> {
    // Integers and JSON values with string keys: nothing in here can fail to serialise.
    let mut bytes = serde_json::to_vec_pretty(state).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
