//! Object-HalBench (arXiv 2312.00849): prompts that ask for descriptions of COCO's images, JSON lines, the images possibly inside.
//!
//! The published file has 300 rows, each about an image of its own.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::rows;
use super::table::{Numbering, Table, fault};
use super::text::{self, Format};
use crate::conversation::text_or_integer;
use crate::error::{DataError, Place, Spot};

const FORMAT: Format = Format {
    name: "Object-HalBench",
    expected: "JSON lines with image_id and question",
};

/// Longer images are refused before they are decoded.
const MAX_IMAGE_CHARS: usize = 64 << 20;

/// One prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// COCO's number of its image; a key in the file.
    pub image_id: u64,
    /// What is asked.
    pub question: String,
    /// Its image where it is inside the file: base64 of a JPEG or PNG file.
    pub image: Option<String>,
}

/// A row as the file has it.
#[derive(Deserialize)]
struct Row {
    #[serde(deserialize_with = "text_or_integer")]
    image_id: String,
    question: String,
    #[serde(default)]
    image: Option<String>,
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    let (rows, lines): (Vec<Row>, Vec<usize>) = rows::lines(path, text, &FORMAT)?;
    let table = Table {
        path,
        format: &FORMAT,
        numbering: Numbering::Lines(&lines),
        rows: &[],
    };
    let questions = table.convert(rows, |_, row| {
        let image_id = row.image_id.trim().parse().map_err(|_| {
            let found = format!(
                "found {:?}, expected COCO's number of an image",
                row.image_id
            );
            ("image_id".to_owned(), found)
        })?;
        Ok(Question {
            image_id,
            question: row.question,
            image: row.image,
        })
    })?;
    let table = Table {
        path,
        format: &FORMAT,
        numbering: Numbering::Lines(&lines),
        rows: &questions,
    };
    table.each(|row| {
        if row.question.trim().is_empty() {
            return fault("question", "found nothing but blanks");
        }
        let too_long = |image: &String| image.len() > MAX_IMAGE_CHARS;
        if row.image.as_ref().is_some_and(too_long) {
            return fault(
                "image",
                format!("found more than {MAX_IMAGE_CHARS} characters"),
            );
        }
        None
    })?;
    table.unique("image_id", |row| row.image_id)?;
    Ok(questions)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Question>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The bytes of the image of a question of the file `path`; none where it is not inside.
///
/// # Errors
/// It is not base64.
pub fn image(path: &Path, question: &Question) -> Result<Option<Vec<u8>>, DataError> {
    let decoded = question.image.as_ref().map(|image| STANDARD.decode(image));
    decoded.transpose().map_err(|error| DataError::Field {
        spot: Spot::new(path, Place::Key(question.image_id.to_string()), "image"),
        found: format!("not base64: {error}"),
        remedy: FORMAT.remedy().into(),
    })
}
