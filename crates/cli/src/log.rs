//! What the program tells on stderr of its own accord: events of the libraries, a line each.
//!
//! `RUST_LOG` chooses, as `tracing-subscriber` reads it: `RUST_LOG=debug`, or `RUST_LOG=warn,candor_annotate=debug`; lines then have
//! time, level and place. With `CANDOR_LOG=json` a line is a JSON object, as collectors of logs want it.

use std::io::stderr;

use anyhow::{Context as _, bail};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Candor's own notices, and of libraries what went wrong.
const USUAL: &str = "warn,candor=info";

/// Sends events to stderr from now on.
///
/// # Errors
/// `RUST_LOG` or `CANDOR_LOG` cannot be understood.
pub fn start() -> anyhow::Result<()> {
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = EnvFilter::try_new(asked.as_deref().unwrap_or(USUAL))
        .context("RUST_LOG cannot be understood; RUST_LOG=debug shows most")?;
    let lines = fmt().with_env_filter(filter).with_writer(stderr);
    match std::env::var("CANDOR_LOG").as_deref() {
        Ok("json") => lines.json().init(),
        Ok("text") | Err(_) if asked.is_some() => lines.init(),
        Ok("text") | Err(_) => lines
            .without_time()
            .with_level(false)
            .with_target(false)
            .init(),
        Ok(other) => bail!("CANDOR_LOG is {other:?}, expected text or json"),
    }
    Ok(())
}
