//! VL-RewardBench (arXiv 2411.17451): 1250 pairs of answers that people ranked.
//!
//! The Hugging Face hub has it as parquet with the images inside, its repository as JSON lines that name them. Of the two
//! numbers of `human_ranking` each is the rank of an answer, of which the less is better: `[0, 1]` prefers the first, as `[1, 2]`
//! does. Equal ranks prefer none, and their row is not judged.
//!
//! Sets of other makers in the same form may say in `group` what a row counts under; the released files do not have it.
//!
//! # Reference
//! A row counts under `general`, `hallucination` or `reasoning`. The official script tells these by the folder of the image,
//! which the parquet file does not have; here, as in lmms-eval, what the row's id begins with tells them, in both files.

use std::cell::Cell;
use std::cmp::Ordering;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Names, Pair};
use crate::atomic;
use crate::comparison::Comparison;
use crate::conversation::text_or_integer;
use crate::error::DataError;
use crate::formats::hub::Set;
use crate::formats::images::Embedded;
use crate::formats::rows;
use crate::formats::table::Fault;
use crate::formats::text::Format;
use crate::preference::Side;

pub(crate) const FORMAT: Format = Format {
    name: "VL-RewardBench",
    expected: "JSON rows with query, response and human_ranking",
};

const SET: Set<Row, Comparison> = Set {
    format: &FORMAT,
    columns: &[
        "id",
        "image",
        "image_path",
        "query",
        "response",
        "human_ranking",
        "models",
        "group",
    ],
    make: |_, row| comparison(row),
};

const NAMES: Names = Names {
    image: "image",
    question: "query",
    outputs: ["response[0]", "response[1]"],
};

/// A row as the files have it.
#[derive(Deserialize)]
struct Row {
    #[serde(deserialize_with = "text_or_integer")]
    id: String,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    image_path: Option<String>,
    query: String,
    response: Vec<String>,
    human_ranking: Vec<i64>,
    #[serde(default)]
    models: Option<Vec<String>>,
    #[serde(default)]
    group: Option<String>,
}

/// A row of a set in this form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ranked {
    /// Name of the row.
    pub id: String,
    /// File name relative to the image folder.
    pub image: String,
    /// The question.
    pub query: String,
    /// The answers.
    pub response: [String; 2],
    /// Rank of each, of which the less is better.
    pub human_ranking: [u8; 2],
    /// What the row counts under.
    pub group: String,
}

fn comparison(row: Row) -> Result<Comparison, Fault> {
    let own = row.group.filter(|group| !group.trim().is_empty());
    let group = own.unwrap_or_else(|| group(&row.id).to_owned());
    let outputs: [String; 2] = row.response.try_into().map_err(|answers: Vec<String>| {
        let found = format!("found {} answers, expected two", answers.len());
        ("response".to_owned(), found)
    })?;
    let [first, second] = row.human_ranking[..] else {
        let found = format!("found {} ranks, expected two", row.human_ranking.len());
        return Err(("human_ranking".to_owned(), found));
    };
    let preferred = match first.cmp(&second) {
        Ordering::Less => Some(Side::First),
        Ordering::Equal => None,
        Ordering::Greater => Some(Side::Second),
    };
    let pair = Pair {
        image: row.image.or(row.image_path),
        question: row.query,
        outputs,
        models: row.models.and_then(|models| models.try_into().ok()),
        group: Some(group),
        preferred,
        id: row.id,
    };
    pair.comparison(&NAMES)
}

/// What a row counts under: `hallucination_pair-811`, `RLAIF-V-14` and `RLHF-V-3` are about hallucinations,
/// `mathverse_2714` and `mmmu_pro_test_Art_35` about reasoning, all others general.
fn group(id: &str) -> &'static str {
    let begins = id.split(['-', '_']).next().unwrap_or_default();
    match begins.to_lowercase().as_str() {
        "hallucination" | "rlhf" | "rlaif" => "hallucination",
        "mathverse" | "mmmu" => "reasoning",
        _ => "general",
    }
}

/// Reads a file: JSON lines, a JSON list, or parquet, whatever its name. In a parquet file images are inside; `embedded` is
/// given their bytes and returns the name that the row has them under.
///
/// # Errors
/// The file cannot be read, a row is damaged, or as `embedded` says.
pub fn read(path: &Path, embedded: Embedded<'_>) -> Result<Vec<Comparison>, DataError> {
    SET.read(path, embedded)
}

/// Hands out the rows of a file with what [`read`] makes of each, as they are read: never more than one row of JSON, or a group of
/// parquet's, is in memory. The first that `take` refuses ends it.
///
/// # Errors
/// As [`read`], or the first of `take`.
pub fn each(
    path: &Path,
    embedded: Embedded<'_>,
    mut take: impl FnMut(Comparison) -> Result<(), DataError>,
) -> Result<(), DataError> {
    SET.each(path, embedded, &Cell::new(0.0), |_, row| take(row))
}

/// Writes a file of JSON lines with these rows.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, rows: &[Ranked]) -> Result<(), DataError> {
    atomic::write(path, rows::lines_json(rows).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_group() {
        // Ids of the released file.
        for (id, expected) in [
            ("LRVInstruction-000000007746", "general"),
            ("wildvision-battle-17", "general"),
            ("VLFeedback_3", "general"),
            ("RLAIF-V-14", "hallucination"),
            ("RLHF-V-9", "hallucination"),
            ("hallucination_pair-7997", "hallucination"),
            ("mathverse_1649_1", "reasoning"),
            ("mmmu_pro_validation_Public_Health_29", "reasoning"),
        ] {
            assert_eq!(group(id), expected, "{id}");
        }
    }

    #[test]
    fn the_lesser_rank_is_preferred() {
        for (ranks, expected) in [
            ("[0, 1]", Some(Side::First)),
            ("[1, 0]", Some(Side::Second)),
            ("[1, 2]", Some(Side::First)),
            ("[3, 1]", Some(Side::Second)),
            ("[1, 1]", None),
        ] {
            let json = format!(
                r#"{{"id": "r", "image": "a.png", "query": "What?", "response": ["A.", "B."], "human_ranking": {ranks}}}"#
            );
            let row: Row = serde_json::from_str(&json).unwrap();
            assert_eq!(comparison(row).unwrap().preferred(), expected, "{ranks}");
        }
    }

    #[test]
    fn a_row_may_say_its_group_and_what_is_written_is_read_back() {
        let row = |group: &str| Ranked {
            id: "RLAIF-V-1".to_owned(),
            image: "a.png".to_owned(),
            query: "What?".to_owned(),
            response: ["A.".to_owned(), "B.".to_owned()],
            human_ranking: [1, 0],
            group: group.to_owned(),
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs.jsonl");
        write(&path, &[row("place"), row(" ")]).unwrap();
        let found = read(&path, &mut |_| unreachable!("no image is inside")).unwrap();
        let groups: Vec<Option<&str>> = found.iter().map(|row| row.group.as_deref()).collect();
        // Blanks say nothing, and the id tells.
        assert_eq!(groups, [Some("place"), Some("hallucination")]);
        assert_eq!(found[0].preferred(), Some(Side::Second));
        assert_eq!(found[0].image.as_deref(), Some("a.png"));
        assert_eq!(found[0].outputs, ["A.", "B."]);
    }
}
