//! The `candor` binary: parses the command line, calls the library that does the work, prints.
//!
//! Results go to stdout, progress and errors to stderr. Exit code 0 is success (a run stopped by a signal
//! after its checkpoint included), 2 is something the user can mend.

mod arguments;
mod command;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    // Before the first tensor: the allocator and CUDA want to be set up early.
    candor_torch_ext::init();
    let arguments = arguments::Arguments::parse();
    match command::run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("candor: {}", chain(&error));
            ExitCode::from(2)
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
