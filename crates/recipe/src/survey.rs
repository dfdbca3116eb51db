//! The fields of a stage's recipe, found by letting the stage read.
//!
//! What a stage asks for may depend on what it was told: a source of VQA-v2 has other keys than one of LLaVA. So the
//! stage reads again and again, each time told something else, until every choice that it ever offered was made once; a
//! field that is asked for only after one answer says so.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;

use crate::reader::Reader;

/// A field of a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDoc {
    /// The dotted key; `[]` stands for each element of an array.
    pub key: String,
    /// What it takes.
    pub kind: String,
    /// The values that it may have, of those.
    pub range: Option<String>,
    /// Whether it may be left out.
    pub presence: Presence,
    /// What was said before it was asked for, where it is not always asked for.
    pub only: Vec<String>,
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

/// Whether a field may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It may not.
    Required,
    /// It may.
    Optional,
    /// It may, and then has this value.
    Default(String),
    /// Just one of these is there.
    OneOf(String),
}

impl fmt::Display for FieldDoc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.trim_start_matches("an ").trim_start_matches("a ");
        let (kind, range) = match &self.range {
            Some(range) => (kind.trim_end_matches(" of at least 0"), format!(" {range}")),
            None => (kind, String::new()),
        };
        write!(f, "- `{}`: {kind}{range}; ", self.key)?;
        match &self.presence {
            Presence::Required => write!(f, "required")?,
            Presence::Optional => write!(f, "optional")?,
            Presence::Default(value) => write!(f, "optional, else {value}")?,
            Presence::OneOf(keys) => write!(f, "{keys}")?,
        }
        if !self.only.is_empty() {
            write!(f, "; only with {}", self.only.join(" and "))?;
        }
        write!(f, ". {}", self.meaning)
    }
}

/// What one reading noted.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    fields: Vec<FieldDoc>,
    /// Every choice that was offered, with its alternatives; the first is what is answered unless told otherwise.
    choices: Vec<(String, Vec<String>)>,
    /// Keys of which one is there.
    groups: Vec<[String; 2]>,
    /// What to answer.
    told: Told,
}

type Told = BTreeMap<String, String>;

impl Notes {
    /// Offers a choice and returns the place of what is to be answered.
    pub(crate) fn choose(&mut self, key: &str, alternatives: &[String]) -> usize {
        if self.choices.iter().all(|(known, _)| known != key) {
            self.choices.push((key.to_owned(), alternatives.to_vec()));
        }
        let told = self.told.get(key);
        let place = told.and_then(|told| alternatives.iter().position(|word| word == told));
        place.unwrap_or(0)
    }

    pub(crate) fn field(&mut self, field: FieldDoc) {
        self.fields.push(field);
    }

    pub(crate) fn group(&mut self, keys: [String; 2]) {
        self.groups.push(keys);
    }

    fn answered<'n>(&'n self, key: &str, alternatives: &'n [String]) -> &'n str {
        let told = self.told.get(key);
        told.unwrap_or(&alternatives[0])
    }
}

/// All fields that `read` asks for, in the order in which it asks.
#[must_use]
pub fn survey(read: impl Fn(Reader)) -> Vec<FieldDoc> {
    let mut waiting = VecDeque::from([Told::new()]);
    let mut offered: Vec<String> = Vec::new();
    let mut readings: Vec<Notes> = Vec::new();
    while let Some(told) = waiting.pop_front() {
        let notes = Rc::new(RefCell::new(Notes {
            told: told.clone(),
            ..Notes::default()
        }));
        read(Reader::noting(Rc::clone(&notes)));
        let notes = notes.take();
        for (key, alternatives) in &notes.choices {
            if offered.contains(key) {
                continue;
            }
            offered.push(key.clone());
            for other in &alternatives[1..] {
                let mut told = told.clone();
                told.insert(key.clone(), other.clone());
                waiting.push_back(told);
            }
        }
        readings.push(notes);
    }
    let mut fields: Vec<FieldDoc> = Vec::new();
    for notes in &readings {
        let mut place = 0;
        for field in &notes.fields {
            if let Some(known) = fields.iter().position(|known| known.key == field.key) {
                place = known + 1;
                continue;
            }
            let mut field = field.clone();
            field.only = conditions(&field.key, notes, &readings);
            if let Some(keys) = notes.groups.iter().find(|keys| keys.contains(&field.key)) {
                let [first, second] = keys;
                field.presence = Presence::OneOf(format!("one of `{first}` and `{second}`"));
            }
            // Beside what it was asked for after.
            fields.insert(place, field);
            place += 1;
        }
    }
    fields
}

/// What was answered where the field was asked for, as far as another answer makes it not asked for.
fn conditions(key: &str, first: &Notes, readings: &[Notes]) -> Vec<String> {
    let asks = |notes: &Notes| notes.fields.iter().any(|field| field.key == key);
    let mut conditions = Vec::new();
    for (choice, alternatives) in &first.choices {
        let (mut with, mut without) = (Vec::new(), false);
        for word in alternatives {
            let mut told = first.told.clone();
            if *word == alternatives[0] {
                told.remove(choice);
            } else {
                told.insert(choice.clone(), word.clone());
            }
            match readings.iter().find(|notes| notes.told == told) {
                Some(notes) if asks(notes) => with.push(notes.answered(choice, alternatives)),
                Some(_) => without = true,
                None => {}
            }
        }
        if without {
            conditions.push(format!("`{choice}` {}", with.join(" or ")));
        }
    }
    conditions
}

/// A key with `[]` for the number of an element.
pub(crate) fn general(key: &str) -> String {
    let mut general = String::new();
    let mut inside = false;
    for c in key.chars() {
        inside = (inside || c == '[') && c != ']';
        if !inside || c == '[' {
            general.push(c);
        }
    }
    general
}
