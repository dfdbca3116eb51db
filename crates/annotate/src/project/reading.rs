//! From the text of a project file to the project, or to all mistakes in it.
//!
//! serde stops at the first mistake. Each one it finds is written down and mended in a copy of the values, with what a
//! right project has in that place, until it finds no more; the copy is thrown away if there was any.

use std::collections::BTreeMap;

use serde_path_to_error::{Path as Place, Segment};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::mistake::{Found, Mistake};
use super::{Project, Server, check};

/// What stands in for what is missing or wrong.
const RIGHT: &str = r#"
title = "t"
database = "d"
seed = 0
[protocol]
overlap = 1
gold_rate = 0.0
min_reading_secs = 0
dispute = "never"
[training]
pass_mark = 0.0
attempts = 1
[guidelines]
text = "t"
[[import]]
file = "f"
format = "candidates"
"#;
/// More mistakes are not looked for.
const MAX_MISTAKES: usize = 100;

/// The project in `text`, but for its folder.
pub(super) fn project(text: &str) -> Result<Project, Vec<Mistake>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let lines = lines(text, document.get_ref());
    let broken = |problem: &str, span: Option<std::ops::Range<usize>>| Mistake {
        line: line_at(text, span.map_or(0, |span| span.start)),
        key: String::new(),
        problem: format!("not TOML: {problem}"),
        remedy: "correct the syntax".into(),
    };
    if !errors.is_empty() {
        let mistakes = errors.iter();
        return Err(mistakes
            .map(|error| broken(error.message(), error.span()))
            .collect());
    }
    let values: Table =
        toml::from_str(text).map_err(|error| vec![broken(error.message(), error.span())])?;
    let (project, mut found) = mended(values);
    if let Some(mut project) = project {
        if project.server.public_url.is_empty() {
            project.server.public_url = Server::local_url(project.server.listen);
        }
        // Of what was mended nothing more is said.
        let told: Vec<String> = found.iter().map(|found| found.key.clone()).collect();
        let is_new = |new: &Found| !told.iter().any(|key| key.starts_with(&new.key));
        found.extend(check::mistakes(&project).into_iter().filter(is_new));
        if found.is_empty() {
            return Ok(project);
        }
    }
    let mut mistakes: Vec<Mistake> = found
        .into_iter()
        .map(|found| Mistake {
            line: line_of(&lines, &found.key),
            key: found.key,
            problem: found.problem,
            remedy: found.remedy,
        })
        .collect();
    mistakes.sort_by_key(|mistake| mistake.line);
    Err(mistakes)
}

/// The project that the values are once they are mended, and what had to be.
fn mended(values: Table) -> (Option<Project>, Vec<Found>) {
    let mut values = Value::Table(values);
    let right = toml::from_str(RIGHT).map_or(Value::Boolean(false), Value::Table);
    let mut found: Vec<Found> = Vec::new();
    while found.len() < MAX_MISTAKES {
        let error = match serde_path_to_error::deserialize(values.clone()) {
            Ok(project) => return (Some(project), found),
            Err(error) => error,
        };
        let place = names(error.path());
        let (mistake, at) = understood(&place, error.inner().message());
        let is_told = found.iter().any(|before| before.key == mistake.key);
        if is_told {
            break;
        }
        found.push(mistake);
        if !mend(&mut values, &right, &at) {
            break;
        }
    }
    (None, found)
}

/// A part of the way to a value: the name of a key, or the index of an element.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Element(usize),
}

fn names(place: &Place) -> Vec<Step> {
    let steps = place.iter().filter_map(|segment| match segment {
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Seq { index } => Some(Step::Element(*index)),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    steps.collect()
}

fn key(place: &[Step]) -> String {
    place.iter().fold(String::new(), |key, step| match step {
        Step::Key(name) if key.is_empty() => name.clone(),
        Step::Key(name) => format!("{key}.{name}"),
        Step::Element(index) => format!("{key}[{index}]"),
    })
}

/// serde's message about `place` as a mistake, and the place to mend.
fn understood(place: &[Step], message: &str) -> (Found, Vec<Step>) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let child = |name: &str| {
        let mut child = place.to_vec();
        if child.last() != Some(&Step::Key(name.to_owned())) {
            child.push(Step::Key(name.to_owned()));
        }
        child
    };
    if let (true, [name, known @ ..]) = (message.starts_with("unknown field"), quoted.as_slice()) {
        let at = child(name);
        let table = key(&at[..at.len() - 1]);
        let table = if table.is_empty() {
            "the project".to_owned()
        } else {
            format!("[{table}]")
        };
        let remedy = format!("the keys of {table} are {}", known.join(", "));
        return (Found::new(&key(&at), "unknown key", &remedy), at);
    }
    if let (true, [name]) = (message.starts_with("missing field"), quoted.as_slice()) {
        let at = child(name);
        return (
            Found::new(
                &key(&at),
                "missing",
                "docs/annotate.md shows a whole project",
            ),
            at,
        );
    }
    let (problem, remedy) = match message.split_once(", expected ") {
        Some((problem, expected)) => (problem, format!("expected {expected}")),
        None => (message, "correct it".to_owned()),
    };
    (Found::new(&key(place), problem, &remedy), place.to_vec())
}

/// Puts what a right project has at `place` there, or nothing where that may be left out. Says whether anything changed.
fn mend(values: &mut Value, right: &Value, place: &[Step]) -> bool {
    let Some((Step::Key(name), parents)) = place.split_last() else {
        return false;
    };
    let (mut at, mut model) = (values, Some(right));
    for step in parents {
        // All elements of a list are like the first.
        let (next, next_model) = match step {
            Step::Key(name) => (at.get_mut(name), model.and_then(|model| model.get(name))),
            Step::Element(index) => (at.get_mut(*index), model.and_then(|model| model.get(0))),
        };
        let Some(next) = next else {
            return false;
        };
        (at, model) = (next, next_model);
    }
    let Value::Table(table) = at else {
        return false;
    };
    match model.and_then(|model| model.get(name)) {
        Some(value) => table.insert(name.clone(), value.clone()).as_ref() != Some(value),
        None => table.remove(name).is_some(),
    }
}

/// The line of each key, elements of arrays in brackets.
fn lines(text: &str, table: &DeTable<'_>) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    visit(text, "", table, &mut lines);
    lines
}

fn visit(text: &str, path: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let name = name_at(path, name.get_ref(), text, name.span().start, lines);
        match value.get_ref() {
            DeValue::Table(table) => visit(text, &name, table, lines),
            DeValue::Array(elements) => {
                for (i, element) in elements.iter().enumerate() {
                    let name = format!("{name}[{i}]");
                    lines.insert(name.clone(), line_at(text, element.span().start));
                    if let DeValue::Table(table) = element.get_ref() {
                        visit(text, &name, table, lines);
                    }
                }
            }
            _ => {}
        }
    }
}

fn name_at(
    path: &str,
    name: &str,
    text: &str,
    start: usize,
    lines: &mut BTreeMap<String, usize>,
) -> String {
    let name = if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    };
    lines.insert(name.clone(), line_at(text, start));
    name
}

fn line_at(text: &str, start: usize) -> usize {
    let before = &text.as_bytes()[..start.min(text.len())];
    before.split(|&byte| byte == b'\n').count()
}

/// The line of a key, or of the table that it should be in.
fn line_of(lines: &BTreeMap<String, usize>, key: &str) -> usize {
    let mut key = key;
    loop {
        if let Some(&line) = lines.get(key) {
            return line;
        }
        match key.rfind(['.', '[']) {
            Some(end) => key = &key[..end],
            None => return 1,
        }
    }
}
