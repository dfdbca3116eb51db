//! `candor watch`: the page over run folders, or a table of them.

use std::io::Write as _;
use std::time::Duration;

use candor_watch::{Watch, serve, table};

use crate::arguments::WatchArguments;

/// How often the table is drawn anew.
const EVERY: Duration = Duration::from_secs(2);
/// Clears the screen and goes to its first place.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Serves the page, or shows the table.
pub fn run(arguments: &WatchArguments) -> anyhow::Result<()> {
    let watch = Watch::open(arguments.folders.clone())?;
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
