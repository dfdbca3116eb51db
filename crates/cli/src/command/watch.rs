//! `candor watch`: the page over run folders, a table of them, or what an MLflow server is sent of them.

use std::io::Write as _;
use std::time::Duration;

use candor_watch::{Mlflow, Watch, authorization, serve, table};

use crate::arguments::WatchArguments;

/// How often the table is drawn anew.
const EVERY: Duration = Duration::from_secs(2);
/// How often a server is sent what is new.
const SEND_EVERY: Duration = Duration::from_secs(10);
/// Clears the screen and goes to its first place.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Serves the page, shows the table, or sends the runs.
pub fn run(arguments: &WatchArguments) -> anyhow::Result<()> {
    let watch = Watch::open(arguments.folders.clone())?;
    if let Some(url) = &arguments.mlflow {
        return send(&watch, url, arguments);
    }
    if arguments.once {
        print!("{}", table(&watch));
        return Ok(());
    }
    if arguments.tui {
        // Until it is interrupted: nothing is open that would have to be closed.
        loop {
            let mut out = std::io::stdout().lock();
            write!(out, "{CLEAR}{}", table(&watch))?;
            out.flush()?;
            drop(out);
            std::thread::sleep(EVERY);
        }
    }
    let n_runs = watch.n_runs();
    serve(watch, arguments.listen, |address| {
        eprintln!("{n_runs} runs at http://{address}; interrupt to stop");
    })?;
    Ok(())
}

/// Sends the runs to an MLflow server, until it is interrupted; once where that is asked for.
fn send(watch: &Watch, url: &str, arguments: &WatchArguments) -> anyhow::Result<()> {
    let authorization = authorization(|name| std::env::var(name).ok());
    let mut mlflow = Mlflow::open(url, &arguments.experiment, authorization)?;
    loop {
        match mlflow.send(watch) {
            Ok(sent) if arguments.once => {
                eprintln!(
                    "{} numbers of {} runs sent; {} runs have no steps",
                    sent.n_numbers, sent.n_runs, sent.n_without
                );
                return Ok(());
            }
            Ok(sent) if sent.n_numbers > 0 => {
                eprintln!("{} numbers of {} runs sent", sent.n_numbers, sent.n_runs);
            }
            Ok(_) => {}
            Err(error) if arguments.once => return Err(error.into()),
            // A server that is away for a while misses nothing.
            Err(error) => eprintln!("candor: {error}; it is tried again"),
        }
        std::thread::sleep(SEND_EVERY);
    }
}
