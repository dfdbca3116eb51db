//! Prompts of reinforcement learning: LLaVA rows with an optional `caption_type` and `length_bonus`.
//!
//! # Reference
//! Only the first human turn is asked. The reference reads the image number from the file name; here any
//! name will do.

use std::cell::Cell;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::hub::Set;
use super::images::Embedded;
use super::table::{Fault, Table, fault};
use super::text::{self, Format};
use super::{folder, llava, rows};
use crate::atomic;
use crate::conversation::{Conversation, Turn, text_or_integer};
use crate::error::DataError;
use crate::prompt::{AnswerType, Prompt};
use crate::rows::{RowName, SourceFile};

const FORMAT: Format = Format {
    name: "PPO prompts",
    expected: "a JSON list of prompts",
};

/// A row of the file. It repeats the fields of a conversation because flattening would cost the errors the
/// path of the field.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    #[serde(deserialize_with = "text_or_integer")]
    id: String,
    #[serde(
        default,
        alias = "images",
        with = "crate::shown",
        skip_serializing_if = "Option::is_none"
    )]
    image: Option<String>,
    conversations: Vec<Turn>,
    #[serde(default)]
    caption_type: AnswerType,
    #[serde(default = "one")]
    length_bonus: f64,
}

fn one() -> f64 {
    1.0
}

impl From<Row> for Prompt {
    fn from(row: Row) -> Self {
        Self {
            conversation: Conversation {
                id: row.id,
                image: row.image,
                turns: row.conversations,
            },
            answer_type: row.caption_type,
            length_bonus: row.length_bonus,
        }
    }
}

impl From<&Prompt> for Row {
    fn from(prompt: &Prompt) -> Self {
        let conversation = prompt.conversation.clone();
        Self {
            id: conversation.id,
            image: conversation.image,
            conversations: conversation.turns,
            caption_type: prompt.answer_type,
            length_bonus: prompt.length_bonus,
        }
    }
}

fn check(table: &Table<'_, Prompt>) -> Result<(), DataError> {
    table.not_empty()?.each(row_fault).map(drop)
}

fn row_fault(row: &Prompt) -> Option<Fault> {
    if !row.length_bonus.is_finite() {
        let found = format!("found {}, expected a finite number", row.length_bonus);
        return fault("length_bonus", found);
    }
    llava::row_fault(&row.conversation)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Prompt>, DataError> {
    let rows: Vec<Row> = rows::list(path, text, &FORMAT)?;
    let prompts: Vec<Prompt> = rows.into_iter().map(Prompt::from).collect();
    check(&Table::list(path, &FORMAT, &prompts))?;
    Ok(prompts)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Prompt>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The rows as the hub has them, in files of any kind.
const SET: Set<Row, Prompt> = Set {
    format: &FORMAT,
    columns: &[
        "id",
        "image",
        "images",
        "conversations",
        "caption_type",
        "length_bonus",
    ],
    make: |_, row| {
        let prompt = Prompt::from(row);
        match row_fault(&prompt) {
            None => Ok(prompt),
            Some(fault) => Err(fault),
        }
    },
};

/// Hands out the prompts of a set with their names as they are read: of a file that is a JSON list, JSON lines or parquet, whatever its
/// name, or of all files of a folder ([`folder::files`]). In a parquet file images may be inside; `embedded` is given their bytes and
/// returns the name that the row has them under.
///
/// # Errors
/// As [`read`] and [`folder::files`], as `embedded` says, or the first of `take`.
pub fn each_of_set(
    path: &Path,
    embedded: Embedded<'_>,
    mut take: impl FnMut(RowName, Prompt) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for path in folder::files(path)? {
        let file = SourceFile::new(&path);
        SET.each(&path, embedded, &Cell::new(0.0), |number, prompt| {
            let id = prompt.conversation.id.as_str();
            take(RowName::numbered(&file, number, id), prompt)
        })?;
    }
    Ok(())
}

/// All prompts that [`each_of_set`] hands out.
///
/// # Errors
/// As [`each_of_set`].
pub fn read_set(path: &Path, embedded: Embedded<'_>) -> Result<Vec<(RowName, Prompt)>, DataError> {
    let mut prompts = Vec::new();
    each_of_set(path, embedded, |name, prompt| {
        prompts.push((name, prompt));
        Ok(())
    })?;
    Ok(prompts)
}

/// The text of a file with these prompts.
///
/// # Errors
/// [`DataError`] for prompts that [`parse`] would refuse.
pub fn render(path: &Path, prompts: &[Prompt]) -> Result<String, DataError> {
    check(&Table::list(path, &FORMAT, prompts))?;
    let rows: Vec<Row> = prompts.iter().map(Row::from).collect();
    Ok(rows::list_json(&rows) + "\n")
}

/// Writes a file with these prompts.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, prompts: &[Prompt]) -> Result<(), DataError> {
    atomic::write(path, render(path, prompts)?.as_bytes())
}
