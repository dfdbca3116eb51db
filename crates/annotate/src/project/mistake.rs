//! What is wrong in a project file, and where: told as of recipes, with the line, all at once.

use std::fmt::{self, Write as _};

/// A mistake before its line is looked up.
#[derive(Debug)]
pub(super) struct Found {
    /// The dotted key, elements of arrays in brackets; empty if the text itself is not TOML.
    pub key: String,
    pub problem: String,
    pub remedy: String,
}

impl Found {
    pub(super) fn new(key: &str, problem: impl Into<String>, remedy: &str) -> Self {
        Self {
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.to_owned(),
        }
    }
}

/// A mistake of a project file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1: of the key, or of the table that lacks it.
    pub line: usize,
    /// The dotted key; empty if the text itself is not TOML.
    pub key: String,
    /// What was found.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// All mistakes of a file, as they are printed.
pub(crate) fn listed(file: &str, mistakes: &[Mistake]) -> String {
    let n = mistakes.len();
    let mut text = format!("{file} has {n} mistake{}", if n == 1 { "" } else { "s" });
    for mistake in mistakes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {file}:{mistake}");
    }
    text
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.line)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{} ({})", self.problem, self.remedy)
    }
}
