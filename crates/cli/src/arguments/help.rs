//! What `--help` says, held to the committed files in `crates/cli/tests/help`: a change of it is seen in review.
//!
//! `INSTA_UPDATE=always cargo test --release -p candor-cli --bins help` writes the files anew.

use clap::{Command, CommandFactory as _};

use super::Arguments;

/// The long help of a command and of all commands below it, each with its full name.
fn helps(command: &mut Command, name: &str, found: &mut Vec<(String, String)>) {
    found.push((name.to_owned(), command.render_long_help().to_string()));
    for below in command.get_subcommands_mut() {
        // clap's own `help`, which repeats what is here.
        if below.get_name() != "help" {
            let name = format!("{name} {}", below.get_name());
            helps(below, &name, found);
        }
    }
}

fn all_helps() -> Vec<(String, String)> {
    let mut root = Arguments::command();
    // Usage lines get the names of the commands above.
    root.build();
    let mut found = Vec::new();
    helps(&mut root, "candor", &mut found);
    found
}

#[test]
fn help_is_what_was_reviewed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/help"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, help) in all_helps() {
            insta::assert_snapshot!(name.replace(' ', "-"), help);
        }
    });
}

#[test]
fn every_command_shows_an_example() {
    let helps = all_helps();
    let is_group = |name: &str| {
        let below = format!("{name} ");
        helps.iter().any(|(other, _)| other.starts_with(&below))
    };
    let without: Vec<&str> = helps
        .iter()
        .filter(|(name, help)| !is_group(name) && !help.contains("\nExample"))
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(without.is_empty(), "no example in the help of {without:?}");
}
