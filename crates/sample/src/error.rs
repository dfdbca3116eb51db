//! What can go wrong while answers are sampled.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The recipe has mistakes; all of them are listed.
    #[error(transparent)]
    Recipe(#[from] candor_recipe::RecipeError),
    /// A run folder.
    #[error(transparent)]
    Run(#[from] candor_run::RunError),
    /// A model folder, an image or a prompt.
    #[error(transparent)]
    Model(#[from] candor_model::ModelError),
    /// A data file.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
    /// Two things that do not fit together.
    #[error("{}: {problem}; {remedy}", path.display())]
    Unfit {
        /// The file at fault.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}
