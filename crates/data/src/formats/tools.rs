//! Files of other annotation tools, as comparisons: tasks with two answers, and what people said of them there. Argilla's may have
//! several answers to put in order, too.
//!
//! Such tools call the parts of a task whatever a project calls them. Names that are common are known here (`QUESTIONS`,
//! `ANSWERS`, `IMAGES`), others are not guessed at: a task without a question and two answers is refused, and everything else in it is
//! counted by its name as left behind, but for a third answer, which is refused: whoever judged it judged another task. A judgement is
//! taken over where all who judged a task prefer the same answer. Files hold images by addresses: one that is a path is kept, of others the last part of the path is the name, which no two of a file may share.

pub mod argilla;
pub mod label_studio;
mod several;

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

pub use self::several::TakenSets;
use super::preference_log::context_fault;
use super::table::Fault;
use crate::comparison::{Comparison, Judgement};
use crate::conversation::{IMAGE_PLACEHOLDER, Turn};
use crate::preference::{Side, Verdict, placeholder_fault};
use crate::shown;

/// What the question may be called.
const QUESTIONS: [&str; 3] = ["question", "prompt", "instruction"];
/// What the two answers may be called.
const ANSWERS: [[&str; 2]; 8] = [
    ["answer_a", "answer_b"],
    ["answer_1", "answer_2"],
    ["answer1", "answer2"],
    ["response_a", "response_b"],
    ["response_1", "response_2"],
    ["response1", "response2"],
    ["output_1", "output_2"],
    ["text1", "text2"],
];
/// What a third answer is called beside each of [`ANSWERS`].
const THIRDS: [&str; 8] = [
    "answer_c",
    "answer_3",
    "answer3",
    "response_c",
    "response_3",
    "response3",
    "output_3",
    "text3",
];
/// What the image, or a list of images, may be called.
const IMAGES: [&str; 2] = ["image", "images"];

/// What a file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Its tasks.
    pub rows: Vec<Comparison>,
    /// Which of them were judged by a bare preference, or not by the same one of the two questions: what it says of hallucinations is not
    /// known.
    pub bare: Vec<usize>,
    /// What was left behind: how many times, by name.
    pub left_behind: BTreeMap<String, usize>,
}

impl Taken {
    /// What was left behind, for people; none where nothing was.
    #[must_use]
    pub fn left_behind_in_words(&self) -> Option<String> {
        in_words(&self.left_behind)
    }
}

fn in_words(left_behind: &BTreeMap<String, usize>) -> Option<String> {
    let counted = |(name, n): (&String, &usize)| format!("{name} ({n})");
    let names: Vec<String> = left_behind.iter().map(counted).collect();
    let names = names.join(", ");
    (!names.is_empty()).then(|| format!("left behind, by name and number: {names}"))
}

/// What is known of a file while it is read.
#[derive(Default)]
struct Reading {
    /// What is left behind, by name.
    left_behind: BTreeMap<String, usize>,
    /// Where images lie, by the names that they have here.
    addresses: HashMap<String, String>,
    /// Rows with a bare judgement.
    bare: Vec<usize>,
}

impl Reading {
    fn leave(&mut self, name: String) {
        *self.left_behind.entry(name).or_default() += 1;
    }

    /// The name of an image: a path as it is, and the last part of the path of other addresses.
    fn name_of(&mut self, address: &str) -> Result<String, String> {
        // Files that Label Studio serves itself have their path behind `?d=`, other addresses may have a query.
        let (path, is_plain) = match address.split_once("?d=") {
            Some((_, path)) => (path, false),
            None if address.contains("://") || address.starts_with('/') => {
                (address.split('?').next().unwrap_or_default(), false)
            }
            None => (address, true),
        };
        let name = if is_plain {
            path
        } else {
            path.rsplit('/').next().unwrap_or_default()
        };
        let known = self.addresses.entry(name.to_owned());
        let known = known.or_insert_with(|| path.to_owned());
        if known.as_str() != path {
            return Err(format!(
                "found {path:?}, of which the name is that of {known:?}: expected names that differ"
            ));
        }
        Ok(name.to_owned())
    }

    /// What the file held.
    fn taken(self, rows: Vec<Comparison>) -> Taken {
        Taken {
            rows,
            bare: self.bare,
            left_behind: self.left_behind,
        }
    }
}

/// What one person said of a task.
struct Vote {
    first: Verdict,
    second: Option<Side>,
    /// Whether it does not rest on the two questions of the protocol alone.
    is_bare: bool,
}

impl Vote {
    /// The vote of somebody who answered these: the two questions, and which answer is better. None where there is no answer.
    fn of(
        first: Option<Verdict>,
        second: Option<Verdict>,
        better: Option<Verdict>,
    ) -> Option<Self> {
        let after = second.or(better);
        first.or(after)?;
        Some(Self {
            first: first.unwrap_or(Verdict::Tie),
            second: after.and_then(Verdict::side),
            is_bare: match first {
                None => true,
                Some(Verdict::Tie) => second.is_none(),
                Some(_) => false,
            },
        })
    }

    fn preferred(&self) -> Option<Side> {
        self.first.side().or(self.second)
    }
}

/// The parts of a task.
struct Task {
    id: Option<String>,
    image: Option<String>,
    question: String,
    outputs: [String; 2],
    /// What the file calls the outputs.
    names: [&'static str; 2],
}

impl Task {
    /// The task in these fields; `of` is what the file calls the object that they are in.
    fn of(fields: &Map<String, Value>, of: &str, reading: &mut Reading) -> Result<Self, Fault> {
        let has = |name: &str| fields.contains_key(name);
        let names = ANSWERS
            .into_iter()
            .find(|names| names.iter().all(|name| has(name)));
        let firsts = ANSWERS.map(|[first, _]| first);
        let names = names.ok_or_else(|| missing(of, &firsts))?;
        let mut all = ANSWERS.into_iter().zip(THIRDS);
        // Who makes a table of records leaves what a record does not have empty.
        let is_given = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
        let third = all.find(|(both, third)| *both == names && is_given(third));
        if let Some((_, third)) = third {
            let found = "found a third answer, expected two: several are ranked, which rows of answer sets are for";
            return Err((format!("{of}.{third}"), found.to_owned()));
        }
        let Asked {
            id,
            image,
            question,
        } = asked(fields, of, &names, reading)?;
        Ok(Self {
            id,
            image,
            question,
            outputs: [text(fields, of, names[0])?, text(fields, of, names[1])?],
            names,
        })
    }

    /// The comparison of a task that people voted on, which is row `i`, and has the id that the file gives it elsewhere if it has none.
    fn comparison(
        self,
        (i, id): (usize, Option<String>),
        of: &str,
        votes: &[Vote],
        reading: &mut Reading,
    ) -> Result<Comparison, Fault> {
        let image = self.image.as_deref();
        let turns = turns_of(self.question, image);
        let [first, second] = &self.outputs;
        let fault = context_fault(&turns, image)
            .or_else(|| placeholder_fault(&turns, image, [first, second]));
        if let Some((field, found)) = fault {
            return Err((format!("{of} ({field})"), found));
        }
        let judgement = judgement(votes);
        if judgement.is_some() && !is_by_one_question(votes) {
            reading.bare.push(i);
        }
        if judgement.is_none() && !votes.is_empty() {
            let is_tie = votes.iter().all(|vote| vote.preferred().is_none());
            let what = if is_tie { "are a tie" } else { "disagree" };
            reading.leave(format!("judgements that {what}"));
        }
        Ok(Comparison {
            id: self.id.or(id).unwrap_or_else(|| format!("row-{i}")),
            image: self.image,
            turns,
            original_answer: None,
            outputs: self.outputs,
            models: None,
            group: None,
            judgement,
            severity: None,
        })
    }

    /// The verdict that a word stands for: `a`, `b` or `tie`, or the name of an answer.
    fn verdict(&self, word: &str) -> Option<Verdict> {
        match word {
            "a" | "left" => Some(Verdict::First),
            "b" | "right" => Some(Verdict::Second),
            "tie" => Some(Verdict::Tie),
            _ if word == self.names[0] => Some(Verdict::First),
            _ if word == self.names[1] => Some(Verdict::Second),
            _ => None,
        }
    }
}

/// What a task asks.
struct Asked {
    id: Option<String>,
    image: Option<String>,
    question: String,
}

/// What is asked in these fields, of which those of the names `answers` are known; the others are left behind.
fn asked(
    fields: &Map<String, Value>,
    of: &str,
    answers: &[&str],
    reading: &mut Reading,
) -> Result<Asked, Fault> {
    let has = |name: &str| fields.contains_key(name);
    let question = QUESTIONS.into_iter().find(|name| has(name));
    let question = question.ok_or_else(|| missing(of, &QUESTIONS))?;
    let image = IMAGES.into_iter().find(|name| has(name));
    let known = |name: &str| {
        name == question || name == "id" || image == Some(name) || answers.contains(&name)
    };
    for name in fields.keys().filter(|name| !known(name)) {
        reading.leave(format!("{of}.{name}"));
    }
    let image = match image.map(|name| (name, &fields[name])) {
        None | Some((_, Value::Null)) => None,
        Some((name, value)) => {
            shown_by(value, reading).map_err(|found| (format!("{of}.{name}"), found))?
        }
    };
    Ok(Asked {
        id: fields.get("id").and_then(text_of),
        image,
        question: text(fields, of, question)?,
    })
}

/// A question as a conversation: images that it has no place for come before it.
fn turns_of(question: String, image: Option<&str>) -> Vec<Turn> {
    let question = if question.contains(IMAGE_PLACEHOLDER) {
        question
    } else {
        format!("{IMAGE_PLACEHOLDER}\n").repeat(shown::count(image)) + &question
    };
    vec![Turn::human(question)]
}

/// The judgement where everybody prefers the same answer: by the first question if it decided for all of them.
fn judgement(votes: &[Vote]) -> Option<Judgement> {
    let side = votes.first()?.preferred()?;
    if votes.iter().any(|vote| vote.preferred() != Some(side)) {
        return None;
    }
    if votes.iter().all(|vote| vote.first.side().is_some()) {
        return Some(Judgement {
            fewer_hallucinations: side.into(),
            more_helpful: None,
            explanation: None,
        });
    }
    Some(Judgement::for_side(side))
}

/// Whether all votes rest on the same question of the protocol: the first, or the second after a tie.
fn is_by_one_question(votes: &[Vote]) -> bool {
    let decided = |vote: &Vote| vote.first.side().is_some();
    votes.iter().all(decided) || votes.iter().all(|vote| !vote.is_bare && !decided(vote))
}

fn missing(of: &str, names: &[&str]) -> Fault {
    let found = format!("none of {} is in it", names.join(", "));
    (of.to_owned(), found)
}

/// A field that must be a text.
fn text(fields: &Map<String, Value>, of: &str, name: &str) -> Result<String, Fault> {
    match &fields[name] {
        Value::String(text) => Ok(text.clone()),
        other => Err((
            format!("{of}.{name}"),
            format!("found {other}, expected a text"),
        )),
    }
}

/// A name: a text, or a number.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a row shows: an address or a list of addresses.
fn shown_by(value: &Value, reading: &mut Reading) -> Result<Option<String>, String> {
    let unfit = || format!("found {value}, expected the address of an image, or a list of such");
    let all = match value {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    let names = all.into_iter().map(|one| {
        let address = one.as_str().ok_or_else(unfit)?;
        if address.starts_with("data:") {
            return Err("found an image inside the file, expected its address".to_owned());
        }
        reading.name_of(address)
    });
    let names: Vec<String> = names.collect::<Result<_, String>>()?;
    shown::together(&names)
}

#[cfg(test)]
mod tests;
