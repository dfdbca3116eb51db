//! Arguments of what candor says to shells and to `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// Arguments of `candor completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Arguments of `candor man`.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// Folder for the pages.
    #[arg(long)]
    pub out: PathBuf,
}
