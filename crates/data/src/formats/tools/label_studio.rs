//! Label Studio's JSON: a list of tasks with `data`, and `annotations` whose `result` is a list of what was said.
//!
//! Understood are the tag `Pairwise` (`selected` is `left` or `right`), and `Choices` of the names `first` and `second`, which are the
//! two questions of the protocol (`a`, `b` or `tie`). Other results, as rectangles, labels and texts, are counted by their type and
//! name. Cancelled annotations say nothing.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::rows;
use super::super::table::{Fault, Table};
use super::super::text::{self, Format};
use super::{LeftBehind, Taken, Task, Vote, text_of};
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
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    result: Vec<Said>,
    #[serde(default)]
    was_cancelled: bool,
}

/// One thing that was said.
#[derive(Deserialize)]
struct Said {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    from_name: String,
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
    let mut left_behind = LeftBehind::default();
    let mut taken = Vec::with_capacity(rows.len());
    for (i, row) in rows.into_iter().enumerate() {
        let made = comparison(i, &row, &mut left_behind);
        taken.push(made.map_err(|fault| table.refusal(i, fault))?);
    }
    Ok(Taken {
        rows: taken,
        left_behind: left_behind.0,
    })
}

fn comparison(i: usize, row: &Row, left_behind: &mut LeftBehind) -> Result<Comparison, Fault> {
    let task = Task::of(&row.data, "data", left_behind)?;
    let mut votes = Vec::new();
    for annotation in &row.annotations {
        if annotation.was_cancelled {
            left_behind.add("cancelled annotations".to_owned());
            continue;
        }
        match vote(&task, &annotation.result, left_behind)? {
            Some(vote) => votes.push(vote),
            None => left_behind.add("annotations without a preference".to_owned()),
        }
    }
    for _ in &row.predictions {
        left_behind.add("predictions".to_owned());
    }
    let id = task.id.clone();
    let id = id.or_else(|| row.id.as_ref().and_then(text_of));
    task.comparison(id.unwrap_or_else(|| format!("row-{i}")), "data", &votes)
}

/// What an annotation says of the two answers, if it says anything.
fn vote(task: &Task, result: &[Said], left_behind: &mut LeftBehind) -> Result<Option<Vote>, Fault> {
    let (mut first, mut second, mut pair) = (None, None, None);
    for said in result {
        let place = match (said.kind.as_str(), said.from_name.as_str()) {
            ("pairwise", _) => &mut pair,
            ("choices", "first") => &mut first,
            ("choices", "second") => &mut second,
            (kind, name) => {
                left_behind.add(format!("{kind} `{name}`"));
                continue;
            }
        };
        let word = match said
            .value
            .get("selected")
            .or_else(|| said.value.get("choices"))
        {
            Some(Value::String(word)) => word.as_str(),
            Some(Value::Array(all)) if all.len() == 1 => all[0].as_str().unwrap_or_default(),
            _ => "",
        };
        let verdict = task.verdict(word).ok_or_else(|| {
            let found = format!(
                "found {}, expected one of a, b, tie, left, right",
                Value::Object(said.value.clone())
            );
            (format!("annotations ({})", said.from_name), found)
        })?;
        *place = Some(verdict);
    }
    Ok(match (first, second, pair) {
        (Some(first), second, _) => Some(Vote {
            first,
            second: second.and_then(Verdict::side),
        }),
        (None, second, pair) => second.or(pair).map(|verdict| Vote {
            first: Verdict::Tie,
            second: verdict.side(),
        }),
    })
}
