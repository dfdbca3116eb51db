//! What people say of single answers: JSON lines of answers, each with its ratings from 0 to 6.
//!
//! The scale is MMHal-Bench's (arXiv 2309.14525, section 3): below 3 an answer hallucinates, and within each half more is
//! better the more it helps.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::table::{self, Fault, Table, fault};
use super::text::{self, Format};
use crate::error::DataError;

const FORMAT: Format = Format {
    name: "Ratings",
    expected: "JSON lines of answers with ratings",
};

/// The highest rating.
pub const MAX_RATING: u8 = 6;
/// A rating below this says that the answer hallucinates.
pub const HALLUCINATED_BELOW: u8 = 3;

/// Whether a rating says that the answer hallucinates.
#[must_use]
pub fn hallucinates(rating: u8) -> bool {
    rating < HALLUCINATED_BELOW
}

/// An answer that people rated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatedItem {
    /// Its id.
    pub id: String,
    /// File name relative to an image folder, or several ([`crate::shown`]).
    #[serde(
        default,
        alias = "images",
        with = "crate::shown",
        skip_serializing_if = "Option::is_none"
    )]
    pub image: Option<String>,
    /// What was asked.
    pub question: String,
    /// What was answered.
    pub answer: String,
    /// What people say of it, in the order in which they did.
    #[serde(default)]
    pub ratings: Vec<Rating>,
    /// What an adjudicator decided where people disagreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<u8>,
}

/// What one person says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    /// Who.
    pub annotator: String,
    /// From 0 to [`MAX_RATING`].
    pub rating: u8,
    /// When, in seconds since 1970-01-01 UTC.
    pub unix_secs: u64,
    /// Words of the answer that are false.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<FalseWords>,
    /// What should have been answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Words that are false: the characters (Unicode code points) from `start` up to, not including, `end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FalseWords {
    /// First character.
    pub start: usize,
    /// The character after the last.
    pub end: usize,
    /// What is false about them, as the annotation app calls it.
    #[serde(rename = "type")]
    pub kind: String,
}

impl RatedItem {
    /// The ratings that count: what was decided, and otherwise what everybody says.
    #[must_use]
    pub fn counted(&self) -> Vec<u8> {
        match self.decided {
            Some(decided) => vec![decided],
            None => self.ratings.iter().map(|given| given.rating).collect(),
        }
    }
}

fn row_fault(row: &RatedItem) -> Option<Fault> {
    let given = row.ratings.iter().map(|given| given.rating);
    let mut all = given.chain(row.decided);
    if row.ratings.is_empty() && row.decided.is_none() {
        return fault("ratings", "found none");
    }
    let outside = all.find(|&rating| rating > MAX_RATING)?;
    fault(
        "ratings",
        format!("found {outside}, expected 0 to {MAX_RATING}"),
    )
}

fn check(table: &Table<'_, RatedItem>) -> Result<(), DataError> {
    table
        .not_empty()?
        .unique("id", |row| row.id.as_str())?
        .each(row_fault)
        .map(drop)
}

/// Parses the text of a file.
///
/// # Errors
/// [`DataError`] naming line, field and remedy.
pub fn parse(path: &Path, text: &str) -> Result<Vec<RatedItem>, DataError> {
    table::parse_lines(path, text, &FORMAT, check)
}

/// Reads a file.
///
/// # Errors
/// As [`parse`], or the file cannot be read.
pub fn read(path: &Path) -> Result<Vec<RatedItem>, DataError> {
    parse(path, &text::read(path, &FORMAT)?)
}

/// The text of a file with these rows.
///
/// # Errors
/// [`DataError`] for rows that [`parse`] would refuse.
pub fn render(path: &Path, rows: &[RatedItem]) -> Result<String, DataError> {
    table::render_lines(path, rows, &FORMAT, check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_what_is_no_rating_is_refused() {
        let rated = |rating: u8| {
            format!(
                r#"{{"id":"r/mmhal/0","image":["a.png","b.png"],"question":"What is it?","answer":"A cup.","ratings":[{{"annotator":"anna","rating":{rating},"unix_secs":7}}]}}"#
            )
        };
        let path = Path::new("ratings.jsonl");
        let text = rated(6) + "\n";
        let rows = parse(path, &text).unwrap();
        assert_eq!(rows[0].counted(), [6]);
        assert_eq!(render(path, &rows).unwrap(), text);
        let decided = rated(6).replace("]}", r#"],"decided":0}"#);
        assert_eq!(parse(path, &decided).unwrap()[0].counted(), [0]);
        let nobody = r#"{"id":"1","question":"q","answer":"a","ratings":[]}"#.to_owned();
        for (text, words) in [
            (rated(7), "found 7, expected 0 to 6"),
            (nobody, "found none"),
            (format!("{text}{text}"), "r/mmhal/0"),
        ] {
            let message = parse(path, &text).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }
}
