//! Taking a run folder before anything is read or written: whether it may be used, and by this process alone.
//!
//! A stage claims its folder first, so that nobody waits for a model to be told that the folder is taken; and it opens
//! the folder last, so that a start that fails on the way leaves nothing behind that would block the next one.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use candor_data::{Locked, atomic};
use candor_recipe::changed_keys;

use super::resumes;
use super::{Resumed, RunFolder, RunOptions};
use crate::checkpoint::{CheckpointStore, Newest};
use crate::durable;
use crate::error::RunError;
use crate::lock::lock;
use crate::tensorboard::is_event_file;

/// A run folder that this process holds.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    stage: String,
    /// The recipe of this start.
    resolved: String,
    /// The recipe of the first start.
    began_with: String,
    n_keep_checkpoints: usize,
    may_change: Vec<String>,
    resumes: bool,
    // Dropping it releases the lock.
    _lock: Locked,
}

impl Claim {
    /// Claims a folder for a fresh run. One in which no step was finished is started anew: there is nothing to lose.
    ///
    /// # Errors
    /// The folder holds a run with a finished step, is in use, or cannot be written.
    pub fn start(options: &RunOptions) -> Result<Self, RunError> {
        durable::create_dir(options.dir)?;
        let claim = Self::of(options, options.resolved.to_owned(), false)?;
        let traces = ["resolved.toml", "metrics.jsonl", "checkpoints"];
        if traces.iter().any(|name| claim.dir.join(name).exists()) {
            if has_finished_step(&claim.dir)? {
                return Err(RunError::RunExists {
                    dir: claim.dir,
                    resume_command: options.resume_command.to_owned(),
                });
            }
            tracing::info!(
                "{}: no step was finished here before, so the run is started anew",
                claim.dir.display()
            );
        }
        Ok(claim)
    }

    /// Claims a folder to continue the run in it.
    ///
    /// # Errors
    /// There is no run, it is in use, or its recipe was another one.
    pub fn resume(options: &RunOptions) -> Result<Self, RunError> {
        let path = options.dir.join("resolved.toml");
        if !path.exists() {
            return Err(RunError::NoRun {
                dir: options.dir.to_path_buf(),
            });
        }
        let then = fs::read_to_string(&path).map_err(RunError::io("read", &path))?;
        let claim = Self::of(options, then, true)?;
        let changes = changed_keys(&claim.began_with, options.resolved, options.may_change);
        if changes.is_empty() {
            return Ok(claim);
        }
        Err(RunError::RecipeChanged { path, changes })
    }

    fn of(options: &RunOptions, began_with: String, resumes: bool) -> Result<Self, RunError> {
        let lock = lock(options.dir)?;
        sweep(options.dir);
        Ok(Self {
            dir: options.dir.to_owned(),
            stage: options.stage.to_owned(),
            resolved: options.resolved.to_owned(),
            began_with,
            n_keep_checkpoints: options.n_keep_checkpoints,
            may_change: options.may_change.iter().map(ToString::to_string).collect(),
            resumes,
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The group of its metrics in TensorBoard.
    pub(super) fn stage(&self) -> &str {
        &self.stage
    }

    /// The recipe of this start.
    #[must_use]
    pub fn resolved(&self) -> &str {
        &self.resolved
    }

    /// The recipe that the run was first started with.
    #[must_use]
    pub fn began_with(&self) -> &str {
        &self.began_with
    }

    /// Whether the run goes on from a checkpoint, damaged or not.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn has_checkpoint(&self) -> Result<bool, RunError> {
        let names = names_in(&self.dir.join("checkpoints"))?;
        Ok(self.resumes && names.iter().any(|name| is_checkpoint(name)))
    }

    /// Opens the folder: a fresh one is cleared of a start that came to nothing, one to continue is cut back to its
    /// newest usable checkpoint.
    ///
    /// # Errors
    /// All checkpoints are damaged, the metrics do not reach as far as the checkpoint, or a file cannot be written.
    pub fn open(self) -> Result<Resumed, RunError> {
        self.open_after(0)
    }

    /// The same of a run whose steps have neither checkpoints nor parts, of which so many are done.
    ///
    /// # Errors
    /// As [`Claim::open`].
    pub fn open_after(self, n_done: u64) -> Result<Resumed, RunError> {
        if !self.resumes {
            self.clear()?;
            atomic::write(&self.dir.join("resolved.toml"), self.resolved.as_bytes())?;
        }
        let checkpoints = self.dir.join("checkpoints");
        let checkpoints = CheckpointStore::open(&checkpoints, self.n_keep_checkpoints)?;
        let Newest {
            checkpoint,
            damaged,
        } = checkpoints.newest()?;
        let (step, n_bytes) = checkpoint
            .as_ref()
            .map_or((0, 0), |c| (c.state.step, c.state.metrics_bytes));
        checkpoints.set_aside_after(step)?;
        if self.resumes {
            let recipes = [&*self.began_with, &*self.resolved];
            let parts = names_in(&self.dir.join("parts"))?;
            let n_parts = parts.iter().filter(|name| is_part(name)).count();
            let done = step.max(n_parts as u64).max(n_done);
            resumes::note(&self.dir, done, recipes, &self.may_change)?;
        }
        let resumed_at = self.resumes.then_some(step + 1);
        Ok(Resumed {
            folder: RunFolder::open(self, checkpoints, n_bytes, resumed_at)?,
            checkpoint,
            damaged,
        })
    }

    /// Removes what a start that finished no step has left and what a new one does not overwrite. Its measurements go as well: their
    /// answers are known by the weights that were trained alone, and may be those of another base, precision or template.
    fn clear(&self) -> Result<(), RunError> {
        // In a folder that was none of a run, what has these names is somebody else's; and so is what else lies beside them.
        let was_run = self.dir.join("resolved.toml").exists();
        if was_run {
            let suite = self.dir.join("suite");
            for name in names_in(&suite)?.iter().filter(|name| is_measured(name)) {
                durable::remove_dir(&suite.join(name))?;
            }
            for best in ["best/adapter", "best/model"] {
                durable::remove_dir(&self.dir.join(best))?;
            }
        }
        for path in durable::entries(&self.dir)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let left = ["timings.jsonl", "init_from.json", resumes::FILE].contains(&&*name);
            let left = left || was_run && name == "best.json";
            // Other programs' event files may lie here too, as where they have one folder for TensorBoard.
            if left || is_event_file(&name) {
                fs::remove_file(&path).map_err(RunError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// Whether anything is in the folder that took a step: a line of metrics, a checkpoint, a finished part or a result.
fn has_finished_step(dir: &Path) -> Result<bool, RunError> {
    let results = ["model", "adapter", "result.json", "candidates.jsonl"];
    if results.iter().any(|name| dir.join(name).exists()) {
        return Ok(true);
    }
    let checkpoints = names_in(&dir.join("checkpoints"))?;
    let parts = names_in(&dir.join("parts"))?;
    if checkpoints.iter().any(|name| is_checkpoint(name)) || parts.iter().any(|name| is_part(name))
    {
        return Ok(true);
    }
    let path = dir.join("metrics.jsonl");
    let mut line = Vec::new();
    if path.exists() {
        File::open(&path)
            .and_then(|file| BufReader::new(file).read_until(b'\n', &mut line))
            .map_err(RunError::io("read", &path))?;
    }
    Ok(line.ends_with(b"\n"))
}

/// What is in a folder, if it is there.
fn names_in(folder: &Path) -> Result<Vec<String>, RunError> {
    let paths = if folder.exists() {
        durable::entries(folder)?
    } else {
        Vec::new()
    };
    let name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
    Ok(paths.iter().filter_map(name).collect())
}

/// A step's measurements by a suite.
fn is_measured(name: &str) -> bool {
    let step = name.strip_prefix("step-");
    step.is_some_and(|step| step.parse::<u64>().is_ok())
}

/// A finished part of a result, not one that was being written.
fn is_part(name: &str) -> bool {
    !name.starts_with('.')
}

/// A checkpoint that was set aside, or was about to be replaced when the process was killed, is one as well.
fn is_checkpoint(name: &str) -> bool {
    name.starts_with("step-") || name.ends_with(".replaced")
}

/// Removes what killed processes left half written in the folder and in those that stages make in it.
fn sweep(dir: &Path) {
    atomic::sweep(dir);
    for entry in dir.read_dir().into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            atomic::sweep(&entry.path());
        }
    }
}
