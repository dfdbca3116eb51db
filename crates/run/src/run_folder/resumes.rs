//! `resumed.jsonl`: what of its recipe a run was continued with that it was not begun with, a line for each change.
//!
//! `{"step": 40, "changes": {"data.micro_batch": {"from": 8, "to": 4}}}`: the steps after 40 were done with 4. There is no
//! such file where nothing changed.

use std::collections::BTreeMap;
use std::path::Path;

use candor_recipe::{free_keys, value_of};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::RunError;
use crate::json_lines::JsonLines;

/// The file's name in the run folder.
pub(super) const FILE: &str = "resumed.jsonl";

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Steps that were done before.
    step: u64,
    /// By dotted key; a key that is absent is null.
    changes: BTreeMap<String, Change>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Change {
    from: Value,
    to: Value,
}

/// Notes which of the keys that may change have another value than the steps before had; `recipes` are the one that the run
/// was begun with and the one that it goes on with.
pub(super) fn note(
    dir: &Path,
    step: u64,
    recipes: [&str; 2],
    may_change: &[String],
) -> Result<(), RunError> {
    let path = dir.join(FILE);
    let notes = read(&path)?;
    let mut changes = BTreeMap::new();
    let mut keys = free_keys(recipes[0], recipes[1], may_change);
    // One of a list that neither of the two has may have been there between them.
    keys.extend(notes.iter().flat_map(|note| note.changes.keys().cloned()));
    for key in keys {
        let [then, to] = recipes.map(|recipe| value_of(recipe, &key));
        let last = notes.iter().rev().find_map(|note| note.changes.get(&key));
        let from = last.map_or(then, |change| change.to.clone());
        if from != to {
            changes.insert(key, Change { from, to });
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    for (key, Change { from, to }) in &changes {
        tracing::info!(
            "{}: {key} = {to} after step {step}, {from} before",
            dir.display()
        );
    }
    let mut lines = JsonLines::open_to_append(&path)?;
    lines.push(&Note { step, changes })?;
    lines.sync()?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Note>, RunError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(RunError::io("read", path))?;
    // A last line without its end was cut off by a kill.
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let notes = lines.enumerate().map(|(number, line)| {
        serde_json::from_str(line).map_err(|error| RunError::LinesFile {
            path: path.to_owned(),
            problem: format!("line {} is damaged: {error}", number + 1),
            remedy: "restore the file, or remove it if the notes do not matter",
        })
    });
    notes.collect()
}
