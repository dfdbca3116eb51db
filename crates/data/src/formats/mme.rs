//! MME: for each of its tasks lines of an image, a question and `Yes` or `No`, with tabs between them, as in the folder
//! `Your_Results` of its tool.

use std::path::Path;

use super::pope::Label;
use super::text::{self, Format, empty};
use crate::error::{DataError, Place, Spot};

const FORMAT: Format = Format {
    name: "MME",
    expected: "lines of an image, a question, and Yes or No, with tabs between them",
};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// File name within the task's folder.
    pub image: String,
    /// The question, with the request to answer yes or no.
    pub text: String,
    /// The true answer.
    pub label: Label,
}

/// Parses the text of a file. What stands behind the answer is left out: the tool puts a model's answer there.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    let mut rows = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let refused = |field: &str, found: String| DataError::Field {
            spot: Spot::new(path, Place::Line(i + 1), field),
            found,
            remedy: FORMAT.remedy().into(),
        };
        let mut parts = line.split('\t').map(str::trim);
        let mut next = |field: &str| {
            let part = parts.next().filter(|part| !part.is_empty());
            part.ok_or_else(|| refused(field, "missing".to_owned()))
        };
        let (image, text, said) = (next("image")?, next("question")?, next("answer")?);
        let label = match said.to_lowercase().as_str() {
            "yes" => Label::Yes,
            "no" => Label::No,
            _ => {
                return Err(refused(
                    "answer",
                    format!("found {said:?}, expected Yes or No"),
                ));
            }
        };
        rows.push(Question {
            image: image.to_owned(),
            text: text.to_owned(),
            label,
        });
    }
    if rows.is_empty() {
        return Err(empty(path, Place::File, "", &FORMAT));
    }
    Ok(rows)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Question>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}
