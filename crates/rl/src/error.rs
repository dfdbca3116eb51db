//! What can go wrong in reinforcement learning.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum RlError {
    /// The recipe has mistakes; all of them are listed.
    #[error(transparent)]
    Recipe(#[from] candor_recipe::RecipeError),
    /// A run folder, a checkpoint or a number that is not finite.
    #[error(transparent)]
    Train(#[from] candor_train::TrainError),
    /// A file cannot be hashed.
    #[error(transparent)]
    Run(#[from] candor_run::RunError),
    /// A model folder or a prompt.
    #[error(transparent)]
    Model(#[from] candor_model::ModelError),
    /// A data file.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
    /// The benchmarks that the run measures itself by.
    #[error(transparent)]
    Suite(Box<candor_eval::EvalError>),
    /// The reward model.
    #[error(transparent)]
    Reward(#[from] candor_reward::RewardError),
    /// The terms of the reward cannot be used.
    #[error(transparent)]
    Judge(#[from] candor_judge::JudgeError),
    /// The responses of a step have no rewards.
    #[error("step {step} has no rewards: {error}")]
    Unrewarded {
        /// The step, from 1.
        step: u64,
        /// Why.
        error: Box<candor_judge::JudgeError>,
    },
    /// The responses of a step have no scores.
    #[error("step {step} has no scores: {error}")]
    Unscored {
        /// The step, from 1.
        step: u64,
        /// Why.
        error: Box<candor_reward::RewardError>,
    },
    /// Nothing was learned from a step, and the run ended with those before it.
    #[error("{error}\n  {}", kept(error, unkept.as_deref()))]
    Ended {
        /// What became of the step.
        error: Box<RlError>,
        /// Why the steps before it are not kept, where they are not.
        unkept: Option<String>,
    },
    /// Two things that were given do not fit together.
    #[error("{}: {problem} ({remedy})", path.display())]
    Unfit {
        /// The file or folder.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The policy has gone astray, and going on would only make it worse.
    #[error("stopped at step {step}: {problem}; {remedy}; its responses are in {} (samples {})", samples.display(), ids.join(", "))]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// What was found.
        problem: String,
        /// What to try.
        remedy: &'static str,
        /// The file with this step's samples.
        samples: PathBuf,
        /// Rows that show it.
        ids: Vec<String>,
    },
}

/// What is left of a run that ended by this error, and how it goes on.
fn kept(error: &RlError, unkept: Option<&str>) -> String {
    if let Some(problem) = unkept {
        return format!(
            "and the steps since the last checkpoint are lost, because none could be written: {problem}"
        );
    }
    let how = match error {
        RlError::Unrewarded { .. } => "the same command with --resume goes on with it",
        RlError::Diverged { .. } => {
            "--resume goes on with it where the recipe differs in [guard] alone, and --init-from starts a new run of another \
             recipe from their weights"
        }
        _ => {
            "--init-from starts a new run from their weights, with a smaller sampling.max_new_tokens or another reward model"
        }
    };
    format!("the steps before it are kept: {how}")
}

impl From<candor_eval::EvalError> for RlError {
    fn from(error: candor_eval::EvalError) -> Self {
        Self::Suite(Box::new(error))
    }
}
