//! How a run is started and how it ends.

use std::path::PathBuf;

use crate::ranks::Ranks;
use crate::stop::StopSignal;

/// How a run is started; what the command line decides, not the recipe.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    /// Continue the run that is in the folder.
    pub resume: bool,
    /// The run whose weights a fresh run starts from.
    pub init_from: Option<PathBuf>,
    /// The command that continues this run, for messages.
    pub resume_command: String,
    /// Asks the loop to stop.
    pub stop: StopSignal,
    /// The processes that share the run.
    pub ranks: Ranks,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done and the result is written.
    Finished,
    /// A signal stopped it after a checkpoint.
    Stopped,
}
