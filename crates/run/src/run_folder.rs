//! The folder of one run, and how a run starts or resumes in it.
//!
//! ```text
//! resolved.toml      the recipe as it was begun       metrics.jsonl   canonical: no clock in it
//! resumed.jsonl      what resumes changed of it       events.out.*    the same for TensorBoard
//! timings.jsonl      seconds, tokens/s                checkpoints/    see `checkpoint`
//! samples/           what the stage wants seen        init_from.json  where its weights began
//! .lock              held while a process works here; the system releases it when the process dies
//! ```
//!
//! Convention: the step of a metrics line is the number of updates done, so the first line is step 1 and a
//! run resumed from `checkpoints/step-N` continues with line N + 1.

mod claim;
mod resumes;

use std::path::{Path, PathBuf};

use candor_data::atomic;
use serde::Serialize;
use serde_json::Value;

pub use self::claim::Claim;
use crate::checkpoint::{Checkpoint, CheckpointStore, CheckpointWriter, RunState};
use crate::error::{Damage, RunError};
use crate::json_lines::JsonLines;
use crate::tensorboard::EventWriter;

/// How to open a run folder.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions<'a> {
    /// The run folder.
    pub dir: &'a Path,
    /// The stage, such as `sft`: TensorBoard groups its metrics under this name.
    pub stage: &'a str,
    /// The text of `resolved.toml`, from [`candor_recipe::Resolved::to_text`].
    pub resolved: &'a str,
    /// Checkpoints kept, at least 1.
    pub n_keep_checkpoints: usize,
    /// The command that would resume this run, for messages.
    pub resume_command: &'a str,
    /// Dotted keys whose values may differ on resume because they change results by nothing, or by rounding alone, such
    /// as the rows of a pass, or because they decide about steps that are not done; `[*]` is any place of a list. What changed is
    /// noted in `resumed.jsonl`.
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
    // Dropped last; it holds the lock.
    claim: Claim,
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
    /// As [`Claim::start`] and [`Claim::open`].
    pub fn start(options: &RunOptions) -> Result<Self, RunError> {
        Ok(Claim::start(options)?.open()?.folder)
    }

    /// Opens a run to continue it from its newest usable checkpoint.
    ///
    /// # Errors
    /// As [`Claim::resume`] and [`Claim::open`].
    pub fn resume(options: &RunOptions) -> Result<Resumed, RunError> {
        Claim::resume(options)?.open()
    }

    fn open(
        claim: Claim,
        checkpoints: CheckpointStore,
        n_metrics_bytes: u64,
        resumed_at: Option<u64>,
    ) -> Result<Self, RunError> {
        let dir = claim.path().to_owned();
        Ok(Self {
            metrics: JsonLines::open_at(&dir.join("metrics.jsonl"), n_metrics_bytes)?,
            timings: JsonLines::open_to_append(&dir.join("timings.jsonl"))?,
            events: EventWriter::create(&dir, resumed_at)?,
            checkpoints,
            dir,
            claim,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Records the metrics of the state after `step` updates: one line, and TensorBoard scalars of its
    /// numbers under the stage and their field names, such as `rl/kl_mean`.
    ///
    /// `metrics` must be a function of recipe and data alone; what a clock says goes to
    /// [`RunFolder::log_timing`].
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn log<M: Serialize>(&mut self, step: u64, metrics: &M) -> Result<(), RunError> {
        self.metrics.push(metrics)?;
        let group = format!("{}/", self.claim.stage());
        self.events.scalars(step, &scalars_of(&group, metrics))
    }

    /// Records timings of a step; TensorBoard shows them under `timing/`.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn log_timing<T: Serialize>(&mut self, step: u64, timings: &T) -> Result<(), RunError> {
        self.timings.push(timings)?;
        self.events.scalars(step, &scalars_of("timing/", timings))
    }

    /// Writes the checkpoint after `step` updates; `write` adds the model's and the optimizer's files.
    ///
    /// # Errors
    /// Whatever `write` fails with, or a file-system error; earlier checkpoints stay.
    pub fn save_checkpoint<E: From<RunError>>(
        &mut self,
        step: u64,
        data_position: Value,
        stage_state: Value,
        write: impl FnOnce(&CheckpointWriter) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
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

/// Writes `result.json` into the folder of a run.
///
/// # Errors
/// The file cannot be written.
pub fn write_result(folder: &Path, result: &impl Serialize) -> Result<(), RunError> {
    let path = folder.join("result.json");
    let mut json = serde_json::to_vec_pretty(result).map_err(|error| RunError::LinesFile {
        path: path.clone(),
        problem: format!("the result cannot be written as JSON: {error}"),
        remedy: "use string keys only",
    })?;
    json.push(b'\n');
    Ok(atomic::write(&path, &json)?)
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
