//! A run between the claim of its folder and its first step, while model and data are read.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use candor_recipe::value_of;
use candor_run::{Claim, Inputs, LaunchOptions, Progress, Ranks, RunOptions};
use candor_torch_ext::libtorch;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::earlier::Earlier;
use super::restore::{self, Stored};
use super::stopwatch::{Stopwatch, counted_step};
use super::{Session, SessionRecipe, Shard, TrainState};
use crate::error::TrainError;
use crate::lanes::check_lanes;
use crate::optimizer::AdamW;
use crate::param_group::ParamGroup;
use crate::schedule::Schedule;
use crate::shards::Shards;
use crate::wire::Wire;
use crate::{fingerprint, lanes};

/// The keys of a recipe that every stage's resume may change.
pub const MAY_CHANGE: [&str; 11] = [
    "optimizer.states",
    "run.checkpoint_every",
    "run.deterministic",
    "run.device",
    "run.features",
    "run.features_disk_gb",
    "run.features_folder",
    "run.features_memory_gb",
    "run.keep_checkpoints",
    "run.out",
    "run.shard",
];

/// A run whose folder is claimed.
#[derive(Debug)]
pub struct Opening {
    /// None on ranks other than the first.
    claim: Option<Claim>,
    folder: Folder,
    recipe: SessionRecipe,
    launch: LaunchOptions,
    name: String,
    progress: Progress,
    earlier: Option<Earlier>,
}

/// What all ranks know of the run's folder.
#[derive(Debug, Serialize, Deserialize)]
struct Folder {
    /// The recipe that the run was first started with.
    began_with: String,
    /// Whether the run goes on from a checkpoint.
    has_checkpoint: bool,
}

impl Session {
    /// Claims the folder of a run of `stage`, before anything else is read. `resolved` is the text of its recipe; the keys
    /// `may_change` of it may be others on resume.
    ///
    /// # Errors
    /// The folder holds another run or none, is in use, or cannot be written; or the run to start from is none.
    pub fn prepare(
        stage: &str,
        recipe: &SessionRecipe,
        resolved: &str,
        launch: &LaunchOptions,
        may_change: &[&str],
    ) -> Result<Opening, TrainError> {
        libtorch::set_deterministic(recipe.deterministic);
        libtorch::set_tf32(recipe.tf32);
        // The first rank alone reads it, and may be the only one that has it.
        if let Some(run) = &launch.init_from
            && launch.ranks.is_first()
            && !run.join("resolved.toml").exists()
        {
            return Err(TrainError::NoEarlierRun { dir: run.clone() });
        }
        let options = RunOptions {
            dir: &recipe.out,
            stage,
            resolved,
            n_keep_checkpoints: recipe.n_keep_checkpoints,
            resume_command: &launch.resume_command,
            may_change: &[&MAY_CHANGE, may_change].concat(),
        };
        let ranks = &launch.ranks;
        check_lanes(ranks, recipe.lanes)?;
        let asked = vec![
            ("--resume".to_owned(), launch.resume.to_string()),
            ("--init-from".to_owned(), format!("{:?}", launch.init_from)),
        ];
        ranks.check_same_start(resolved, asked)?;
        let mut claim = None;
        let folder = ranks.made_by_first(|| {
            let taken = if launch.resume {
                Claim::resume(&options)?
            } else {
                Claim::start(&options)?
            };
            let folder = Folder {
                began_with: taken.began_with().to_owned(),
                has_checkpoint: taken.has_checkpoint()?,
            };
            claim = Some(taken);
            Ok::<_, TrainError>(folder)
        })?;
        // The run is known to its user by its folder.
        let name = recipe.out.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        Ok(Opening {
            claim,
            folder,
            recipe: recipe.clone(),
            launch: launch.clone(),
            progress: Progress::of_rank(ranks, &name),
            name,
            earlier: None,
        })
    }
}

impl Opening {
    /// Says what is going on.
    pub fn doing(&mut self, what: &str) {
        self.progress.doing(what);
    }

    /// As [`Progress::counter`].
    pub fn counter(&mut self, what: &str) -> impl FnMut(usize, usize) + '_ {
        self.progress.counter(what)
    }

    /// The number under a dotted key of the recipe that the run was first started with: what may change on resume may
    /// still have decided the order of the data then.
    #[must_use]
    pub fn began_with(&self, key: &str) -> Option<usize> {
        let number = value_of(&self.folder.began_with, key);
        usize::try_from(number.as_u64()?).ok()
    }

    /// The processes that share the run.
    #[must_use]
    pub fn ranks(&self) -> &Ranks {
        &self.launch.ranks
    }

    /// The fingerprint of the tensors of `what`, with progress.
    pub fn fingerprint(&mut self, what: &str, tensors: &BTreeMap<String, Tensor>) -> String {
        fingerprint::of_many_tensors(what, tensors, &mut self.progress)
    }

    /// Reads the weights of the run that this one starts from, if it does. `result` reads what that run trained from its
    /// folder, where it is finished; where it is not, its newest checkpoint counts.
    ///
    /// # Errors
    /// That run has no weights, or they are damaged.
    pub fn read_earlier<E: From<TrainError>>(
        &mut self,
        result: impl FnOnce(&Path) -> Result<Option<Vec<(String, Tensor)>>, E>,
    ) -> Result<(), E> {
        let (out, init_from) = (&self.recipe.out, self.launch.init_from.as_deref());
        // The other ranks get the first one's weights when the run is opened.
        if self.folder.has_checkpoint || !self.launch.ranks.is_first() {
            return Ok(());
        }
        let run = Earlier::of_run(out, init_from, self.launch.resume);
        if let Some((run, sha256)) = run.map_err(TrainError::from)? {
            self.progress
                .doing(&format!("reading the weights of {}", run.display()));
            self.earlier = Some(Earlier::read(run, sha256, result)?);
        }
        Ok(())
    }

    /// Starts or resumes the run, of `n_steps` steps. Where there is a checkpoint, the tensors of `parts` are overwritten
    /// in place by what it holds; where a fresh run starts from another, those that are trained are by that one's.
    ///
    /// # Errors
    /// The checkpoints are damaged or do not fit, a file cannot be written, or an input is not the one the run began with.
    pub fn open(
        self,
        parts: TrainState,
        n_steps: u64,
        inputs: Inputs,
    ) -> Result<Session, TrainError> {
        let Self {
            claim,
            recipe,
            launch,
            name,
            mut progress,
            earlier,
            ..
        } = self;
        let ranks = &launch.ranks;
        let counted_step = counted_step()?;
        ranks.check_same_inputs(&inputs)?;
        let TrainState { trained, kept } = parts;
        // Biases and norms do not decay, as in transformers' Trainer.
        let groups = ParamGroup::without_decay_on_vectors(trained, 1.0);
        let shards = match recipe.shard {
            Shard::Nothing => None,
            Shard::Zero2 => Shards::of(ranks, &groups, false)?,
            Shard::Zero3 => Shards::of(ranks, &groups, true)?,
        };
        let owns = |parameter| shards.as_ref().is_none_or(|shards| shards.owns(parameter));
        let mut optimizer = AdamW::owning(recipe.adamw, groups, recipe.states, owns)?;
        let mut folder = None;
        let mut stored = Stored::new();
        let (step, has_state) = ranks.made_by_first(|| {
            let Some(claim) = claim else {
                unreachable!("the first rank has claimed the folder")
            };
            if let Some(earlier) = &earlier {
                stored = earlier.weights(&optimizer, claim.resolved(), &inputs)?;
            }
            let resumed = claim.open()?;
            for damage in &resumed.damaged {
                tracing::warn!("{name}: a damaged checkpoint was set aside: {damage}");
            }
            let step = match &resumed.checkpoint {
                None => 0,
                Some(checkpoint) => {
                    inputs.check(&checkpoint.state.stage, &recipe.out)?;
                    stored = restore::read(checkpoint, &optimizer, &kept)?;
                    checkpoint.state.step
                }
            };
            if let Some(earlier) = &earlier {
                earlier.note(&recipe.out)?;
            }
            folder = Some(resumed.folder);
            Ok::<_, TrainError>((step, resumed.checkpoint.is_some()))
        })?;
        let device = optimizer.of_tensors()[0].leaf().device();
        let wire = Wire::of(ranks, device)?;
        restore::give_out(ranks, shards.as_ref(), &mut optimizer, stored, has_state)?;
        lanes::from_first(ranks, kept.iter().map(|(_, tensor)| tensor))?;
        if let Some(shards) = &shards {
            shards.release_blocks(&optimizer);
        }
        progress.set_steps(n_steps, step);
        Ok(Session {
            folder,
            optimizer,
            shards,
            wire,
            kept,
            schedule: Schedule::new(recipe.shape, recipe.warmup, n_steps),
            recipe,
            inputs,
            launch,
            progress,
            n_steps,
            step,
            stopwatch: Stopwatch::start(device, false),
            device,
            counted_step,
            waited: Duration::ZERO,
        })
    }
}
