//! The errors of this crate: what was found, where, and what to do about it.

use std::path::PathBuf;

use candor_data::rows::ImageRows;
use candor_run::RunError;

/// What can go wrong around a training run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The run's folder or a checkpoint.
    #[error(transparent)]
    Run(#[from] RunError),

    /// A safetensors file could not be read or written.
    #[error(transparent)]
    Model(#[from] candor_model::ModelError),

    /// A parameter or its saved optimizer state does not fit.
    #[error("optimizer: parameter `{parameter}`: {problem}; {remedy}")]
    Optimizer {
        /// The parameter's name.
        parameter: String,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },

    /// Sequences may be longer than the model has positions.
    #[error("{}: data.max_tokens is {max_tokens}, but the model has {n_positions} positions (lower data.max_tokens)", base.display())]
    NoRoom {
        /// The folder of the model.
        base: PathBuf,
        /// The longest sequence that the recipe allows.
        max_tokens: usize,
        /// Positions of the model.
        n_positions: usize,
    },

    /// A lane is never divided.
    #[error(
        "{world} ranks cannot share run.lanes = {lanes}: write run.lanes = {world} into the recipe, or start {lanes} at most (the same \
             run.lanes gives the same weights on any number of ranks)"
    )]
    TooManyRanks {
        /// Processes.
        world: usize,
        /// Lanes of the recipe.
        lanes: usize,
    },

    /// A device was asked for by name and is not there.
    #[error(
        "{asked} is not there: {reason} ({remedy}; or compute on the CPU, with --device cpu or run.device = \"cpu\")"
    )]
    NoDevice {
        /// The device.
        asked: String,
        /// What is missing.
        reason: String,
        /// What to do.
        remedy: &'static str,
    },

    /// The step whose kernels are to be counted is none.
    #[error(
        "the environment variable {variable} is {value:?}, which is no step (write its number, from 1 on, or take the variable away)"
    )]
    CountedStep {
        /// Its name.
        variable: &'static str,
        /// What was found.
        value: String,
    },

    /// The run whose weights another is to start from has none.
    #[error("{} holds no run to start from: it has neither a result nor a checkpoint of this stage; name the folder of a run with --init-from", dir.display())]
    NoEarlierRun {
        /// The folder that was looked at.
        dir: PathBuf,
    },

    /// A loss, gradient norm or the like became infinite or not a number.
    #[error("{quantity} is {value} at step {step}{}", of_samples(sample_ids))]
    NotFinite {
        /// What is not finite, such as `"loss"`.
        quantity: &'static str,
        /// The value found.
        value: f64,
        /// The step that produced it.
        step: u64,
        /// The samples of the step's batch; none of what is evaluated.
        sample_ids: Vec<String>,
    },
}

/// Whose number it is that is not finite, and what to do.
fn of_samples(ids: &[String]) -> String {
    if ids.is_empty() {
        return "; lower the learning rate or clip the gradient norm".to_owned();
    }
    let ids = ids.join(", ");
    format!(
        ", samples {ids}; lower the learning rate, clip the gradient norm, or inspect these samples"
    )
}

impl TrainError {
    /// The same error; of images, with the rows that show them.
    #[must_use]
    pub fn in_rows(self, shown: &ImageRows) -> Self {
        match self {
            Self::Model(error) => Self::Model(error.in_rows(shown)),
            other => other,
        }
    }
}
