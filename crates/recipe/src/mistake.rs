//! What is wrong in a recipe, and where.

use std::fmt;
use std::sync::Arc;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line, from 1, of the recipe or of a file that it extends.
    Line(Arc<str>, usize),
    /// An override given on the command line.
    Set(String),
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub origin: Origin,
    /// The dotted key; empty if the text itself is not TOML.
    pub key: String,
    /// What was found.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// So many mistakes are said; a file that is no recipe at all has one in every line.
const MAX_SAID: usize = 40;

/// All mistakes of a recipe, in the order of their files and lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeError {
    /// The recipe's name as the user gave it.
    pub file: String,
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for RecipeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.mistakes.len();
        write!(
            f,
            "{} has {n} mistake{}",
            self.file,
            if n == 1 { "" } else { "s" }
        )?;
        for mistake in self.mistakes.iter().take(MAX_SAID) {
            match &mistake.origin {
                Origin::Line(file, line) => write!(f, "\n  {file}:{line}: ")?,
                Origin::Set(set) => write!(f, "\n  --set {set}: ")?,
            }
            if !mistake.key.is_empty() {
                write!(f, "{}: ", mistake.key)?;
            }
            write!(f, "{}", mistake.problem)?;
            if !mistake.remedy.is_empty() {
                write!(f, " ({})", mistake.remedy)?;
            }
        }
        match n.saturating_sub(MAX_SAID) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for RecipeError {}
