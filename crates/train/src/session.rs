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
//!     session.phase("pass");
//!     session.passes(..)?;         // forward and backward
//!     session.phase("update");
//!     session.apply(..)?;          // once, or after each mini-batch as PPO does
//!     if !session.end_step(..)? { return Ok(Outcome::Stopped) }
//! }
//! ```
//!
//! The step is what is counted, recorded and checkpointed, and the schedule follows it: all optimizer updates
//! of one step have one learning rate. Nothing of the data order is stored: stages address it by the step.
//!
//! Several ranks may share a run. They have equal weights and equal optimizers; what they share out are the passes of an
//! update. The first owns the folder and writes.

mod blocks;
mod earlier;
mod opening;
mod recipe;
mod restore;
mod stopwatch;

use std::path::Path;
use std::time::Duration;

use candor_run::{
    CheckpointWriter, Inputs, LaunchOptions, Progress, Ranks, RunFolder, write_result,
};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

pub use self::opening::{MAY_CHANGE, Opening};
pub use self::recipe::{SessionRecipe, Shard};
use self::restore::{KEPT, OPTIMIZER, WEIGHTS};
pub use self::stopwatch::current_phase;
use self::stopwatch::{RankTiming, Stopwatch};
use crate::checkpoint::{write_saved, write_tensors};
use crate::error::TrainError;
use crate::fingerprint;
use crate::finite::check_finite;
use crate::lanes::{self, Total};
use crate::optimizer::AdamW;
use crate::parameter::{Parameter, Saved};
use crate::schedule::Schedule;
use crate::shards::{REST, Shards};
use crate::wire::Wire;

/// The tensors of a run by name. All are shared with the model: a resume overwrites them in place.
#[derive(Debug)]
pub struct TrainState {
    /// What the optimizer trains. Tensors of 16 bits are trained through masters in f32, which a checkpoint holds in their place.
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
    /// None on ranks other than the first.
    folder: Option<RunFolder>,
    optimizer: AdamW,
    /// Who keeps what of the optimizer, where ranks share it out.
    shards: Option<Shards>,
    /// How gradients get to other ranks.
    wire: Wire,
    kept: Vec<(String, Tensor)>,
    schedule: Schedule,
    recipe: SessionRecipe,
    inputs: Inputs,
    launch: LaunchOptions,
    progress: Progress,
    n_steps: u64,
    step: u64,
    stopwatch: Stopwatch,
    /// What is trained is there.
    device: Device,
    /// The step whose kernels are counted.
    counted_step: Option<u64>,
    /// In exchanges before this step.
    waited: Duration,
}

/// All passes of an update in turn, as one rank computes them: the numbers that each gives, on the host. They are read once all
/// are computed, because the host would wait at every pass.
pub fn on_this_rank<P>(passes: &[P], pass: &mut dyn FnMut(&P) -> Tensor) -> Vec<Vec<f64>> {
    to_host(&passes.iter().map(pass).collect::<Vec<_>>())
}

/// Numbers on the host, of all tensors together.
fn to_host(tensors: &[Tensor]) -> Vec<Vec<f64>> {
    if tensors.is_empty() {
        return Vec::new();
    }
    let flat: Vec<Tensor> = tensors
        .iter()
        .map(|t| t.to_kind(Kind::Double).flatten(0, -1))
        .collect();
    let all = Tensor::cat(&flat, 0).to_device(Device::Cpu);
    let mut numbers = vec![0.0; all.numel()];
    all.copy_data(&mut numbers, all.numel());
    let mut numbers = numbers.into_iter();
    tensors
        .iter()
        .map(|tensor| numbers.by_ref().take(tensor.numel()).collect())
        .collect()
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
        let is_counted = self.counted_step == Some(self.step + 1);
        self.stopwatch = Stopwatch::start(self.device, is_counted);
        self.waited = self.launch.ranks.waited();
        self.zero_grad();
    }

    /// The processes that share the run.
    #[must_use]
    pub fn ranks(&self) -> &Ranks {
        &self.launch.ranks
    }

    /// Computes the passes of an update, each of which adds to the gradients and gives numbers; returns those of all passes, in
    /// their order. Passes are dealt to `run.lanes` lanes whose gradients are summed apart, and lanes to ranks; see the head of
    /// `lanes.rs`.
    ///
    /// # Shapes
    /// `pass` gives a tensor of any shape and device, which is flattened.
    ///
    /// # Errors
    /// A pass failed, or another rank has ended or hangs.
    pub fn passes<P, E: From<TrainError>>(
        &mut self,
        passes: &[P],
        pass: &mut dyn FnMut(&P) -> Result<Tensor, E>,
    ) -> Result<Vec<Vec<f64>>, E> {
        let (n_lanes, ranks) = (self.recipe.lanes, self.launch.ranks.clone());
        if n_lanes == 1 {
            let mut found = Vec::with_capacity(passes.len());
            for of_pass in passes {
                found.push(pass(of_pass)?);
                self.optimizer.end_pass();
            }
            return Ok(to_host(&found));
        }
        let parameters = self.optimizer.of_tensors();
        let mut totals: Vec<Total> = parameters.iter().map(|_| None).collect();
        let mut found: Vec<(usize, Tensor)> = Vec::new();
        for first in (0..n_lanes).step_by(ranks.world()) {
            self.optimizer.zero_grad();
            let lane = first + ranks.rank();
            if lane < n_lanes {
                for number in (lane..passes.len()).step_by(n_lanes) {
                    found.push((number, pass(&passes[number])?));
                    // Where gradients are given to their owners, the last pass ends tensor by tensor.
                    if self.shards.is_none() || number + n_lanes < passes.len() {
                        self.optimizer.end_pass();
                    }
                }
            }
            let optimizer = &mut self.optimizer;
            let n_left = n_lanes - first;
            let added = tch::no_grad(|| {
                if let Some(shards) = &self.shards {
                    shards.add_round(&self.wire, optimizer, &mut totals, n_left, REST)
                } else {
                    let values = optimizer.of_tensors().iter().map(Parameter::weight);
                    let values: Vec<Tensor> = values.collect();
                    lanes::add_round(&self.wire, &values, &mut totals, &optimizer.lane(), n_left)
                }
            });
            added.map_err(TrainError::from)?;
        }
        self.optimizer.put_totals(totals);
        Ok(self.told(found)?)
    }

    /// What the passes of all ranks gave, in the order of passes; `found` is what those of this rank did, by their numbers.
    fn told(&self, found: Vec<(usize, Tensor)>) -> Result<Vec<Vec<f64>>, TrainError> {
        let (numbers, found): (Vec<usize>, Vec<Tensor>) = found.into_iter().unzip();
        let mine: Vec<(usize, Vec<u64>)> = numbers
            .into_iter()
            .zip(to_host(&found))
            .map(|(number, of_pass)| (number, of_pass.into_iter().map(f64::to_bits).collect()))
            .collect();
        let mut all = self.launch.ranks.all_of(&mine)?.concat();
        all.sort_by_key(|(number, _)| *number);
        let numbers = |bits: Vec<u64>| bits.into_iter().map(f64::from_bits).collect();
        Ok(all.into_iter().map(|(_, bits)| numbers(bits)).collect())
    }

    /// Ends the current phase and begins this one. `timings.jsonl` gets the seconds of each phase, those of
    /// one name added up, and its largest resident memory, on a GPU also that of its tensors there; what comes before the first phase counts for the step alone. Work that a GPU does
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
    /// The loss or the gradient is not finite, and no weight has been changed; or another rank has ended or hangs.
    pub fn apply(
        &mut self,
        loss: f64,
        ids: impl Fn() -> Vec<String>,
    ) -> Result<StepStats, TrainError> {
        let step = self.step + 1;
        check_finite("loss", loss, step, &ids)?;
        // Passes of `Session::passes` have ended, and leave nothing but zeros; the gradient of another has not been taken up yet.
        self.optimizer.end_pass();
        let (optimizer, max_norm) = (&mut self.optimizer, self.recipe.max_grad_norm);
        let grad_norm = match &self.shards {
            Some(shards) => tch::no_grad(|| shards.clip_grad_norm(optimizer, max_norm))?,
            None => optimizer.clip_grad_norm(max_norm),
        };
        check_finite("gradient norm", grad_norm, step, &ids)?;
        let learning_rate = self.recipe.learning_rate * self.schedule.factor(self.step);
        self.optimizer.step(learning_rate);
        if let Some(shards) = &self.shards {
            // Nobody needs them any more, and the next pass needs room.
            self.optimizer.zero_grad();
            tch::no_grad(|| shards.spread(&self.wire, &self.optimizer, REST))?;
        }
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
        let (stop, timing) = self.agree()?;
        let timing = self.stopwatch.stop(self.step, n_tokens, timing);
        if let Some(folder) = &mut self.folder {
            folder.log(self.step, metrics)?;
            folder.log_timing(self.step, &timing)?;
        }
        self.progress.step(self.step, shown);
        let stop = stop && self.step < self.n_steps;
        if stop || self.step.is_multiple_of(self.recipe.checkpoint_every) {
            self.check_equal()?;
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

    /// Whether any rank was asked to stop, so that all stop after the same step, and how long ranks waited for each other.
    fn agree(&self) -> Result<(bool, Option<RankTiming>), TrainError> {
        let (launch, ranks) = (&self.launch, &self.launch.ranks);
        if ranks.world() == 1 {
            return Ok((launch.stop.requested(), None));
        }
        let waited = ranks.waited().saturating_sub(self.waited).as_secs_f64();
        let (stop, waits) = ranks.stop_and_all_of(&launch.stop, waited)?;
        Ok((stop, Some(RankTiming::of(&waits))))
    }

    /// Whether all ranks have the same weights still: a machine that computed other bits than the others would otherwise go
    /// unnoticed, as it does where the optimizer is shared out.
    fn check_equal(&self) -> Result<(), TrainError> {
        if self.launch.ranks.world() == 1 {
            return Ok(());
        }
        let parameters = match &self.shards {
            // One rank alone has a master, and all have what passes read: what its owner sent of each tensor. So an owner that
            // computed other bits is not found, for all have these; only what was damaged on the way or in memory is.
            // Weights that are shared out have no other rank to be compared with.
            Some(shards) => {
                let leaves = self.optimizer.leaves().into_iter().enumerate();
                let everywhere = leaves.filter(|(number, _)| shards.is_everywhere(*number));
                everywhere.map(|(_, named)| named).collect()
            }
            None => self.optimizer.parameters(),
        };
        let print = fingerprint::of_tensors(parameters.iter().map(|(name, tensor)| (name, tensor)));
        let named = [(format!("the weights after step {}", self.step), print)];
        Ok(self.launch.ranks.check_same(
            &named,
            "give all ranks machines of one kind, and resume from the last checkpoint",
        )?)
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
        let (optimizer, shards, kept) = (&self.optimizer, self.shards.as_ref(), &self.kept);
        let Some(folder) = &mut self.folder else {
            return Ok(shards.map_or(Ok(()), |shards| shards.answer(optimizer))?);
        };
        let write = |writer: &CheckpointWriter| -> Result<(), TrainError> {
            write_saved(writer, WEIGHTS, optimizer, shards, &[Saved::Weight])?;
            write_saved(writer, OPTIMIZER, optimizer, shards, &Saved::OF_OPTIMIZER)?;
            if let Some(shards) = shards {
                shards.asked()?;
            }
            if kept.is_empty() {
                return Ok(());
            }
            write_tensors(writer, KEPT, kept)
        };
        // The data order is a function of the step, so the step is all there is to remember of it.
        let inputs = self.inputs.to_value();
        folder.save_checkpoint(self.step, self.step.into(), inputs, write)?;
        Ok(())
    }

    /// Writes the run's `result.json`, on the first rank.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_result(&self, result: &impl Serialize) -> Result<(), TrainError> {
        if self.folder.is_some() {
            write_result(self.path(), result)?;
        }
        Ok(())
    }

    /// Whether this process owns the folder of the run: it writes, and the others do not.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.folder.is_some()
    }

    /// Where results go.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.recipe.out
    }

    /// Ends the run with a last line.
    pub fn finish(self, outcome: &str) {
        self.progress.finish(outcome);
    }
}
