//! What every training stage does around its own arithmetic: start or resume, update, record, checkpoint, stop.
//!
//! A stage reads:
//!
//! ```text
//! let mut opening = Session::prepare(..)?;    // first of all: the folder may be taken
//! ..                                          // model and data
//! let mut session = opening.open(..)?;
//! for done in session.steps_left() {
//!     session.begin_step();
//!     session.phase("pass");       // forward and backward
//!     session.phase("update");
//!     session.apply(..)?;          // once, or after each mini-batch as PPO does
//!     if !session.end_step(..)? { return Ok(Outcome::Stopped) }
//! }
//! ```
//!
//! The step is what is counted, recorded and checkpointed, and the schedule follows it: all optimizer updates
//! of one step have one learning rate. Nothing of the data order is stored: stages address it by the step.

mod earlier;
mod opening;
mod recipe;
mod restore;
mod stopwatch;

use std::path::Path;

use candor_run::{CheckpointWriter, Inputs, LaunchOptions, Progress, RunFolder, write_result};
use serde::Serialize;
use tch::Tensor;

pub use self::opening::Opening;
pub use self::recipe::SessionRecipe;
use self::restore::{KEPT, OPTIMIZER, WEIGHTS};
use self::stopwatch::Stopwatch;
pub use self::stopwatch::current_phase;
use crate::checkpoint::write_tensors;
use crate::error::TrainError;
use crate::finite::check_finite;
use crate::optimizer::AdamW;
use crate::schedule::Schedule;

/// The tensors of a run by name. All are shared with the model: a resume overwrites them in place.
#[derive(Debug)]
pub struct TrainState {
    /// What the optimizer trains.
    pub trained: Vec<(String, Tensor)>,
    /// What it does not train, but what the run cannot be continued without, such as the best weights so far.
    /// The stage changes them in place.
    pub kept: Vec<(String, Tensor)>,
}

/// What one optimizer update did.
#[derive(Debug, Clone, Copy)]
pub struct StepStats {
    /// Learning rate used, the same for all updates of a step.
    pub learning_rate: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
}

/// A run in progress.
#[derive(Debug)]
pub struct Session {
    folder: RunFolder,
    optimizer: AdamW,
    kept: Vec<(String, Tensor)>,
    schedule: Schedule,
    recipe: SessionRecipe,
    inputs: Inputs,
    launch: LaunchOptions,
    progress: Progress,
    n_steps: u64,
    step: u64,
    stopwatch: Stopwatch,
}

impl Session {
    /// Steps still to do, each by the number of steps done before it.
    #[must_use]
    pub fn steps_left(&self) -> std::ops::Range<u64> {
        self.step..self.n_steps
    }

    /// Says what is going on between steps.
    pub fn doing(&mut self, what: &str) {
        self.progress.doing(what);
    }

    /// As [`Progress::counter`].
    pub fn counter(&mut self, what: &str) -> impl FnMut(usize, usize) + '_ {
        self.progress.counter(what)
    }

    /// Begins a step, with all gradients zero.
    pub fn begin_step(&mut self) {
        self.stopwatch = Stopwatch::start();
        self.zero_grad();
    }

    /// Ends the current phase and begins this one. `timings.jsonl` gets the seconds of each phase, those of
    /// one name added up, and its largest resident memory; what comes before the first phase counts for the step alone. Work that a GPU does
    /// later counts for the phase in which the host waits for it.
    pub fn phase(&mut self, name: &'static str) {
        self.stopwatch.phase(name);
    }

    /// Sets all gradients to zero, for the next update of the same step.
    pub fn zero_grad(&mut self) {
        self.optimizer.zero_grad();
    }

    /// Clips the gradients and updates the weights with them. A step may have several updates, each from
    /// gradients of its own ([`Session::zero_grad`]).
    ///
    /// # Errors
    /// The loss or the gradient is not finite; no weight has been changed then.
    pub fn apply(
        &mut self,
        loss: f64,
        ids: impl Fn() -> Vec<String>,
    ) -> Result<StepStats, TrainError> {
        let step = self.step + 1;
        check_finite("loss", loss, step, &ids)?;
        let grad_norm = self.optimizer.clip_grad_norm(self.recipe.max_grad_norm);
        check_finite("gradient norm", grad_norm, step, &ids)?;
        let learning_rate = self.recipe.learning_rate * self.schedule.factor(self.step);
        self.optimizer.step(learning_rate);
        Ok(StepStats {
            learning_rate,
            grad_norm,
        })
    }

    /// Ends the step and records it; writes a checkpoint when one is due. Returns whether the run should go
    /// on.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn end_step<M: Serialize>(
        &mut self,
        metrics: &M,
        shown: &[(&str, f64)],
        n_tokens: usize,
    ) -> Result<bool, TrainError> {
        self.step += 1;
        let timing = self.stopwatch.stop(self.step, n_tokens);
        self.folder.log(self.step, metrics)?;
        self.folder.log_timing(self.step, &timing)?;
        self.progress.step(self.step, shown);
        let stop = self.launch.stop.requested() && self.step < self.n_steps;
        if stop || self.step.is_multiple_of(self.recipe.checkpoint_every) {
            self.checkpoint()?;
        }
        if stop {
            let command = &self.launch.resume_command;
            self.progress.note(&format!(
                "stopped after step {}; continue with: {command}",
                self.step
            ));
        }
        Ok(!stop)
    }

    /// Writes a checkpoint of the steps that are done, unless it is there: for a run that has to end because something
    /// outside of it failed, and that nothing should have to be done again for.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn keep(&mut self) -> Result<(), TrainError> {
        if self.step == 0 || self.step.is_multiple_of(self.recipe.checkpoint_every) {
            return Ok(());
        }
        self.checkpoint()
    }

    fn checkpoint(&mut self) -> Result<(), TrainError> {
        let (optimizer, kept) = (&self.optimizer, &self.kept);
        let write = |writer: &CheckpointWriter| -> Result<(), TrainError> {
            write_tensors(writer, WEIGHTS, &optimizer.parameters())?;
            write_tensors(writer, OPTIMIZER, &optimizer.state())?;
            if kept.is_empty() {
                return Ok(());
            }
            write_tensors(writer, KEPT, kept)
        };
        // The data order is a function of the step, so the step is all there is to remember of it.
        let inputs = self.inputs.to_value();
        self.folder
            .save_checkpoint(self.step, self.step.into(), inputs, write)?;
        Ok(())
    }

    /// Writes the run's `result.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_result(&self, result: &impl Serialize) -> Result<(), TrainError> {
        Ok(write_result(self.path(), result)?)
    }

    /// Where results go.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the run with a last line.
    pub fn finish(self, outcome: &str) {
        self.progress.finish(outcome);
    }
}
