//! `image_to_caption.json`: a JSON object of facts by image.
//!
//! A plain key holds the captions of the image; `aok_` and the file name holds the rationales of the
//! A-OKVQA questions about it. The correct option belongs to the question and objects are not in this
//! file, so neither is written.

use std::path::Path;

use super::rows;
use super::text::{self, Format, empty};
use crate::atomic;
use crate::error::{DataError, Place, Spot};
use crate::facts::FactBook;

const FORMAT: Format = Format {
    name: "image_to_caption.json",
    expected: "a JSON object of captions by image",
};

/// What a key starts with that holds rationales.
const RATIONALE_PREFIX: &str = "aok_";

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming key and remedy.
pub fn parse(path: &Path, text: &str) -> Result<FactBook, DataError> {
    let mut book = FactBook::new();
    for (key, sentences) in rows::keyed::<Vec<String>>(path, text, &FORMAT)? {
        if sentences.is_empty() {
            return Err(refused(path, &key, "found no captions"));
        }
        let (image, is_rationale) = match key.strip_prefix(RATIONALE_PREFIX) {
            Some(image) => (image, true),
            None => (key.as_str(), false),
        };
        if image.is_empty() {
            return Err(refused(path, &key, "found a key without a file name"));
        }
        let facts = book.entry(image);
        let place = if is_rationale {
            &mut facts.rationale
        } else {
            &mut facts.captions
        };
        if !place.is_empty() {
            return Err(DataError::DuplicateId {
                spot: Spot::new(path, Place::Key(key.clone()), "key"),
                id: key.clone(),
                first: Place::Key(key),
                remedy: "merge the two lists of captions under one key".into(),
            });
        }
        *place = sentences;
    }
    Ok(book)
}

fn refused(path: &Path, key: &str, found: &str) -> DataError {
    DataError::Field {
        spot: Spot::new(path, Place::Key(key.to_owned()), "captions"),
        found: found.to_owned(),
        remedy: FORMAT.remedy().into(),
    }
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<FactBook, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The text of a file with the captions and rationales of this book.
///
/// # Errors
/// [`DataError`] for a book without any, or with an image whose name [`parse`] would misread.
pub fn render(path: &Path, book: &FactBook) -> Result<String, DataError> {
    let mut lines = Vec::new();
    for (image, facts) in book.iter() {
        let said = [
            (String::new() + image, &facts.captions),
            (format!("{RATIONALE_PREFIX}{image}"), &facts.rationale),
        ];
        for (key, sentences) in said.into_iter().filter(|(_, said)| !said.is_empty()) {
            if image.is_empty() || image.starts_with(RATIONALE_PREFIX) {
                return Err(refused(
                    path,
                    image,
                    "found a file name that is empty or starts with `aok_`, which marks rationales",
                ));
            }
            lines.push(format!(
                "{}: {}",
                rows::row_json(&key),
                rows::row_json(sentences)
            ));
        }
    }
    if lines.is_empty() {
        return Err(empty(path, Place::File, "", &FORMAT));
    }
    Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
}

/// Writes a file with the captions and rationales of this book.
///
/// # Errors
/// As [`render`], or the file cannot be written.
pub fn write(path: &Path, book: &FactBook) -> Result<(), DataError> {
    atomic::write(path, render(path, book)?.as_bytes())
}
