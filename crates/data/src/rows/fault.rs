//! What is wrong with a row, and how that is told.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::RowName;
use crate::error::{DataError, Place, Remedy};

/// Why a row cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It has more tokens than the recipe or the model allows.
    TooLong,
    /// Its image is not in the image folder.
    MissingImage,
    /// Its image cannot be decoded.
    UnreadableImage,
    /// There is nothing to learn: no answer, or a blank one.
    EmptyAnswer,
    /// It has more or fewer places for an image than images.
    PlaceholderCount,
    /// The model's template or tokenizer does not take it.
    Template,
    /// Facts are shown, and none are known of its image.
    NoFacts,
    /// Its annotation is missing, unusable or of another image.
    Annotation,
    /// Nobody has said which of its answers is better.
    Unjudged,
}

impl Reason {
    /// Its name, as in `skipped.jsonl` and `result.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::MissingImage => "missing_image",
            Self::UnreadableImage => "unreadable_image",
            Self::EmptyAnswer => "empty_answer",
            Self::PlaceholderCount => "placeholder_count",
            Self::Template => "template",
            Self::NoFacts => "no_facts",
            Self::Annotation => "annotation",
            Self::Unjudged => "unjudged",
        }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// The kind of fault.
    pub reason: Reason,
    /// The field at fault.
    pub field: Cow<'static, str>,
    /// What was found there.
    pub found: String,
    /// What to do.
    pub remedy: Remedy,
}

impl RowFault {
    /// A fault of one field.
    pub fn new(
        reason: Reason,
        field: impl Into<Cow<'static, str>>,
        found: impl Into<String>,
        remedy: impl Into<Remedy>,
    ) -> Self {
        Self {
            reason,
            field: field.into(),
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    /// An image that cannot be decoded, and why.
    #[must_use]
    pub fn unreadable(error: &DataError) -> Self {
        let why = |found, remedy| Self::new(Reason::UnreadableImage, "image", found, remedy);
        match error {
            DataError::Image {
                path,
                found,
                remedy,
            } => why(format!("image {}: {found}", path.display()), remedy.clone()),
            DataError::Io {
                action,
                path,
                remedy,
                source,
            } => why(
                format!("cannot {action} {}: {source}", path.display()),
                remedy.clone(),
            ),
            other => why(other.to_string(), "or remove the row".into()),
        }
    }

    /// The same fault; for this reason with what the stage at hand knows to advise.
    #[must_use]
    pub fn advise(mut self, reason: Reason, remedy: impl Into<Remedy>) -> Self {
        if self.reason == reason {
            self.remedy = remedy.into();
        }
        self
    }
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Which row.
    pub name: RowName,
    /// What is wrong with it.
    pub fault: RowFault,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RowFault {
            field,
            found,
            remedy,
            ..
        } = &self.fault;
        write!(f, "{}, field `{field}`: {found}; {remedy}", self.name)
    }
}

/// As a line of `skipped.jsonl`.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    file: Cow<'a, str>,
    /// Index of the row, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
    /// Line of the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// Key of the row, or name of its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    id: &'a str,
    reason: Reason,
    field: &'a str,
    found: &'a str,
}

impl<'a> From<&'a BadRow> for Listed<'a> {
    fn from(bad: &'a BadRow) -> Self {
        let (row, line, key) = match &bad.name.place {
            Place::File => (None, None, None),
            Place::Row { row, line, .. } => (Some(*row), *line, None),
            Place::Line(line) => (None, Some(*line), None),
            Place::Key(key) => (None, None, Some(key.as_str())),
        };
        Self {
            source: bad.name.file.source.as_deref(),
            file: bad.name.file.path.to_string_lossy(),
            row,
            line,
            key,
            id: &bad.name.id,
            reason: bad.fault.reason,
            field: &bad.fault.field,
            found: &bad.fault.found,
        }
    }
}

/// The rows that cannot be used, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BadRows(pub Vec<BadRow>);

impl BadRows {
    /// So many are named at once; the rest is counted.
    pub const SHOWN: usize = 20;

    /// How many there are for each reason.
    #[must_use]
    pub fn by_reason(&self) -> BTreeMap<Reason, usize> {
        let mut counts = BTreeMap::new();
        for bad in &self.0 {
            *counts.entry(bad.fault.reason).or_insert(0) += 1;
        }
        counts
    }

    /// `2 too_long, 1 missing_image`.
    #[must_use]
    pub fn summary(&self) -> String {
        summary(&self.by_reason())
    }

    /// The rows as JSON lines.
    #[must_use]
    pub fn to_jsonl(&self) -> String {
        // Strings and numbers under fixed keys always serialise.
        let line = |bad: &BadRow| serde_json::to_string(&Listed::from(bad)).unwrap_or_default();
        self.0.iter().map(|bad| line(bad) + "\n").collect()
    }
}

/// `2 too_long, 1 missing_image`.
pub(super) fn summary(by_reason: &BTreeMap<Reason, usize>) -> String {
    let count = |(reason, n): (&Reason, &usize)| format!("{n} {}", reason.name());
    let counts: Vec<String> = by_reason.iter().map(count).collect();
    counts.join(", ")
}

impl fmt::Display for BadRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [bad] = &self.0[..] {
            return bad.fmt(f);
        }
        let n = self.0.len();
        write!(f, "{n} rows cannot be used ({}):", self.summary())?;
        for bad in self.0.iter().take(Self::SHOWN) {
            write!(f, "\n  {bad}")?;
        }
        match n.saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
