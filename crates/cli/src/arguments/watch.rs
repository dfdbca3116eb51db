//! Arguments of `candor watch`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Arguments of `candor watch`.
#[derive(Debug, Args)]
pub struct WatchArguments {
    /// Folders of runs, or folders with runs in them; runs that begin later are found too.
    #[arg(required = true, value_name = "RUN")]
    pub folders: Vec<PathBuf>,
    /// Where the page is served.
    #[arg(long, default_value = "127.0.0.1:8321", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Show a table in the terminal instead, and keep it up to date.
    #[arg(long, conflicts_with = "listen")]
    pub tui: bool,
    /// Print the table once; with --mlflow, send what is there and end.
    #[arg(long, conflicts_with_all = ["listen", "tui"])]
    pub once: bool,
    /// Send the runs to an MLflow server instead, and go on while they do.
    #[arg(long, value_name = "URL", conflicts_with_all = ["listen", "tui"])]
    pub mlflow: Option<String>,
    /// The experiment there, which is made if it is not there.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "candor",
        requires = "mlflow"
    )]
    pub experiment: String,
}
