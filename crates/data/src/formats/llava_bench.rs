//! LLaVA-Bench: JSON lines of questions, of what is in the images, and of answers; and the judge's rules.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rows;
use super::table::{self, Fault, Table, fault};
use super::text::{self, Format, empty};
use crate::atomic;
use crate::error::{DataError, Place, Spot};

const QUESTIONS: Format = Format {
    name: "LLaVA-Bench questions",
    expected: "JSON lines of questions",
};
const CONTEXT: Format = Format {
    name: "LLaVA-Bench context",
    expected: "JSON lines of captions and boxes",
};
const ANSWERS: Format = Format {
    name: "LLaVA-Bench answers",
    expected: "JSON lines of answers",
};
const RULES: Format = Format {
    name: "LLaVA-Bench rules",
    expected: "a JSON object of rules by category",
};

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// A question with a short answer.
    Conv,
    /// A full description.
    Detail,
    /// Reasoning beyond what is seen.
    Complex,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Key in the file.
    pub question_id: u64,
    /// File name relative to the image folder.
    pub image: String,
    /// The question.
    pub text: String,
    /// What it asks for.
    pub category: Category,
}

/// What the judge is told of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Key in the file.
    pub id: String,
    /// File name relative to the image folder.
    pub image: String,
    /// Captions written by people.
    pub captions: Vec<String>,
    /// Objects and where they are.
    pub instances: Vec<Instance>,
}

/// An object in an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its kind.
    pub category: String,
    /// Left, top, right and bottom as fractions of the image's sides.
    pub bbox: [f64; 4],
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question: key in the file.
    pub question_id: u64,
    /// The answer.
    pub text: String,
    /// Category of the question, where the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Name of the answer, where the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_id: Option<String>,
    /// Who answered, where the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
}

/// How the judge is to compare answers of a category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What the two candidates are called.
    pub role: String,
    /// The instruction.
    pub prompt: String,
}

/// The rules, by category.
pub type Rules = BTreeMap<String, Rule>;

/// What the three kinds of lines have in common.
trait Line {
    /// Name of the field that is a key.
    const KEY: &'static str;

    fn key(&self) -> String;

    /// What is wrong beyond the types, if anything is.
    fn fault(&self) -> Option<Fault> {
        None
    }
}

impl Line for Question {
    const KEY: &'static str = "question_id";

    fn key(&self) -> String {
        self.question_id.to_string()
    }
}

impl Line for Context {
    const KEY: &'static str = "id";

    fn key(&self) -> String {
        self.id.clone()
    }

    fn fault(&self) -> Option<Fault> {
        let finite = |row: &Instance| row.bbox.iter().all(|side| side.is_finite());
        let row = self.instances.iter().position(|row| !finite(row))?;
        fault(
            format!("instances[{row}].bbox"),
            "found a side that is no number",
        )
    }
}

impl Line for Answer {
    const KEY: &'static str = "question_id";

    fn key(&self) -> String {
        self.question_id.to_string()
    }
}

fn check<T: Line>(table: &Table<'_, T>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique(T::KEY, T::key)?
        .each(T::fault)
        .map(drop)
}

/// Parses the text of a file of questions.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse_questions(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    table::parse_lines(path, text, &QUESTIONS, check)
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
    table::render_lines(path, rows, &QUESTIONS, check)
}

/// Writes a file of questions.
///
/// # Errors
/// As [`render_questions`], or the file cannot be written.
pub fn write_questions(path: &Path, rows: &[Question]) -> Result<(), DataError> {
    atomic::write(path, render_questions(path, rows)?.as_bytes())
}

/// Parses the text of a file of contexts.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse_contexts(path: &Path, text: &str) -> Result<Vec<Context>, DataError> {
    table::parse_lines(path, text, &CONTEXT, check)
}

/// Reads a file of contexts.
///
/// # Errors
/// As [`parse_contexts`], or the file cannot be read.
pub fn read_contexts(path: &Path) -> Result<Vec<Context>, DataError> {
    parse_contexts(path, &text::read(path, &CONTEXT)?)
}

/// The text of a file of contexts.
///
/// # Errors
/// [`DataError`] for contexts that [`parse_contexts`] would refuse.
pub fn render_contexts(path: &Path, rows: &[Context]) -> Result<String, DataError> {
    table::render_lines(path, rows, &CONTEXT, check)
}

/// Writes a file of contexts.
///
/// # Errors
/// As [`render_contexts`], or the file cannot be written.
pub fn write_contexts(path: &Path, rows: &[Context]) -> Result<(), DataError> {
    atomic::write(path, render_contexts(path, rows)?.as_bytes())
}

/// Parses the text of a file of answers.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse_answers(path: &Path, text: &str) -> Result<Vec<Answer>, DataError> {
    table::parse_lines(path, text, &ANSWERS, check)
}

/// Reads a file of answers.
///
/// # Errors
/// As [`parse_answers`], or the file cannot be read.
pub fn read_answers(path: &Path) -> Result<Vec<Answer>, DataError> {
    parse_answers(path, &text::read(path, &ANSWERS)?)
}

/// The text of a file of answers.
///
/// # Errors
/// [`DataError`] for answers that [`parse_answers`] would refuse.
pub fn render_answers(path: &Path, rows: &[Answer]) -> Result<String, DataError> {
    table::render_lines(path, rows, &ANSWERS, check)
}

/// Writes a file of answers.
///
/// # Errors
/// As [`render_answers`], or the file cannot be written.
pub fn write_answers(path: &Path, rows: &[Answer]) -> Result<(), DataError> {
    atomic::write(path, render_answers(path, rows)?.as_bytes())
}

/// Parses the text of a file of rules.
///
/// # Errors
/// [`DataError`] naming category, field and remedy.
pub fn parse_rules(path: &Path, text: &str) -> Result<Rules, DataError> {
    let mut rules = Rules::new();
    for (category, rule) in rows::keyed(path, text, &RULES)? {
        if rules.contains_key(&category) {
            return Err(DataError::DuplicateId {
                spot: Spot::new(path, Place::Key(category.clone()), "key"),
                id: category.clone(),
                first: Place::Key(category),
                remedy: "keep one rule for each category".into(),
            });
        }
        rules.insert(category, rule);
    }
    Ok(rules)
}

/// Reads a file of rules.
///
/// # Errors
/// As [`parse_rules`], or the file cannot be read.
pub fn read_rules(path: &Path) -> Result<Rules, DataError> {
    parse_rules(path, &text::read(path, &RULES)?)
}

/// The text of a file of rules.
///
/// # Errors
/// [`DataError::Empty`] if there are none.
pub fn render_rules(path: &Path, rules: &Rules) -> Result<String, DataError> {
    if rules.is_empty() {
        return Err(empty(path, Place::File, "", &RULES));
    }
    let lines: Vec<String> = rules
        .iter()
        .map(|(category, rule)| format!("{}: {}", rows::row_json(category), rows::row_json(rule)))
        .collect();
    Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
}

/// Writes a file of rules.
///
/// # Errors
/// As [`render_rules`], or the file cannot be written.
pub fn write_rules(path: &Path, rules: &Rules) -> Result<(), DataError> {
    atomic::write(path, render_rules(path, rules)?.as_bytes())
}
