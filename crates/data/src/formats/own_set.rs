//! A user's own set of questions: JSON lines, each with its image, its answer and the rule that scores it.
//!
//! The name that is easier to think of serves: `answer` may be called `reference`. There is no writer.

use std::path::Path;

use serde::Deserialize;

use super::rows;
use super::table::{Fault, Numbering, Table, fault};
use super::text::{self, Format};
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "Own questions",
    expected: "JSON lines of questions with the rule that scores each",
};

/// How an answer is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The same words as the true answer, whatever their case.
    Exact,
    /// A yes or a no, read as POPE reads it.
    YesNo,
    /// The letter of an option, read as MMBench's.
    Letter,
    /// Rated by a judge.
    Judge,
}

/// A key that may be a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(u64),
    Text(String),
}

#[derive(Debug, Deserialize)]
struct Row {
    id: Id,
    image: String,
    question: String,
    #[serde(default)]
    options: Vec<String>,
    #[serde(alias = "reference")]
    answer: Option<String>,
    category: Option<String>,
    rule: Rule,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Key in the file.
    pub id: String,
    /// File name relative to the image folder.
    pub image: String,
    /// The question.
    pub question: String,
    /// Options in the order of their letters, A first; none where the question has them in its words.
    pub options: Vec<String>,
    /// The true answer, as the rule wants it; a judge can do without.
    pub answer: Option<String>,
    /// What it is about.
    pub category: Option<String>,
    /// How its answer is scored.
    pub rule: Rule,
}

impl From<Row> for Question {
    fn from(row: Row) -> Self {
        Self {
            id: match row.id {
                Id::Number(number) => number.to_string(),
                Id::Text(text) => text,
            },
            image: row.image,
            question: row.question,
            options: row.options,
            answer: row.answer,
            category: row.category,
            rule: row.rule,
        }
    }
}

/// What is wrong beyond the types, if anything is.
fn faults(row: &Question) -> Option<Fault> {
    if row.question.trim().is_empty() {
        return fault("question", "found an empty question");
    }
    let answer = row.answer.as_deref().map_or("", str::trim);
    if answer.is_empty() && row.rule != Rule::Judge {
        return fault("answer", "missing, and the rule compares with it");
    }
    if !row.options.is_empty() && row.rule != Rule::Letter {
        return fault("options", "found beside a rule that reads no letter");
    }
    match row.rule {
        Rule::YesNo if !["yes", "no"].contains(&answer.to_lowercase().as_str()) => {
            fault("answer", format!("found {answer:?}, expected yes or no"))
        }
        Rule::Letter => {
            let n = row.options.len();
            if n == 1 || n > 26 {
                return fault("options", format!("found {n}, expected 2 to 26"));
            }
            let last = if n == 0 { b'Z' } else { b'A' + (n - 1) as u8 };
            match answer.as_bytes() {
                [letter] if (b'A'..=last).contains(letter) => None,
                _ => {
                    let found = format!("found {answer:?}, expected A to {}", char::from(last));
                    fault("answer", found)
                }
            }
        }
        _ => None,
    }
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    let (rows, lines) = rows::lines::<Row>(path, text, &FORMAT)?;
    let rows: Vec<Question> = rows.into_iter().map(Into::into).collect();
    let table = Table {
        path,
        format: &FORMAT,
        numbering: Numbering::Lines(&lines),
        rows: &rows,
    };
    table
        .not_empty()?
        .unique("id", |row| row.id.as_str())?
        .each(faults)?;
    Ok(rows)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Question>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_the_answer_that_it_compares_with() {
        let text = r#"{"id":7,"image":"a.jpg","question":"Q?","answer":"B","rule":"letter","options":["x","y"]}
            {"id":"b","image":"a.jpg","question":"R?","reference":"A dog.","category":"dogs","rule":"judge"}
            {"id":"c","image":"a.jpg","question":"S?","rule":"judge"}"#;
        let rows = parse(Path::new("own.jsonl"), text).unwrap();
        assert_eq!((rows[0].id.as_str(), rows[0].rule), ("7", Rule::Letter));
        assert_eq!(rows[0].options, ["x", "y"]);
        assert_eq!(rows[1].answer.as_deref(), Some("A dog."));
        assert_eq!(rows[2].answer, None);
    }
}
