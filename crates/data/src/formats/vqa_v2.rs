//! VQA-v2: a file of questions and a file of annotations, joined by `question_id`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rows;
use super::table::{Fault, Table, fault};
use super::text::{self, Format};
use crate::atomic;
use crate::error::DataError;
use crate::formats::ImageId;

const QUESTIONS: Format = Format {
    name: "VQA-v2 questions",
    expected: "an object with a list `questions`",
};
const ANNOTATIONS: Format = Format {
    name: "VQA-v2 annotations",
    expected: "an object with a list `annotations`",
};

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The image.
    pub image_id: ImageId,
    /// The question.
    pub question: String,
    /// Key in the file.
    pub question_id: u64,
}

/// What people answered to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// The question: key in the file.
    pub question_id: u64,
    /// The image.
    pub image_id: ImageId,
    /// The first words of the question, such as `is there`.
    pub question_type: String,
    /// `yes/no`, `number` or `other`.
    pub answer_type: String,
    /// What each of the people answered; ten in the public set.
    pub answers: Vec<Answer>,
    /// The answer given most often, where the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_choice_answer: Option<String>,
}

impl Annotation {
    /// `multiple_choice_answer` where the file has it, otherwise the answer given most often, the earlier of two equals.
    #[must_use]
    pub fn agreed_answer(&self) -> Option<&str> {
        if let Some(answer) = &self.multiple_choice_answer {
            return Some(answer);
        }
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for answer in &self.answers {
            match counts.iter_mut().find(|(text, _)| *text == answer.answer) {
                Some((_, count)) => *count += 1,
                None => counts.push((&answer.answer, 1)),
            }
        }
        // `max_by_key` keeps the last of equals; reversed, that is the earliest.
        let most = counts.iter().rev().max_by_key(|(_, count)| *count);
        most.map(|(text, _)| *text)
    }
}

/// What one person answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The answer.
    pub answer: String,
    /// `yes`, `maybe` or `no`, where the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_confidence: Option<String>,
    /// Number of the person, from 1.
    pub answer_id: u64,
}

fn check_questions(table: &Table<'_, Question>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique("question_id", |row| row.question_id)
        .map(drop)
}

fn check_annotations(table: &Table<'_, Annotation>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique("question_id", |row| row.question_id)?
        .each(annotation_fault)
        .map(drop)
}

fn annotation_fault(row: &Annotation) -> Option<Fault> {
    if row.answers.is_empty() && row.multiple_choice_answer.is_none() {
        return fault("answers", "found no answer");
    }
    None
}

/// Parses the text of a file of questions.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse_questions(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    let rows = rows::named_list(path, text, &QUESTIONS, "questions")?;
    check_questions(&Table::named(path, &QUESTIONS, "questions", &rows))?;
    Ok(rows)
}

/// Reads a file of questions.
///
/// # Errors
/// As [`parse_questions`], or the file cannot be read.
pub fn read_questions(path: &Path) -> Result<Vec<Question>, DataError> {
    parse_questions(path, &text::read(path, &QUESTIONS)?)
}

/// The text of a file of questions.
///
/// # Errors
/// [`DataError`] for questions that [`parse_questions`] would refuse.
pub fn render_questions(path: &Path, rows: &[Question]) -> Result<String, DataError> {
    check_questions(&Table::named(path, &QUESTIONS, "questions", rows))?;
    Ok(format!("{{\"questions\": {}}}\n", rows::list_json(rows)))
}

/// Writes a file of questions.
///
/// # Errors
/// As [`render_questions`], or the file cannot be written.
pub fn write_questions(path: &Path, rows: &[Question]) -> Result<(), DataError> {
    atomic::write(path, render_questions(path, rows)?.as_bytes())
}

/// Parses the text of a file of annotations.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse_annotations(path: &Path, text: &str) -> Result<Vec<Annotation>, DataError> {
    let rows = rows::named_list(path, text, &ANNOTATIONS, "annotations")?;
    check_annotations(&Table::named(path, &ANNOTATIONS, "annotations", &rows))?;
    Ok(rows)
}

/// Reads a file of annotations.
///
/// # Errors
/// As [`parse_annotations`], or the file cannot be read.
pub fn read_annotations(path: &Path) -> Result<Vec<Annotation>, DataError> {
    parse_annotations(path, &text::read(path, &ANNOTATIONS)?)
}

/// Reads a file of annotations and keeps of each what was agreed on, as its `multiple_choice_answer`, and no single answers:
/// so the millions of answers of the public file need not fit into the memory.
///
/// # Errors
/// As [`read_annotations`].
pub fn read_agreed(path: &Path) -> Result<Vec<Annotation>, DataError> {
    let mut kept = Vec::new();
    rows::each(
        path,
        &ANNOTATIONS,
        Some("annotations"),
        |row: Annotation| {
            if let Some(fault) = annotation_fault(&row) {
                let table = Table::<Annotation>::named(path, &ANNOTATIONS, "annotations", &[]);
                return Err(table.refusal(kept.len(), fault));
            }
            kept.push(Annotation {
                multiple_choice_answer: row.agreed_answer().map(str::to_owned),
                answers: Vec::new(),
                ..row
            });
            Ok(())
        },
    )?;
    check_annotations(&Table::named(path, &ANNOTATIONS, "annotations", &kept))?;
    Ok(kept)
}

/// The text of a file of annotations.
///
/// # Errors
/// [`DataError`] for annotations that [`parse_annotations`] would refuse.
pub fn render_annotations(path: &Path, rows: &[Annotation]) -> Result<String, DataError> {
    check_annotations(&Table::named(path, &ANNOTATIONS, "annotations", rows))?;
    Ok(format!("{{\"annotations\": {}}}\n", rows::list_json(rows)))
}

/// Writes a file of annotations.
///
/// # Errors
/// As [`render_annotations`], or the file cannot be written.
pub fn write_annotations(path: &Path, rows: &[Annotation]) -> Result<(), DataError> {
    atomic::write(path, render_annotations(path, rows)?.as_bytes())
}
