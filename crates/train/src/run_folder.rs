//! The folder of one run, and how a run starts or resumes in it.
//!
//! ```text
//! resolved.toml      the recipe as it was run         metrics.jsonl   canonical: no clock in it
//! timings.jsonl      seconds, tokens/s                events.out.*    the same for TensorBoard
//! samples/           what the stage wants seen        checkpoints/    see `checkpoint`
//! .lock              held while a process works here; the system releases it when the process dies
//! ```
//!
//! Convention: the step of a metrics line is the number of updates done, so the first line is step 1 and a
//! run resumed from `checkpoints/step-N` continues with line N + 1.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use candor_data::atomic;
use serde::Serialize;
use serde_json::Value;

use crate::checkpoint::{Checkpoint, CheckpointStore, CheckpointWriter, Newest, RunState};
use crate::durable;
use crate::error::{Damage, TrainError};
use crate::json_lines::JsonLines;
use crate::recipe::changed_keys;
use crate::tensorboard::EventWriter;

/// How to open a run folder.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions<'a> {
    /// The run folder.
    pub dir: &'a Path,
    /// The text of `resolved.toml`, from [`crate::recipe::Resolved::to_text`].
    pub resolved: &'a str,
    /// Checkpoints kept, at least 1.
    pub n_keep_checkpoints: usize,
    /// The command that would resume this run, for messages.
    pub resume_command: &'a str,
    /// Dotted keys whose values may differ on resume because they do not change results, such as the number
    /// of loader threads.
    pub may_change: &'a [&'a str],
}

/// An open, locked run folder.
#[derive(Debug)]
pub struct RunFolder {
    dir: PathBuf,
    metrics: JsonLines,
    timings: JsonLines,
    events: EventWriter,
    checkpoints: CheckpointStore,
    // Dropped last; closing it releases the lock.
    _lock: File,
}

/// A run folder opened to continue.
#[derive(Debug)]
pub struct Resumed {
    /// The folder, its metrics cut to the checkpoint.
    pub folder: RunFolder,
    /// Where to continue; `None` if the run was ended before its first checkpoint and starts over.
    pub checkpoint: Option<Checkpoint>,
    /// Newer checkpoints that were damaged; they were renamed to `step-N.damaged`.
    pub damaged: Vec<Damage>,
}

impl RunFolder {
    /// Starts a fresh run.
    ///
    /// # Errors
    /// The folder already holds a run, is in use, or cannot be written.
    pub fn start(options: &RunOptions) -> Result<Self, TrainError> {
        durable::create_dir(options.dir)?;
        let lock = lock(options.dir)?;
        let traces = ["resolved.toml", "metrics.jsonl", "checkpoints"];
        if traces.iter().any(|name| options.dir.join(name).exists()) {
            return Err(TrainError::RunExists {
                dir: options.dir.to_path_buf(),
                resume_command: options.resume_command.to_owned(),
            });
        }
        atomic::write(
            &options.dir.join("resolved.toml"),
            options.resolved.as_bytes(),
        )?;
        let checkpoints = open_checkpoints(options)?;
        Self::open(options, lock, checkpoints, 0, None)
    }

    /// Opens a run to continue it from its newest usable checkpoint.
    ///
    /// # Errors
    /// There is no run, it is in use, its recipe was another one, all its checkpoints are damaged, or its
    /// metrics do not reach as far as its checkpoint.
    pub fn resume(options: &RunOptions) -> Result<Resumed, TrainError> {
        let resolved = options.dir.join("resolved.toml");
        if !resolved.exists() {
            return Err(TrainError::NoRun {
                dir: options.dir.to_path_buf(),
            });
        }
        let lock = lock(options.dir)?;
        check_recipe(&resolved, options)?;
        let checkpoints = open_checkpoints(options)?;
        let Newest {
            checkpoint,
            damaged,
        } = checkpoints.newest()?;
        let (step, n_bytes) = checkpoint
            .as_ref()
            .map_or((0, 0), |c| (c.state.step, c.state.metrics_bytes));
        checkpoints.set_aside_after(step)?;
        let folder = Self::open(options, lock, checkpoints, n_bytes, Some(step + 1))?;
        Ok(Resumed {
            folder,
            checkpoint,
            damaged,
        })
    }

    fn open(
        options: &RunOptions,
        lock: File,
        checkpoints: CheckpointStore,
        n_metrics_bytes: u64,
        resumed_at: Option<u64>,
    ) -> Result<Self, TrainError> {
        let dir = options.dir;
        durable::create_dir(&dir.join("samples"))?;
        Ok(Self {
            metrics: JsonLines::open_at(&dir.join("metrics.jsonl"), n_metrics_bytes)?,
            timings: JsonLines::open_to_append(&dir.join("timings.jsonl"))?,
            events: EventWriter::create(dir, resumed_at)?,
            checkpoints,
            dir: dir.to_path_buf(),
            _lock: lock,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Records the metrics of the state after `step` updates: one line, and TensorBoard scalars of its
    /// numbers under their field names.
    ///
    /// `metrics` must be a function of recipe and data alone; what a clock says goes to
    /// [`RunFolder::log_timing`].
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn log<M: Serialize>(&mut self, step: u64, metrics: &M) -> Result<(), TrainError> {
        self.metrics.push(metrics)?;
        self.events.scalars(step, &scalars_of("", metrics))
    }

    /// Records timings of a step; TensorBoard shows them under `timing/`.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn log_timing<T: Serialize>(&mut self, step: u64, timings: &T) -> Result<(), TrainError> {
        self.timings.push(timings)?;
        self.events.scalars(step, &scalars_of("timing/", timings))
    }

    /// Writes `samples/NAME`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_sample(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        Ok(atomic::write(&self.dir.join("samples").join(name), bytes)?)
    }

    /// Writes the checkpoint after `step` updates; `write` adds the model's and the optimizer's files.
    ///
    /// # Errors
    /// Whatever `write` fails with, or a file-system error; earlier checkpoints stay.
    pub fn save_checkpoint(
        &mut self,
        step: u64,
        data_position: Value,
        stage_state: Value,
        write: impl FnOnce(&CheckpointWriter) -> Result<(), TrainError>,
    ) -> Result<PathBuf, TrainError> {
        // Synced first: a checkpoint must never be more durable than the lines it counts on.
        let metrics_bytes = self.metrics.sync()?;
        let state = RunState {
            step,
            data_position,
            metrics_bytes,
            stage: stage_state,
        };
        self.checkpoints.save(&state, write)
    }
}

fn open_checkpoints(options: &RunOptions) -> Result<CheckpointStore, TrainError> {
    CheckpointStore::open(&options.dir.join("checkpoints"), options.n_keep_checkpoints)
}

fn check_recipe(path: &Path, options: &RunOptions) -> Result<(), TrainError> {
    let then = fs::read_to_string(path).map_err(TrainError::io("read", path))?;
    let changes = changed_keys(&then, options.resolved, options.may_change);
    if changes.is_empty() {
        return Ok(());
    }
    Err(TrainError::RecipeChanged {
        path: path.to_path_buf(),
        changes,
    })
}

fn lock(dir: &Path) -> Result<File, TrainError> {
    let path = dir.join(".lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(TrainError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            // The name of the holder is a courtesy; without it the message still says what to do.
            let _ = file.take(20).read_to_string(&mut process);
            return Err(TrainError::RunLocked {
                dir: dir.to_path_buf(),
                holder: if process.is_empty() {
                    "another process".to_owned()
                } else {
                    format!("process {process}")
                },
            });
        }
        Err(TryLockError::Error(error)) => return Err(TrainError::io("lock", &path)(error)),
    }
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(std::process::id().to_string().as_bytes()))
        .map_err(TrainError::io("write", &path))?;
    Ok(file)
}

/// The numbers in `record` by their path of field names, the step itself left out.
fn scalars_of<T: Serialize>(prefix: &str, record: &T) -> Vec<(String, f64)> {
    let mut scalars = Vec::new();
    if let Ok(value) = serde_json::to_value(record) {
        collect_scalars(prefix, &value, &mut scalars);
    }
    scalars
}

fn collect_scalars(prefix: &str, value: &Value, scalars: &mut Vec<(String, f64)>) {
    let Value::Object(fields) = value else {
        return;
    };
    for (name, value) in fields {
        let tag = format!("{prefix}{name}");
        match value {
            Value::Number(number) if name != "step" => {
                scalars.extend(number.as_f64().map(|number| (tag, number)));
            }
            Value::Object(_) => collect_scalars(&format!("{tag}/"), value, scalars),
            _ => {}
        }
    }
}
