//! The errors of this crate: what was found, where, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// What can go wrong around the folder of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The file system refused an operation.
    #[error("cannot {action} {}; check that it exists, is accessible and that the disk has space", path.display())]
    Io {
        /// What was attempted, as a verb: `"read"`, `"create"`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file could not be written as a whole.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),

    /// A checkpoint lacks something, or could not be composed.
    #[error("checkpoint {}: {problem}; {remedy}", path.display())]
    Checkpoint {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },

    /// There are checkpoints but every one of them is damaged.
    #[error("no usable checkpoint in {}: {}; restore one from a backup or start the run afresh in another folder", dir.display(), Listed(damaged))]
    NoUsableCheckpoint {
        /// The folder with the checkpoints.
        dir: PathBuf,
        /// What is wrong with each, newest first.
        damaged: Vec<Damage>,
    },

    /// A fresh run was asked for in a folder that already has one.
    #[error("{} already holds a run; continue it with `{resume_command}`, or choose another folder", dir.display())]
    RunExists {
        /// The run folder.
        dir: PathBuf,
        /// The command that continues the run.
        resume_command: String,
    },

    /// A resume was asked for where there is no run.
    #[error("{} holds no run to resume (no resolved.toml); start it without --resume, or check the folder", dir.display())]
    NoRun {
        /// The folder that was looked at.
        dir: PathBuf,
    },

    /// Another process works in the run folder.
    #[error("{} is in use by {holder}; wait for it to end or stop it first", dir.display())]
    RunLocked {
        /// The run folder.
        dir: PathBuf,
        /// `process 123`, as far as the lock file tells.
        holder: String,
    },

    /// The recipe of a resumed run is not the one it was started with.
    #[error("the recipe differs from the one this run was started with ({}): {}; undo the change, or start a new run in another folder", path.display(), changes.join(", "))]
    RecipeChanged {
        /// The stored `resolved.toml`.
        path: PathBuf,
        /// One `key: then -> now` each.
        changes: Vec<String>,
    },

    /// A resumed run would read other files than it began with.
    #[error("{}: changed since this run began: {}; put the earlier files back to resume, or start a new run in another folder", dir.display(), names.join(", "))]
    InputsChanged {
        /// The run folder.
        dir: PathBuf,
        /// What is not the same, such as `"training data"`.
        names: Vec<String>,
    },

    /// A metrics or timings file does not fit its checkpoint, or what belongs in it is no JSON.
    #[error("{}: {problem}; {remedy}", path.display())]
    LinesFile {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },

    /// What the processes of a run begin with is not the same.
    #[error("the ranks of this run differ: {}; {remedy}", differ.join(", "))]
    RanksDiffer {
        /// What differs: name, and what two ranks have.
        differ: Vec<String>,
        /// What to do.
        remedy: &'static str,
    },

    /// The environment does not tell which rank of a run this process is.
    #[error("{name} {problem}; {remedy}")]
    Environment {
        /// The variable.
        name: String,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },

    /// The processes of a run cannot go on together.
    #[error("{source}")]
    Ranks {
        /// What failed, with rank, address and remedy.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The handlers for SIGINT and SIGTERM could not be installed.
    #[error(
        "cannot install the handler for {signal}; the run could not be stopped cleanly, so it is not started"
    )]
    Signal {
        /// The signal's name.
        signal: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl RunError {
    /// Wraps an I/O error with what was attempted, as a verb, on which path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// One damaged checkpoint: which file, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The damaged file inside the checkpoint.
    pub file: PathBuf,
    /// What was found, with the hashes where hashes differ.
    pub problem: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.problem)
    }
}

struct Listed<'a>(&'a [Damage]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, damage) in self.0.iter().enumerate() {
            write!(f, "{}{damage}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
