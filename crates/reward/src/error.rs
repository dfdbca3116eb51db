//! What can go wrong with a reward model.

use std::path::PathBuf;

use candor_data::rows::{Reason, RowFault};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum RewardError {
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
    /// A reward prompt.
    #[error("prompt {}: {problem} ({remedy})", path.display())]
    Prompt {
        /// The prompt's file, or the recipe's key.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The prompt shows facts, and there are none.
    #[error("{row}: no facts are known of {}; {remedy}", image.as_deref().map_or("a row without an image".to_owned(), |name| format!("image {name:?}")))]
    NoFacts {
        /// The row of the data, or the response that was to be scored.
        row: String,
        /// Its image.
        image: Option<String>,
        /// What to do.
        remedy: &'static str,
    },
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
    /// A score is not a number, so nothing that follows from it would mean anything.
    #[error(
        "the score of {row} is {score}; the reward model or its base is damaged, train it again"
    )]
    NotFinite {
        /// The response.
        row: String,
        /// The score found.
        score: f64,
    },
}

impl From<RewardError> for RowFault {
    /// What a row's error is as a fault of the row.
    fn from(error: RewardError) -> Self {
        match error {
            RewardError::Model(error) => error.into(),
            RewardError::NoFacts { image, remedy, .. } => {
                let of = image.map_or_else(
                    || "a row without an image".to_owned(),
                    |image| format!("image {image:?}"),
                );
                Self::new(
                    Reason::NoFacts,
                    "image",
                    format!("no facts are known of {of}"),
                    remedy,
                )
            }
            RewardError::Unfit {
                problem, remedy, ..
            } => Self::new(Reason::Template, "conversations", problem, remedy),
            other => Self::new(
                Reason::Template,
                "conversations",
                other.to_string(),
                "correct or remove the row",
            ),
        }
    }
}
