//! Tasks with three answers or more, which people put in order.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::answer_sets::{self, AnswerSet, MAX_OUTPUTS, MIN_OUTPUTS};
use super::super::table::Fault;
use super::{Reading, asked, in_words, text, turns_of};

/// What comes before the number or the letter of each of three answers or more.
const STEMS: [&str; 6] = [
    "answer_",
    "answer",
    "response_",
    "response",
    "output_",
    "text",
];

/// What a file of tasks with several answers holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenSets {
    /// Its tasks.
    pub rows: Vec<AnswerSet>,
    /// What was left behind: how many times, by name.
    pub left_behind: BTreeMap<String, usize>,
}

impl TakenSets {
    /// As [`super::Taken::left_behind_in_words`].
    #[must_use]
    pub fn left_behind_in_words(&self) -> Option<String> {
        in_words(&self.left_behind)
    }
}

/// The answers of row `i`, which has the id that the file gives it elsewhere if it has none among its fields.
pub(super) fn set(
    fields: &Map<String, Value>,
    of: &str,
    (i, id): (usize, Option<String>),
    reading: &mut Reading,
) -> Result<AnswerSet, Fault> {
    let names = several(fields).ok_or_else(|| {
        let found = "three answers are not in it, expected such as answer_1, answer_2 and answer_3";
        (of.to_owned(), found.to_owned())
    })?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = asked(fields, of, &names, reading)?;
    let outputs = names.iter().map(|name| text(fields, of, name));
    let row = AnswerSet {
        id: asked.id.or(id).unwrap_or_else(|| format!("row-{i}")),
        turns: turns_of(asked.question, asked.image.as_deref()),
        image: asked.image,
        original_answer: None,
        outputs: outputs.collect::<Result<_, _>>()?,
    };
    match answer_sets::row_fault(&row) {
        Some((field, found)) => Err((format!("{of} ({field})"), found)),
        None => Ok(row),
    }
}

/// The names of three answers or more that are not empty, in order: one more than a row may have is found too, and refused.
fn several(fields: &Map<String, Value>) -> Option<Vec<String>> {
    let numbers = (1..=MAX_OUTPUTS + 1).map(|number| number.to_string());
    let letters = ('a'..='z').take(MAX_OUTPUTS + 1).map(String::from);
    let ends: [Vec<String>; 2] = [letters.collect(), numbers.collect()];
    let families = STEMS
        .into_iter()
        .flat_map(|stem| ends.iter().map(move |ends| (stem, ends)));
    let mut named = families.map(|(stem, ends)| {
        let names = ends.iter().map(|end| format!("{stem}{end}"));
        names
            .take_while(|name| fields.get(name).is_some_and(|value| !value.is_null()))
            .collect::<Vec<_>>()
    });
    named.find(|names| names.len() >= MIN_OUTPUTS)
}
