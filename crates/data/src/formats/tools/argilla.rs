//! Argilla's records: a JSON list, as its `to_json` writes, or JSON lines, of `fields`, `responses` by question (a list of `value` and
//! `user_id`) and `suggestions`.
//!
//! Understood are responses to questions of the names `first` and `second`, the two of the protocol, and to one of the name
//! `preference`, each with a label as value (`a`, `b`, `tie`, or the name of an answer's field), and a ranking of both fields as a
//! preference (names from the best to the worst, or each with its rank). Rankings of more fields, responses to other questions, suggestions, metadata and vectors are counted by their names.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::answer_sets::AnswerSet;
use super::super::rows;
use super::super::table::{Fault, Numbering, Table};
use super::super::text::{self, Format};
use super::several::set;
use super::{Reading, Taken, TakenSets, Task, Vote, text_of};
use crate::comparison::Comparison;
use crate::error::DataError;
use crate::preference::Verdict;

const FORMAT: Format = Format {
    name: "Argilla",
    expected: "records with fields",
};

#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    id: Option<Value>,
    fields: Map<String, Value>,
    #[serde(default)]
    responses: Option<BTreeMap<String, Vec<Response>>>,
    #[serde(default)]
    suggestions: Option<Map<String, Value>>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    #[serde(default)]
    vectors: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Response {
    value: Value,
    #[serde(default)]
    user_id: Option<String>,
}

/// What one person said, question by question.
#[derive(Default)]
struct Person {
    first: Option<Verdict>,
    second: Option<Verdict>,
    preference: Option<Verdict>,
}

/// Reads a file.
///
/// # Errors
/// The file cannot be read, or a record has no question or no two answers.
pub fn read(path: &Path) -> Result<Taken, DataError> {
    let mut reading = Reading::default();
    let rows = each(
        path,
        |row: &Comparison| row.id.as_str(),
        |i, row| comparison(i, row, &mut reading),
    )?;
    Ok(reading.taken(rows))
}

/// Reads a file of records with three to eight answers each. What people said of them is left behind and counted.
///
/// # Errors
/// The file cannot be read, or a record has no question or another number of answers.
pub fn read_sets(path: &Path) -> Result<TakenSets, DataError> {
    let mut reading = Reading::default();
    let rows = each(
        path,
        |row: &AnswerSet| row.id.as_str(),
        |i, row| {
            leave_others(&row, &mut reading);
            for (question, responses) in row.responses.iter().flatten() {
                for _ in responses {
                    reading.leave(format!("responses.{question}"));
                }
            }
            let id = row.id.as_ref().and_then(text_of);
            set(&row.fields, "fields", (i, id), &mut reading)
        },
    )?;
    Ok(TakenSets {
        rows,
        left_behind: reading.left_behind,
    })
}

/// What `make` makes of each record; no two have one id.
fn each<T>(
    path: &Path,
    id: impl Fn(&T) -> &str,
    mut make: impl FnMut(usize, Row) -> Result<T, Fault>,
) -> Result<Vec<T>, DataError> {
    let content = text::read(path, &FORMAT)?;
    let (rows, lines): (Vec<Row>, Option<Vec<usize>>) = if content.trim_start().starts_with('[') {
        (rows::list(path, &content, &FORMAT)?, None)
    } else {
        let (rows, lines) = rows::lines(path, &content, &FORMAT)?;
        (rows, Some(lines))
    };
    let numbering = || lines.as_deref().map_or(Numbering::List, Numbering::Lines);
    let table = Table::<Row> {
        path,
        format: &FORMAT,
        numbering: numbering(),
        rows: &[],
    };
    let mut records = Vec::with_capacity(rows.len());
    for (i, row) in rows.into_iter().enumerate() {
        records.push(make(i, row).map_err(|fault| table.refusal(i, fault))?);
    }
    let table = Table {
        path,
        format: &FORMAT,
        numbering: numbering(),
        rows: &records,
    };
    table.unique("id", id)?;
    Ok(records)
}

/// Counts what no record is taken over with.
fn leave_others(row: &Row, reading: &mut Reading) {
    let others = [
        ("suggestions", &row.suggestions),
        ("metadata", &row.metadata),
        ("vectors", &row.vectors),
    ];
    for (of, names) in others {
        for name in names.iter().flat_map(Map::keys) {
            reading.leave(format!("{of}.{name}"));
        }
    }
}

fn comparison(i: usize, row: Row, reading: &mut Reading) -> Result<Comparison, Fault> {
    let task = Task::of(&row.fields, "fields", reading)?;
    leave_others(&row, reading);
    let votes = votes(&task, row.responses.unwrap_or_default(), reading)?;
    let id = row.id.as_ref().and_then(text_of);
    task.comparison((i, id), "fields", &votes, reading)
}

/// What everybody said of the two answers.
fn votes(
    task: &Task,
    responses: BTreeMap<String, Vec<Response>>,
    reading: &mut Reading,
) -> Result<Vec<Vote>, Fault> {
    let mut people: BTreeMap<String, Person> = BTreeMap::new();
    for (question, responses) in responses {
        for (number, response) in responses.into_iter().enumerate() {
            // Whoever has no name is told by the place.
            let who = response.user_id.unwrap_or_else(|| number.to_string());
            let person = people.entry(who).or_default();
            let place = match question.as_str() {
                "first" => &mut person.first,
                "second" => &mut person.second,
                "preference" => &mut person.preference,
                _ => {
                    reading.leave(format!("responses.{question}"));
                    continue;
                }
            };
            if response.value.as_array().is_some_and(|all| all.len() > 2) {
                reading.leave(format!("responses.{question} (a ranking of more)"));
                continue;
            }
            let verdict = verdict(task, &response.value).ok_or_else(|| {
                let found = format!(
                    "found {}, expected a, b, tie, the name of an answer's field, or a ranking of both",
                    response.value
                );
                (format!("responses.{question}"), found)
            })?;
            *place = Some(verdict);
        }
    }
    let vote = |person: Person| Vote::of(person.first, person.second, person.preference);
    Ok(people.into_values().filter_map(vote).collect())
}

/// The verdict of a label, or of a ranking: a list of names from the best to the worst, or of `value` and `rank`, of which 1 is the best.
fn verdict(task: &Task, value: &Value) -> Option<Verdict> {
    let ranked = match value {
        Value::String(word) => return task.verdict(word),
        Value::Array(ranked) => ranked,
        _ => return None,
    };
    let mut ranks = [None; 2];
    for (place, one) in (1..).zip(ranked) {
        let (word, rank) = match one {
            Value::String(word) => (word.as_str(), place),
            one => (one.get("value")?.as_str()?, one.get("rank")?.as_u64()?),
        };
        ranks[task.verdict(word)?.side()?.index()] = Some(rank);
    }
    let [first, second] = ranks;
    Some(match first?.cmp(&second?) {
        std::cmp::Ordering::Less => Verdict::First,
        std::cmp::Ordering::Equal => Verdict::Tie,
        std::cmp::Ordering::Greater => Verdict::Second,
    })
}
