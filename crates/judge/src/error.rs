//! What can go wrong while answers are judged and scored.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use candor_data::DataError;
use candor_recipe::RecipeError;

/// Errors of this crate. No message ever holds the key of an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// A data file.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The operating system refused.
    #[error("cannot {action} {}; {remedy}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file says something that cannot be, or two files do not fit together.
    #[error("{}: {problem}; {remedy}", path.display())]
    Unfit {
        /// The file at fault.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: Cow<'static, str>,
    },
    /// The settings of a judge have mistakes; all of them are listed.
    #[error("{0}\n  docs/evaluation.md explains every field")]
    Settings(RecipeError),
    /// A response has no reward.
    #[error("reward {term:?}: {problem}; {remedy}")]
    Reward {
        /// The term of the recipe.
        term: String,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// Judging ended before every reply was there. What was paid for is kept.
    #[error(
        "{judge}: {problem}; {n_kept} of {n_wanted} replies are kept in {}, and the same command asks \
         only for the others; {remedy}",
        cache.display()
    )]
    Stopped {
        /// Model and endpoint.
        judge: String,
        /// Why.
        problem: String,
        /// Replies that are there.
        n_kept: usize,
        /// Replies that are needed.
        n_wanted: usize,
        /// Where they are kept.
        cache: PathBuf,
        /// What to do.
        remedy: String,
    },
}

impl JudgeError {
    /// A file that cannot be used as it is.
    pub(crate) fn unfit(
        path: &Path,
        problem: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Unfit {
            path: path.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}
