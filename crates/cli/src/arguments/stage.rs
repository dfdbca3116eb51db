//! Arguments of the stages: the recipe, what of it is replaced, the ranks, and where a run begins.

use std::path::PathBuf;

use candor_run::RankPlace;
use candor_train::DeviceChoice;
use clap::Args;

use super::Aggregate;

/// Arguments of a training stage.
#[derive(Debug, Clone, Args)]
pub struct StageArguments {
    /// The recipe.
    pub recipe: PathBuf,
    /// Replace a value of the recipe, such as `optimizer.learning_rate=1e-3`; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// What the models run on: auto, cpu, cuda or cuda:N [default: the recipe's run.device, which is auto if absent]
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Continue the run in the recipe's folder. docs/use.md lists the fields that may be others then.
    #[arg(long)]
    pub resume: bool,
    /// Check the recipe, print it as it would be run, and do nothing.
    #[arg(long, conflicts_with = "resume")]
    pub dry_run: bool,
    /// The processes that share the run.
    #[command(flatten)]
    pub ranks: RankArguments,
}

/// Seconds that a rank waits for another where the command does not say: longer than a checkpoint takes.
pub const RANK_TIMEOUT: u64 = 1800;

/// How many processes share a run.
#[derive(Debug, Clone, Args)]
pub struct RankArguments {
    /// Start so many processes on this machine that share the run, each on its own CUDA device or on its share of the
    /// processor's cores; at most run.lanes where a recipe has it. torchrun and srun start them themselves.
    /// docs/many-devices.md
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub ranks: Option<u16>,
    /// Seconds that a rank waits for another before it gives up.
    #[arg(long, value_name = "SECONDS", default_value_t = RANK_TIMEOUT, value_parser = clap::value_parser!(u64).range(1..))]
    pub rank_timeout: u64,
}

impl RankArguments {
    /// Whether this command names no other processes and was started as none.
    pub fn is_alone(&self) -> bool {
        let place = RankPlace::of_environment(|name| std::env::var(name).ok());
        self.ranks.is_none_or(|n| n == 1) && matches!(place, Ok(None))
    }
}

impl StageArguments {
    /// The settings that replace values of the recipe, the device among them.
    pub fn settings(&self) -> Vec<String> {
        let device = self.device.map(DeviceChoice::setting);
        self.sets.iter().cloned().chain(device).collect()
    }
}

/// Arguments of a training stage that can start from an earlier run.
#[derive(Debug, Clone, Args)]
pub struct TrainArguments {
    /// What all stages have.
    #[command(flatten)]
    pub stage: StageArguments,
    /// Start a new run from the weights of an earlier one of this stage: those of its result, or of its newest checkpoint.
    /// The optimizer is fresh and the first step is step 1.
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    pub init_from: Option<PathBuf>,
}

/// Arguments of `candor reward`.
#[derive(Debug, Args)]
pub struct RewardArguments {
    /// What all training stages have.
    #[command(flatten)]
    pub train: TrainArguments,
    /// Learn from what people said in this project of `candor annotate` instead of the recipe's `data.preferences`; what is
    /// in its database now is kept beside the run folder.
    #[arg(long, value_name = "PROJECT", requires = "aggregate", conflicts_with_all = ["resume", "dry_run"])]
    pub annotations: Option<PathBuf>,
    /// How several answers become one preference.
    #[arg(long, value_enum, requires = "annotations")]
    pub aggregate: Option<Aggregate>,
}
