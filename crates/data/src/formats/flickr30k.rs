//! Flickr30k's token file: lines of `file#n`, a tab, and a caption.

use std::path::Path;

use super::table::{Fault, Numbering, Table, fault};
use super::text::{self, Format, empty};
use crate::atomic;
use crate::error::{DataError, Place, Spot};

const FORMAT: Format = Format {
    name: "Flickr30k token file",
    expected: "lines of file#n, a tab, and a caption",
};

/// One caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// File name relative to the image folder.
    pub image: String,
    /// Number of the caption among those of its image, from 0.
    pub index: u32,
    /// The caption.
    pub text: String,
}

fn check(table: &Table<'_, Caption>) -> Result<(), DataError> {
    table
        .not_empty()?
        .each(row_fault)?
        .unique("image", |row| format!("{}#{}", row.image, row.index))
        .map(drop)
}

/// What cannot stand in a line of its own.
fn row_fault(row: &Caption) -> Option<Fault> {
    if row.image.is_empty() || row.image.contains(['\t', '\n', '\r']) {
        return fault("image", format!("found {:?}, not a file name", row.image));
    }
    if row.text.trim().is_empty() || row.text.contains(['\n', '\r']) {
        return fault(
            "caption",
            format!("found {:?}, expected one line of text", row.text),
        );
    }
    None
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Caption>, DataError> {
    let mut captions = Vec::new();
    let mut lines = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let caption = parse_line(line).map_err(|(field, found)| DataError::Field {
            spot: Spot::new(path, Place::Line(i + 1), field),
            found,
            remedy: FORMAT.remedy().into(),
        })?;
        captions.push(caption);
        lines.push(i + 1);
    }
    if captions.is_empty() {
        return Err(empty(path, Place::File, "", &FORMAT));
    }
    check(&Table {
        path,
        format: &FORMAT,
        numbering: Numbering::Lines(&lines),
        rows: &captions,
    })?;
    Ok(captions)
}

fn parse_line(line: &str) -> Result<Caption, Fault> {
    let Some((key, text)) = line.split_once('\t') else {
        return Err((
            "caption".into(),
            format!(
                "no tab between `file#n` and the caption in {}",
                quoted(line)
            ),
        ));
    };
    let Some((image, number)) = key.rsplit_once('#') else {
        return Err((
            "image".into(),
            format!("found {}, expected `file#n`", quoted(key)),
        ));
    };
    let index = number.parse().map_err(|_| {
        let found = format!("found {} after `#`, expected a number", quoted(number));
        ("index".to_owned(), found)
    })?;
    Ok(Caption {
        image: image.to_owned(),
        index,
        text: text.to_owned(),
    })
}

/// The beginning of a text, for messages.
fn quoted(text: &str) -> String {
    let start: String = text.chars().take(60).collect();
    format!("{start:?}")
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Caption>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The text of a file with these captions.
///
/// # Errors
/// [`DataError`] for captions that [`parse`] would refuse.
pub fn render(path: &Path, captions: &[Caption]) -> Result<String, DataError> {
    check(&Table {
        path,
        format: &FORMAT,
        numbering: Numbering::EveryLine,
        rows: captions,
    })?;
    let line = |row: &Caption| format!("{}#{}\t{}\n", row.image, row.index, row.text);
    Ok(captions.iter().map(line).collect())
}

/// Writes a file with these captions.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, captions: &[Caption]) -> Result<(), DataError> {
    atomic::write(path, render(path, captions)?.as_bytes())
}
