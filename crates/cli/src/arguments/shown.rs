//! The commands that documents and `--help` show, held to what is parsed.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};

use super::Arguments;

/// The Markdown files in a folder and below it.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// What stands between fences.
fn fenced(text: &str) -> String {
    let blocks = text.split("\n```").skip(1).step_by(2);
    blocks.flat_map(|block| [block, "\n"]).collect()
}

/// The lines that are commands of candor and no schemes of them, which have brackets, bars and dots.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let lines = text.lines().map(str::trim);
    lines
        .map(|line| line.strip_prefix("$ ").unwrap_or(line))
        .filter(|line| line.starts_with("candor "))
        .filter(|line| !line.contains(" [") && !line.contains(['|', '…']))
        .map(|line| {
            // A comment, a file for the output, another command: what follows is the shell's.
            let ends = [" #", " > ", " && "]
                .iter()
                .filter_map(|end| line.find(end));
            line[..ends.min().unwrap_or(line.len())].to_owned()
        })
        .collect()
}

/// The words of a command, of which some stand in quotes.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for char in command.chars().chain([' ']) {
        match quote {
            None if char == ' ' => {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            None if ['\'', '"'].contains(&char) => quote = Some(char),
            Some(open) if char == open => quote = None,
            _ => word.push(char),
        }
    }
    words
}

/// The examples of a command and of all below it.
fn examples(command: &Command) -> Vec<String> {
    let own = command.get_after_help().map(ToString::to_string);
    let own = commands(&own.unwrap_or_default());
    let below = command.get_subcommands().flat_map(examples);
    own.into_iter().chain(below).collect()
}

#[test]
fn every_command_that_is_shown_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = vec![root.join("README.md")];
    documents(&root.join("docs"), &mut paths);
    let of_documents = paths.iter().flat_map(|path| {
        let text = fs::read_to_string(path).unwrap();
        commands(&fenced(&text))
    });
    let shown: Vec<String> = of_documents
        .chain(examples(&Arguments::command()))
        .collect();
    assert!(shown.len() > 80, "{} commands are found", shown.len());
    let mistaken: Vec<String> = shown
        .iter()
        .filter_map(|line| {
            let refused = Arguments::command()
                .try_get_matches_from(words(line))
                .err()?;
            Some(format!("{line}\n{refused}"))
        })
        .collect();
    assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));
}
