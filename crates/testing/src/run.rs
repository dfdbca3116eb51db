//! Runs of stages, as the command line would start them.

use std::path::Path;

use candor_run::{LaunchOptions, Ranks, StopSignal};

/// A start that nobody interrupts, or the resume of one.
#[must_use]
pub fn launch(resume: bool) -> LaunchOptions {
    LaunchOptions {
        resume,
        init_from: None,
        resume_command: "candor stage --resume".to_owned(),
        stop: StopSignal::detached(),
        ranks: Ranks::alone(),
    }
}

/// Overrides that put the paths under these keys into `folder`, with others after them.
#[must_use]
pub fn sets(folder: &Path, paths: &[(&str, &str)], others: &[&str]) -> Vec<String> {
    let inside =
        |(key, name): &(&str, &str)| format!("{key}={:?}", folder.join(name).display().to_string());
    let others = others.iter().map(|set| (*set).to_owned());
    paths.iter().map(inside).chain(others).collect()
}
