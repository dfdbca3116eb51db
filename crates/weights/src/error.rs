//! What can go wrong with a checkpoint: where, what was found, what to do.

use std::path::{Path, PathBuf};

use crate::quote::quote;

/// What to do about a file that contradicts itself.
pub(crate) const REPLACE: &str =
    "the file is damaged or was cut short; download or export it again";

/// Errors of this crate. Text that comes from a file is escaped and shortened.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused.
    #[error("{path}: cannot {action} (check that the file exists, is whole and may be accessed)")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted, as a verb: `"read"`, `"open"`.
        action: &'static str,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A folder holds nothing that could be its checkpoint.
    #[error(
        "{folder}: no checkpoint here, looked for {looked_for} (give the folder that holds the weights, or the file itself)"
    )]
    NotFound {
        /// The folder.
        folder: PathBuf,
        /// The names that would have been accepted, in their order.
        looked_for: String,
    },
    /// A file is whole and has nothing in it.
    #[error("{path}: holds no tensors ({})", crate::format::GIVE)]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file as a whole is unusable.
    #[error("{path}: {problem} ({remedy})")]
    File {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// One tensor of a file is unusable.
    #[error("{path}: tensor {name} {problem} ({remedy})")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor, as it is shown: quoted, escaped and shortened.
        name: String,
        /// What was found; the sentence's subject is the tensor.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The pickle of a torch file asks for something that describing tensors does not take.
    #[error("{path}: byte {position} of data.pkl: {problem}; nothing was executed ({remedy})")]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Where the instruction starts, counted from 0 in the archive's `data.pkl`.
        position: usize,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl CheckpointError {
    /// A [`CheckpointError::Io`] for `action` on `path`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }

    /// A [`CheckpointError::File`].
    pub(crate) fn file(path: &Path, problem: impl Into<String>, remedy: &'static str) -> Self {
        Self::File {
            path: path.to_path_buf(),
            problem: problem.into(),
            remedy,
        }
    }

    /// A [`CheckpointError::Tensor`] for the tensor that the file calls `name`.
    pub(crate) fn tensor(
        path: &Path,
        name: &str,
        problem: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        Self::Tensor {
            path: path.to_path_buf(),
            name: quote(name),
            problem: problem.into(),
            remedy,
        }
    }
}
