//! What keeps a server from starting, or ends it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use candor_model::ModelError;
use candor_reward::RewardError;

/// Errors of the server as a whole. What is wrong with a request is said to whoever sent it.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A file or folder cannot be used.
    #[error("{path}: {problem} ({remedy})")]
    Unfit {
        /// The file or folder.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// What was asked for contradicts itself.
    #[error("{problem} ({remedy})")]
    Settings {
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The network or the system refuses.
    #[error("cannot {action} at {place} ({remedy})")]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// Where.
        place: SocketAddr,
        /// What to do.
        remedy: &'static str,
        /// The system's own words.
        #[source]
        source: io::Error,
    },
    /// The thread that owns the model has ended.
    #[error(
        "the thread that owns the model has ended, its last words are above (is there enough memory? --batch-positions lowers what answers take)"
    )]
    EngineEnded,
    /// A model or an adapter cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A reward model cannot be opened.
    #[error(transparent)]
    Reward(#[from] RewardError),
}
