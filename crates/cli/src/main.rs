//! The `candor` binary: parses the command line, calls the library that does the work, prints.
//!
//! Results go to stdout, progress and errors to stderr. Exit code 0 is success, 2 is something the user can mend, 75 is a
//! rank of a run that another rank of it has left, 130 and 143 are work that SIGINT or SIGTERM ended before it was finished, a run that has its checkpoint included.

mod arguments;
mod command;
mod log;
mod memory;

use std::process::ExitCode;

use candor_run::Stopped;
use candor_torch_ext::{CardsError, GroupError};
use clap::Parser as _;

use crate::command::{ANOTHER_RANK, Ended};

fn main() -> ExitCode {
    // Before the first tensor: the allocator and CUDA want to be set up early.
    candor_torch_ext::init();
    let arguments = arguments::Arguments::parse();
    match memory::said_plainly(|| log::start().and_then(|()| command::run(arguments.command))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(stopped) = error.downcast_ref::<Stopped>() {
                // How to go on was said where it was stopped.
                return ExitCode::from(stopped.exit_code());
            }
            if let Some(ended) = error.downcast_ref::<Ended>() {
                return ExitCode::from(ended.code);
            }
            eprintln!("candor: {}", chain(&error));
            let is_another_rank = |cause: &(dyn std::error::Error + 'static)| {
                let group = cause.downcast_ref::<GroupError>();
                let cards = cause.downcast_ref::<CardsError>();
                group.is_some_and(GroupError::is_of_another_rank)
                    || cards.is_some_and(CardsError::is_of_another_rank)
            };
            ExitCode::from(if error.chain().any(is_another_rank) {
                ANOTHER_RANK
            } else {
                2
            })
        }
    }
}

/// The error and its causes, each once: many causes are already quoted by the error above them.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
