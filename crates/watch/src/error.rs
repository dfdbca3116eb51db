//! What can go wrong: where, and what to do.

use std::path::PathBuf;

/// What keeps runs from being watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// There is no run.
    #[error("{} holds no run (no resolved.toml, and none in the folders below it); name the folder of a run, its run.out, or one that has runs in it", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// The address cannot be had.
    #[error("cannot listen at {address}; stop what listens there, or give another --listen")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An MLflow server refuses one request, which says nothing of others.
    #[error("the MLflow server {url} {problem}; {remedy}")]
    MlflowRefused {
        /// Where it is.
        url: String,
        /// What it said.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// An MLflow server cannot be used.
    #[error("the MLflow server {url} {problem}; {remedy}")]
    Mlflow {
        /// Where it is.
        url: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The system refused threads or memory.
    #[error("cannot start; check the limits on threads and memory")]
    Start(#[source] std::io::Error),
}
