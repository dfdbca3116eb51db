//! What can go wrong in an evaluation.

use std::path::PathBuf;

use crate::bad_images::BadImages;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The recipe has mistakes; all of them are listed.
    #[error(transparent)]
    Recipe(#[from] candor_recipe::RecipeError),
    /// A file cannot be hashed, or signals not be heard.
    #[error(transparent)]
    Run(#[from] candor_run::RunError),
    /// Images that ranks encode for each other.
    #[error(transparent)]
    Train(#[from] candor_train::TrainError),
    /// A model folder, an image or a prompt.
    #[error(transparent)]
    Model(#[from] candor_model::ModelError),
    /// A data file.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
    /// Questions, or what judges them.
    #[error(transparent)]
    Judge(#[from] candor_judge::JudgeError),
    /// The ground truth of the micro-world.
    #[error(transparent)]
    World(#[from] candor_world::WorldError),
    /// Images that questions ask about cannot be shown.
    #[error("{0}")]
    Images(BadImages),
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
