//! What can go wrong in learning from preferences.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum DpoError {
    /// The recipe has mistakes; all of them are listed.
    #[error(transparent)]
    Recipe(#[from] candor_recipe::RecipeError),
    /// Ranks that share the work.
    #[error(transparent)]
    Run(#[from] candor_run::RunError),
    /// A run folder, a checkpoint or a number that is not finite.
    #[error(transparent)]
    Train(#[from] candor_train::TrainError),
    /// A model folder, or a conversation that does not fit the model.
    #[error(transparent)]
    Model(#[from] candor_model::ModelError),
    /// A data file.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
    /// The benchmarks that the run measures itself by.
    #[error(transparent)]
    Suite(Box<candor_eval::EvalError>),
    /// A file or a setting does not fit.
    #[error("{}: {problem} ({remedy})", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A log-probability is not a number, so nothing that follows from it would mean anything.
    #[error(
        "the log-probability of an answer of {row} under {model} is {value}; the model is damaged or diverged, start from \
         another one"
    )]
    NotFinite {
        /// The row.
        row: String,
        /// The model.
        model: &'static str,
        /// What was found.
        value: f64,
    },
}

impl From<candor_eval::EvalError> for DpoError {
    fn from(error: candor_eval::EvalError) -> Self {
        Self::Suite(Box::new(error))
    }
}
