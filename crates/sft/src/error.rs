//! What can go wrong in supervised fine-tuning.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum SftError {
    /// The recipe has mistakes; all of them are listed.
    #[error(transparent)]
    Recipe(#[from] candor_recipe::RecipeError),
    /// What ranks tell each other.
    #[error(transparent)]
    Run(#[from] candor_run::RunError),
    /// A run folder, a checkpoint or a number that is not finite.
    #[error(transparent)]
    Train(#[from] candor_train::TrainError),
    /// A model folder or a prompt.
    #[error(transparent)]
    Model(#[from] candor_model::ModelError),
    /// A data file.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
    /// The benchmarks that the run measures itself by.
    #[error(transparent)]
    Suite(Box<candor_eval::EvalError>),
    /// The data does not fit the stage.
    #[error("{path}: {problem} ({remedy})")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl From<candor_eval::EvalError> for SftError {
    fn from(error: candor_eval::EvalError) -> Self {
        Self::Suite(Box::new(error))
    }
}
