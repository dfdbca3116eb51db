//! AMBER: a list of queries, a list of what is true of them, and which words go with which (junyangwang0410/AMBER).

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::pope::Label;
use super::rows;
use super::table::{Table, fault};
use super::text::{self, Format};
use crate::error::DataError;

const QUERIES: Format = Format {
    name: "AMBER queries",
    expected: "a JSON list of queries",
};
const ANNOTATIONS: Format = Format {
    name: "AMBER annotations",
    expected: "a JSON list of annotations",
};
const WORDS: Format = Format {
    name: "AMBER words",
    expected: "a JSON object of lists of words by word",
};

/// What a model is asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Query {
    /// Key in the file.
    pub id: u64,
    /// File name relative to the image folder.
    pub image: String,
    /// The question, or the request to describe.
    pub query: String,
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An image is described.
    Generative,
    /// Is there such an object? The files call it hallucination.
    Existence,
    /// What an object is like.
    State,
    /// How many there are.
    Number,
    /// What somebody does.
    Action,
    /// How two objects stand to each other.
    Relation,
}

impl Kind {
    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Generative => "generative",
            Self::Existence => "existence",
            Self::State => "attribute-state",
            Self::Number => "attribute-number",
            Self::Action => "attribute-action",
            Self::Relation => "relation",
        }
    }

    /// The kind that the files call so; a relation is spelled in two ways.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "generative" => Self::Generative,
            "discriminative-hallucination" => Self::Existence,
            "discriminative-attribute-state" => Self::State,
            "discriminative-attribute-number" => Self::Number,
            "discriminative-attribute-action" => Self::Action,
            "discriminative-relation" | "relation" => Self::Relation,
            _ => return None,
        })
    }
}

/// What is true of a query's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Truth {
    /// Of a description: what is there, and what people are likely to make up.
    Words {
        /// Objects that are there.
        truth: Vec<String>,
        /// Objects that are not there, and that are often said to be.
        hallu: Vec<String>,
    },
    /// Of a question: its answer.
    Said(Label),
}

/// What is true of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The query.
    pub id: u64,
    /// What it is about.
    pub kind: Kind,
    /// What is true.
    pub truth: Truth,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawTruth {
    Words(Vec<String>),
    Said(String),
}

#[derive(Deserialize)]
struct Row {
    id: u64,
    #[serde(rename = "type")]
    kind: String,
    truth: RawTruth,
    #[serde(default)]
    hallu: Vec<String>,
}

/// Parses the text of a file of queries.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse_queries(path: &Path, text: &str) -> Result<Vec<Query>, DataError> {
    let rows: Vec<Query> = rows::list(path, text, &QUERIES)?;
    Table::list(path, &QUERIES, &rows)
        .not_empty()?
        .unique("id", |row| row.id)?;
    Ok(rows)
}

/// Reads a file of queries.
///
/// # Errors
/// As [`parse_queries`], or the file cannot be read.
pub fn read_queries(path: &Path) -> Result<Vec<Query>, DataError> {
    parse_queries(path, &text::read(path, &QUERIES)?)
}

/// Parses the text of a file of annotations.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse_annotations(path: &Path, text: &str) -> Result<Vec<Annotation>, DataError> {
    let rows: Vec<Row> = rows::list(path, text, &ANNOTATIONS)?;
    Table::list(path, &ANNOTATIONS, &rows).unique("id", |row| row.id)?;
    Table::list(path, &ANNOTATIONS, &[]).convert(rows, |_, row: Row| {
        let kind = Kind::of(&row.kind);
        let kind = kind.ok_or_else(|| ("type".to_owned(), format!("found {:?}", row.kind)))?;
        let truth = match (kind, row.truth) {
            (Kind::Generative, RawTruth::Words(truth)) => Truth::Words {
                truth,
                hallu: row.hallu,
            },
            (Kind::Generative, RawTruth::Said(said)) => {
                let found = format!("found {said:?}, expected a list of words");
                return Err(("truth".to_owned(), found));
            }
            (_, RawTruth::Said(said)) if said == "yes" => Truth::Said(Label::Yes),
            (_, RawTruth::Said(said)) if said == "no" => Truth::Said(Label::No),
            _ => {
                let found = "expected `yes` or `no`".to_owned();
                return Err(("truth".to_owned(), found));
            }
        };
        let id = row.id;
        Ok(Annotation { id, kind, truth })
    })
}

/// Reads a file of annotations.
///
/// # Errors
/// As [`parse_annotations`], or the file cannot be read.
pub fn read_annotations(path: &Path) -> Result<Vec<Annotation>, DataError> {
    parse_annotations(path, &text::read(path, &ANNOTATIONS)?)
}

/// Parses the text of a file of words by word: those that go with it (`relation.json`), or those that are like it.
///
/// # Errors
/// [`DataError`] naming the word.
pub fn parse_words(path: &Path, text: &str) -> Result<BTreeMap<String, Vec<String>>, DataError> {
    let rows = rows::keyed::<Vec<String>>(path, text, &WORDS)?;
    Table::list(path, &WORDS, &rows)
        .unique("word", |(word, _)| word.as_str())?
        .each(|(word, _)| {
            if word.trim().is_empty() {
                return fault("word", "found an empty one");
            }
            None
        })?;
    Ok(rows.into_iter().collect())
}

/// Reads a file of words by word.
///
/// # Errors
/// As [`parse_words`], or the file cannot be read.
pub fn read_words(path: &Path) -> Result<BTreeMap<String, Vec<String>>, DataError> {
    parse_words(path, &text::read(path, &WORDS)?)
}
