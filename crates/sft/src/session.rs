//! What every supervised run does around its own arithmetic: start or resume, update, record, checkpoint,
//! stop.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candor_train::{
    AdamW, AdamWConfig, CheckpointWriter, ParamGroup, Progress, Reader, RunFolder, RunOptions,
    Schedule, Shape, StopSignal, TrainError, Warmup, finite::check_finite,
};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::SftError;

/// The recipe's `[optimizer]` and `[run]` tables.
#[derive(Debug, Clone)]
pub struct SessionRecipe {
    /// Everything random follows from it.
    pub seed: u64,
    /// The run folder.
    pub out: PathBuf,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Betas, epsilon, decay.
    pub adamw: AdamWConfig,
    /// Gradients are scaled down to this global norm.
    pub max_grad_norm: f64,
    /// What the rate does after the warm-up.
    pub shape: Shape,
    /// Share of the updates that the warm-up takes.
    pub warmup_ratio: f64,
    /// Updates between checkpoints.
    pub checkpoint_every: u64,
    /// Checkpoints kept.
    pub n_keep_checkpoints: usize,
}

impl SessionRecipe {
    /// Asks the recipe for its keys.
    pub fn read(recipe: &mut Reader) -> Self {
        Self {
            seed: recipe.u64("seed").required(),
            out: recipe.path("run.out").required(),
            learning_rate: recipe.f64("optimizer.learning_rate").positive().required(),
            adamw: AdamWConfig {
                beta1: recipe.f64("optimizer.beta1").within(0.0..1.0).required(),
                beta2: recipe.f64("optimizer.beta2").within(0.0..1.0).required(),
                eps: recipe.f64("optimizer.eps").positive().required(),
                weight_decay: recipe
                    .f64("optimizer.weight_decay")
                    .within(0.0..)
                    .required(),
            },
            max_grad_norm: recipe.f64("optimizer.max_grad_norm").positive().required(),
            shape: recipe
                .one_of(
                    "optimizer.schedule",
                    &[
                        ("constant", Shape::Constant),
                        ("linear", Shape::Linear),
                        ("cosine", Shape::Cosine),
                    ],
                )
                .required(),
            warmup_ratio: recipe
                .f64("optimizer.warmup_ratio")
                .within(0.0..=1.0)
                .required(),
            checkpoint_every: recipe.u64("run.checkpoint_every").positive().required(),
            n_keep_checkpoints: recipe.usize("run.keep_checkpoints").positive().required(),
        }
    }
}

/// How a run is started; what the command line decides, not the recipe.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Continue the run that is in the folder.
    pub resume: bool,
    /// The command that continues this run, for messages.
    pub resume_command: String,
    /// Asks the loop to stop.
    pub stop: StopSignal,
}

/// Fingerprints of what a run reads besides its recipe. A run continued with other inputs would end in other
/// weights without a word, so they are compared on resume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Of the training data.
    pub data: String,
    /// Of the model that the run started from.
    pub base: String,
}

impl Inputs {
    /// Whether a checkpoint was made with these inputs.
    fn check(&self, stored: &serde_json::Value, run: &Path) -> Result<(), SftError> {
        let then: Option<Self> = serde_json::from_value(stored.clone()).ok();
        if then.as_ref() == Some(self) {
            return Ok(());
        }
        let data_changed = then.is_some_and(|then| then.base == self.base);
        Err(SftError::Unfit {
            path: run.to_owned(),
            problem: format!(
                "the {} is not the one this run began with",
                if data_changed {
                    "training data"
                } else {
                    "base model"
                }
            ),
            remedy: "put the earlier files back to resume, or start a new run in another folder",
        })
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All updates are done and the result is written.
    Finished,
    /// A signal stopped it after a checkpoint.
    Stopped,
}

/// Wall-clock figures of one update; they are no function of the recipe and so stand apart from metrics.
#[derive(Debug, Serialize)]
struct Timing {
    step: u64,
    secs: f64,
    /// Data, forward and backward.
    pass_secs: f64,
    /// Clipping and the optimizer.
    update_secs: f64,
    tokens_per_sec: f64,
}

/// A run in progress.
#[derive(Debug)]
pub struct Session {
    folder: RunFolder,
    optimizer: AdamW,
    schedule: Schedule,
    recipe: SessionRecipe,
    inputs: Inputs,
    launch: Launch,
    progress: Progress,
    n_steps: u64,
    step: u64,
    step_started: Instant,
    pass_secs: f64,
    update_secs: f64,
}

/// What one update did.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// The update's number, from 1.
    pub step: u64,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Gradient norm before clipping.
    pub grad_norm: f64,
}

impl Session {
    /// Starts or resumes a run of `n_steps` updates of `parameters`, whose tensors are overwritten in place
    /// by those of the checkpoint when there is one.
    ///
    /// # Errors
    /// The folder holds another run, cannot be written, or its checkpoints are damaged.
    pub fn open(
        recipe: &SessionRecipe,
        resolved: &str,
        launch: &Launch,
        parameters: Vec<(String, Tensor)>,
        n_steps: u64,
        inputs: Inputs,
    ) -> Result<Self, SftError> {
        let options = RunOptions {
            dir: &recipe.out,
            resolved,
            n_keep_checkpoints: recipe.n_keep_checkpoints,
            resume_command: &launch.resume_command,
            may_change: &["run.checkpoint_every", "run.keep_checkpoints", "run.out"],
        };
        // The run is known to its user by its folder.
        let name = &*recipe.out.file_name().unwrap_or_default().to_string_lossy();
        // Biases and norms do not decay, as in transformers' Trainer.
        let mut optimizer = AdamW::new(
            recipe.adamw,
            ParamGroup::without_decay_on_vectors(parameters, 1.0),
        )?;
        let (folder, step) = if launch.resume {
            let resumed = RunFolder::resume(&options)?;
            for damage in &resumed.damaged {
                eprintln!("{name}: a damaged checkpoint was set aside: {damage}");
            }
            let step = match &resumed.checkpoint {
                None => 0,
                Some(checkpoint) => {
                    inputs.check(&checkpoint.state.stage, &recipe.out)?;
                    restore(&mut optimizer, checkpoint.tensors("weights.safetensors")?)?;
                    optimizer.load_state(checkpoint.tensors("optimizer.safetensors")?)?;
                    checkpoint.state.step
                }
            };
            (resumed.folder, step)
        } else {
            (RunFolder::start(&options)?, 0)
        };
        Ok(Self {
            folder,
            optimizer,
            schedule: Schedule::new(recipe.shape, Warmup::Ratio(recipe.warmup_ratio), n_steps),
            recipe: recipe.clone(),
            inputs,
            launch: launch.clone(),
            progress: Progress::new(name, n_steps, step),
            n_steps,
            step,
            step_started: Instant::now(),
            pass_secs: 0.0,
            update_secs: 0.0,
        })
    }

    /// Updates still to do.
    #[must_use]
    pub fn steps_left(&self) -> std::ops::Range<u64> {
        self.step..self.n_steps
    }

    /// Says what is going on between updates.
    pub fn doing(&mut self, what: &str) {
        self.progress.doing(what);
    }

    /// Begins an update.
    pub fn begin_step(&mut self) {
        self.step_started = Instant::now();
        self.optimizer.zero_grad();
    }

    /// Clips and applies the gradients.
    ///
    /// # Errors
    /// The loss or the gradient is not finite; nothing has been changed then.
    pub fn update(
        &mut self,
        loss: f64,
        sample_ids: impl Fn() -> Vec<String>,
    ) -> Result<Update, SftError> {
        let step = self.step + 1;
        self.pass_secs = self.step_started.elapsed().as_secs_f64();
        check_finite("loss", loss, step, &sample_ids)?;
        let grad_norm = self.optimizer.clip_grad_norm(self.recipe.max_grad_norm);
        check_finite("gradient norm", grad_norm, step, &sample_ids)?;
        let learning_rate = self.recipe.learning_rate * self.schedule.factor(self.step);
        self.optimizer.step(learning_rate);
        self.step = step;
        self.update_secs = self.step_started.elapsed().as_secs_f64() - self.pass_secs;
        Ok(Update {
            step,
            learning_rate,
            grad_norm,
        })
    }

    /// Records an update; writes a checkpoint when one is due. Returns whether the run should go on.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn end_step<M: Serialize>(
        &mut self,
        metrics: &M,
        shown: &[(&str, f64)],
        n_tokens: usize,
    ) -> Result<bool, SftError> {
        self.folder.log(self.step, metrics)?;
        let secs = self.step_started.elapsed().as_secs_f64();
        let timing = Timing {
            step: self.step,
            secs,
            pass_secs: self.pass_secs,
            update_secs: self.update_secs,
            tokens_per_sec: n_tokens as f64 / secs,
        };
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

    fn checkpoint(&mut self) -> Result<(), SftError> {
        let optimizer = &self.optimizer;
        let write = |writer: &CheckpointWriter| -> Result<(), TrainError> {
            writer.tensors("weights.safetensors", &optimizer.parameters())?;
            writer.tensors("optimizer.safetensors", &optimizer.state())
        };
        // The data order is a function of the step, so the step is all there is to remember of it.
        let inputs = serde_json::to_value(&self.inputs).unwrap_or_default();
        self.folder
            .save_checkpoint(self.step, self.step.into(), inputs, write)?;
        Ok(())
    }

    /// Writes the run's `result.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_result(&self, result: &impl Serialize) -> Result<(), SftError> {
        let mut json = serde_json::to_vec_pretty(result).map_err(|e| SftError::Unfit {
            path: self.path().join("result.json"),
            problem: e.to_string(),
            remedy: "a figure is not a number; this is a bug, please report it",
        })?;
        json.push(b'\n');
        Ok(candor_data::atomic::write(
            &self.path().join("result.json"),
            &json,
        )?)
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

/// Puts checkpointed weights back into the tensors that the model uses.
fn restore(optimizer: &mut AdamW, stored: Vec<(String, Tensor)>) -> Result<(), SftError> {
    let mut stored: std::collections::BTreeMap<String, Tensor> = stored.into_iter().collect();
    for (name, mut tensor) in optimizer.parameters() {
        let saved = stored
            .remove(&name)
            .filter(|saved| saved.size() == tensor.size());
        let Some(saved) = saved else {
            return Err(SftError::Unfit {
                path: "weights.safetensors".into(),
                problem: format!("the checkpoint lacks `{name}` in this shape"),
                remedy: "resume with the recipe and the base model that the run began with",
            });
        };
        tch::no_grad(|| tensor.copy_(&saved));
    }
    Ok(())
}
