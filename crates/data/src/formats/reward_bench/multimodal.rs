//! Multimodal RewardBench (arXiv 2502.14191): 5000 pairs of answers in six areas, one JSON list.
//!
//! # Reference
//! A row counts under its category; as in the official script, safety is `safety/bias` where the id begins with "pairs" and
//! else `safety/toxicity`, reasoning is `reasoning/math` where it begins with "math" and else `reasoning/coding`. The script takes
//! whatever is not "Output2" for a preferred first answer; here anything but "Output1" and "Output2" is refused.

use std::path::Path;

use serde::Deserialize;

use super::{Names, Pair};
use crate::comparison::Comparison;
use crate::conversation::text_or_integer;
use crate::error::DataError;
use crate::formats::rows;
use crate::formats::table::{Fault, Table};
use crate::formats::text::{self, Format};
use crate::preference::Side;

pub(crate) const FORMAT: Format = Format {
    name: "Multimodal RewardBench",
    expected: "a JSON list of rows with Text, Image, Output1, Output2 and Better",
};

const NAMES: Names = Names {
    image: "Image",
    question: "Text",
    outputs: ["Output1", "Output2"],
};

/// A row as the file has it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "ID", deserialize_with = "text_or_integer")]
    id: String,
    #[serde(default)]
    text: Option<String>,
    image: String,
    output1: String,
    output2: String,
    better: String,
    #[serde(default)]
    category: Option<String>,
}

fn comparison(row: Row) -> Result<Comparison, Fault> {
    let preferred = match row.better.as_str() {
        "Output1" => Side::First,
        "Output2" => Side::Second,
        other => {
            let found = format!("found {other:?}, expected \"Output1\" or \"Output2\"");
            return Err(("Better".to_owned(), found));
        }
    };
    // The set is published without the questions of other sets, and has a script that looks them up.
    let Some(question) = row.text else {
        let found = "missing: the benchmark's own script 0_download_data.py puts the questions in and writes all_data.json";
        return Err(("Text".to_owned(), found.to_owned()));
    };
    let pair = Pair {
        group: row.category.map(|category| group(category, &row.id)),
        image: Some(row.image),
        question,
        outputs: [row.output1, row.output2],
        models: None,
        preferred: Some(preferred),
        id: row.id,
    };
    pair.comparison(&NAMES)
}

/// What a row of a category counts under.
fn group(category: String, id: &str) -> String {
    let id = id.to_lowercase();
    let part = match category.as_str() {
        "safety" if id.starts_with("pairs") => "bias",
        "safety" => "toxicity",
        "reasoning" if id.starts_with("math") => "math",
        "reasoning" => "coding",
        _ => return category,
    };
    format!("{category}/{part}")
}

/// Reads a file.
///
/// # Errors
/// The file cannot be read, or a row is damaged.
pub fn read(path: &Path) -> Result<Vec<Comparison>, DataError> {
    let text = text::read(path, &FORMAT)?;
    let rows = rows::list(path, &text, &FORMAT)?;
    let table = Table::list(path, &FORMAT, &[]);
    table.convert(rows, |_, row| comparison(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safety_and_reasoning_are_two_groups_each() {
        for (category, id, expected) in [
            ("safety", "PAIRS_12", "safety/bias"),
            ("safety", "hateful_3", "safety/toxicity"),
            ("reasoning", "mathvista_4", "reasoning/math"),
            ("reasoning", "image2struct_5", "reasoning/coding"),
            ("vqa", "MMBench_6", "vqa"),
            (
                "open_generation/correctness_task",
                "nocaps_1",
                "open_generation/correctness_task",
            ),
        ] {
            assert_eq!(group(category.to_owned(), id), expected, "{id}");
        }
    }
}
