//! HallusionBench: a JSON list of yes/no questions, several about a figure and each about several figures
//! (tianyi-lab/HallusionBench).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rows;
use super::table::{Table, fault};
use super::text::{self, Format};
use crate::conversation::text_or_integer;
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "HallusionBench",
    expected: "a JSON list of yes/no questions",
};

/// One question about one figure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// `VD`, where the image is needed, or `VS`, where it adds to what the question says.
    pub category: String,
    /// Such as `illusion`, `chart`, `map`.
    pub subcategory: String,
    /// `0` without a figure, `1` with the original one, `2` with one that was changed.
    #[serde(deserialize_with = "text_or_integer")]
    pub visual_input: String,
    /// Figures and questions that belong together.
    #[serde(deserialize_with = "text_or_integer")]
    pub set_id: String,
    /// The figure within its set, `0` for the original.
    #[serde(deserialize_with = "text_or_integer")]
    pub figure_id: String,
    /// The question within its set.
    #[serde(deserialize_with = "text_or_integer")]
    pub question_id: String,
    /// The question.
    pub question: String,
    /// `1` for yes, `0` for no.
    #[serde(deserialize_with = "text_or_integer")]
    pub gt_answer: String,
}

impl Question {
    /// Whether a figure is shown.
    #[must_use]
    pub fn has_figure(&self) -> bool {
        self.visual_input != "0"
    }

    /// The figure's file, relative to the folder of all.
    #[must_use]
    pub fn figure(&self) -> String {
        let (category, subcategory) = (&self.category, &self.subcategory);
        format!(
            "{category}/{subcategory}/{}_{}.png",
            self.set_id, self.figure_id
        )
    }

    /// The question, whatever figure it is asked about.
    #[must_use]
    pub fn pair(&self) -> String {
        let (category, subcategory) = (&self.category, &self.subcategory);
        format!(
            "{category}_{subcategory}_{}_{}",
            self.set_id, self.question_id
        )
    }

    /// The question about this figure.
    #[must_use]
    pub fn key(&self) -> String {
        let (category, subcategory) = (&self.category, &self.subcategory);
        let (set, figure) = (&self.set_id, &self.figure_id);
        format!(
            "{category}_{subcategory}_{set}_{figure}_{}",
            self.question_id
        )
    }
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming row, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Question>, DataError> {
    let rows: Vec<Question> = rows::list(path, text, &FORMAT)?;
    Table::list(path, &FORMAT, &rows)
        .not_empty()?
        .unique("question_id", Question::key)?
        .each(|row| {
            let one_of = |field: &str, found: &str, allowed: &[&str]| {
                if allowed.contains(&found) {
                    return None;
                }
                fault(
                    field,
                    format!("found {found:?}, expected one of {allowed:?}"),
                )
            };
            one_of("category", &row.category, &["VD", "VS"])
                .or_else(|| one_of("visual_input", &row.visual_input, &["0", "1", "2"]))
                .or_else(|| one_of("gt_answer", &row.gt_answer, &["0", "1"]))
        })?;
    Ok(rows)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<Question>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}
