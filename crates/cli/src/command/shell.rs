//! `candor completions` and `candor man`: what shells and `man` know of the command line, made of its definition.

use anyhow::Context as _;
use candor_data::atomic;
use clap::CommandFactory as _;
use clap_mangen::Man;

use crate::arguments::{Arguments, CompletionsArguments, ManArguments};

/// Prints a script that completes candor's arguments.
pub fn completions(arguments: &CompletionsArguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(arguments.shell, &mut command, "candor", &mut script);
    std::io::Write::write_all(&mut std::io::stdout(), &script).context("cannot print the script")
}

/// Writes a page for each command.
pub fn man(arguments: &ManArguments) -> anyhow::Result<()> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let n_pages = pages(&command, arguments)?;
    println!("{n_pages} pages in {}", arguments.out.display());
    Ok(())
}

/// Writes the page of a command and those of the commands below it; says how many there were.
fn pages(command: &clap::Command, arguments: &ManArguments) -> anyhow::Result<usize> {
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    let name = man.get_filename();
    man.render(&mut page)
        .with_context(|| format!("cannot make the page {name}"))?;
    atomic::write(&arguments.out.join(name), &page)?;
    let below = command
        .get_subcommands()
        .map(|below| pages(below, arguments));
    Ok(1 + below.sum::<anyhow::Result<usize>>()?)
}
