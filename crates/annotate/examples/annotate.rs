//! `candor annotate` without the rest of candor, which takes long to build: for work on this crate.
//!
//! `cargo run --release -p candor-annotate --example annotate -- serve PROJECT.toml`

use std::path::PathBuf;
use std::process::ExitCode;

use candor_annotate::command;
use candor_annotate::store::Role;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve", project] => command::serve(&[PathBuf::from(project)]),
        ["invite", project, role] => {
            let role = match *role {
                "admin" => Role::Admin,
                "adjudicator" => Role::Adjudicator,
                _ => Role::Annotator,
            };
            command::invite(&PathBuf::from(project), role, 24).map(|link| println!("{link}"))
        }
        _ => {
            eprintln!("usage: annotate serve PROJECT | annotate invite PROJECT ROLE");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            eprintln!("annotate: {error}{}", source.unwrap_or_default());
            ExitCode::from(2)
        }
    }
}
