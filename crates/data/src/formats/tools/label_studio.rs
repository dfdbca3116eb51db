//! Label Studio's JSON: a list of tasks with `data`, and `annotations` whose `result` is a list of what was said.
//!
//! Understood are the tag `Pairwise` (`selected` is `left` or `right`), and `Choices` of the names `first` and `second`, which are the
//! two questions of the protocol (`a`, `b` or `tie`). A second result of one of these in an annotation is refused. Other results, as
//! rectangles, labels and texts, are counted by their type and name. Cancelled annotations say nothing, and beside one that is the ground truth
//! no other counts.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::rows;
use super::super::table::{Fault, Table};
use super::super::text::{self, Format};
use super::{Reading, Taken, Task, Vote, text_of};
use crate::comparison::Comparison;
use crate::error::DataError;
use crate::preference::Verdict;

const FORMAT: Format = Format {
    name: "Label Studio",
    expected: "a JSON list of tasks with data",
};

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: Option<Value>,
    data: Map<String, Value>,
    #[serde(default)]
    annotations: Vec<Annotation>,
    #[serde(default)]
    predictions: Vec<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    result: Vec<Said>,
    #[serde(default)]
    was_cancelled: bool,
    #[serde(default)]
    ground_truth: bool,
}

/// One thing that was said.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    from_name: String,
    #[serde(default)]
    to_name: String,
    #[serde(default)]
    value: Map<String, Value>,
}

/// Reads a file.
///
/// # Errors
/// The file cannot be read, or a task has no question or no two answers.
pub fn read(path: &Path) -> Result<Taken, DataError> {
    let rows: Vec<Row> = rows::list(path, &text::read(path, &FORMAT)?, &FORMAT)?;
    let table = Table::<Row>::list(path, &FORMAT, &[]);
    let mut reading = Reading::default();
    let mut taken = Vec::with_capacity(rows.len());
    for (i, row) in rows.into_iter().enumerate() {
        let made = comparison(i, &row, &mut reading);
        taken.push(made.map_err(|fault| table.refusal(i, fault))?);
    }
    Table::list(path, &FORMAT, &taken).unique("id", |row| row.id.as_str())?;
    Ok(reading.taken(taken))
}

fn comparison(i: usize, row: &Row, reading: &mut Reading) -> Result<Comparison, Fault> {
    let task = Task::of(&row.data, "data", reading)?;
    for name in row.others.keys() {
        reading.leave(name.clone());
    }
    let (mut votes, mut truths) = (Vec::new(), Vec::new());
    for annotation in &row.annotations {
        if annotation.was_cancelled {
            reading.leave("cancelled annotations".to_owned());
            continue;
        }
        match vote(&task, &annotation.result, reading)? {
            Some(vote) if annotation.ground_truth => truths.push(vote),
            Some(vote) => votes.push(vote),
            None => reading.leave("annotations without a preference".to_owned()),
        }
    }
    if !truths.is_empty() {
        for _ in &votes {
            reading.leave("annotations beside the ground truth".to_owned());
        }
        votes = truths;
    }
    for _ in &row.predictions {
        reading.leave("predictions".to_owned());
    }
    let id = row.id.as_ref().and_then(text_of);
    task.comparison((i, id), "data", &votes, reading)
}

/// What an annotation says of the two answers, if it says anything.
fn vote(task: &Task, result: &[Said], reading: &mut Reading) -> Result<Option<Vote>, Fault> {
    let (mut first, mut second, mut pair) = (None, None, None);
    for said in result {
        let place = match (said.kind.as_str(), said.from_name.as_str()) {
            ("pairwise", _) => &mut pair,
            ("choices", "first") => &mut first,
            ("choices", "second") => &mut second,
            (kind, name) => {
                reading.leave(format!("{kind} `{name}`"));
                continue;
            }
        };
        let field = || format!("annotations ({})", said.from_name);
        if place.is_some() {
            let found = "found a second one in an annotation, expected one".to_owned();
            return Err((field(), found));
        }
        let verdict = verdict(task, said).ok_or_else(|| {
            let found = format!(
                "found {}, expected one of a, b, tie, left, right",
                Value::Object(said.value.clone())
            );
            (field(), found)
        })?;
        *place = Some(verdict);
    }
    Ok(Vote::of(first, second, pair))
}

/// Which answer is better by what was said.
fn verdict(task: &Task, said: &Said) -> Option<Verdict> {
    let chosen = said.value.get("selected");
    let word = match chosen.or_else(|| said.value.get("choices"))? {
        Value::String(word) => word.as_str(),
        Value::Array(all) if all.len() == 1 => all[0].as_str()?,
        _ => return None,
    };
    // Left is what the tag names first.
    let [first, second] = task.names;
    let is_turned = said.to_name.split(',').map(str::trim).eq([second, first]);
    match word {
        "left" if is_turned => Some(Verdict::Second),
        "right" if is_turned => Some(Verdict::First),
        _ => task.verdict(word),
    }
}
