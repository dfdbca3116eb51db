//! The questions a stage asks of its recipe.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::field::{Field, Found};
use crate::mistake::{Mistake, RecipeError};
use crate::resolved::Resolved;
use crate::survey::{FieldDoc, Notes, Presence, general};
use crate::tree::{Item, Node, Part, parts};
use crate::{layers, overrides, tree, unknown};
use candor_data::DataError;

/// An element of an array in which a string may stand for a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A string.
    Plain(String),
    /// The key of a table; ask on with `format!("{key}.path")`.
    Table(String),
}

/// A recipe being read. Every question says what the key means, in a sentence for `candor recipe fields`.
#[derive(Debug, Clone)]
pub struct Reader {
    file: String,
    root: Item,
    asked: BTreeSet<String>,
    mistakes: Vec<Mistake>,
    /// Whether strings of the file may stand in messages.
    quotes: bool,
    /// Where it is noted what is asked, if nothing is read and the questions themselves are wanted.
    notes: Option<Rc<RefCell<Notes>>>,
}

impl Reader {
    /// Reads the file at `path` and what it extends, and applies the overrides.
    ///
    /// # Errors
    /// The file cannot be read. Mistakes inside it wait for [`Reader::finish`].
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, DataError> {
        let mut mistakes = Vec::new();
        let root = layers::read(path, &[], &mut mistakes)?;
        Ok(Self::of(path.display().to_string(), root, mistakes, sets))
    }

    /// Parses `text`, which extends nothing; `file` is its name in messages.
    #[must_use]
    pub fn parse(file: &str, text: &str, sets: &[String]) -> Self {
        let (root, mistakes) = tree::parse(file, text);
        Self::of(file.to_owned(), root, mistakes, sets)
    }

    /// A reader of the values alone whose keys `belong`, for a recipe that is several stages' at once: `belong` is asked about
    /// each key at the top and, of a table, about each key in it (`table.key`). What is wrong with the file itself is a mistake
    /// of every part.
    #[must_use]
    pub fn part(&self, belong: impl Fn(&str) -> bool) -> Self {
        let mut part = self.clone();
        if let Node::Table(entries) = &mut part.root.node {
            entries.retain(|name, item| match &mut item.node {
                Node::Table(inner) if !inner.is_empty() => {
                    inner.retain(|key, _| belong(&format!("{name}.{key}")));
                    !inner.is_empty()
                }
                _ => belong(name),
            });
        }
        part.asked.clear();
        part
    }

    /// The same with more overrides, as those of `--set`.
    #[must_use]
    pub fn with(mut self, sets: &[String]) -> Self {
        self.mistakes.extend(overrides::apply(&mut self.root, sets));
        self
    }

    /// The recipe as it is, whoever reads which part of it.
    #[must_use]
    pub fn resolved(&self) -> Resolved {
        Resolved::new(&self.root.node)
    }

    /// Repeats no string of the file in a message: somebody may have written a key or a password there.
    #[must_use]
    pub fn discreet(self) -> Self {
        Self {
            quotes: false,
            ..self
        }
    }

    /// A reader of nothing, which notes what is asked.
    pub(crate) fn noting(notes: Rc<RefCell<Notes>>) -> Self {
        Self {
            notes: Some(notes),
            ..Self::parse("", "", &[])
        }
    }

    fn of(file: String, mut root: Item, mut mistakes: Vec<Mistake>, sets: &[String]) -> Self {
        mistakes.extend(overrides::apply(&mut root, sets));
        Self {
            file,
            root,
            asked: BTreeSet::new(),
            mistakes,
            quotes: true,
            notes: None,
        }
    }

    /// A number; integers are numbers too. Infinities and NaN are mistakes.
    pub fn f64(&mut self, key: &str, meaning: &'static str) -> Field<'_, f64> {
        self.field(key, meaning, "a number", 0.0, |node| match node {
            Node::Float(number) if number.is_finite() => Some(*number),
            Node::Integer(number) => Some(*number as f64),
            _ => None,
        })
    }

    /// An integer of at least 0.
    pub fn u64(&mut self, key: &str, meaning: &'static str) -> Field<'_, u64> {
        self.field(
            key,
            meaning,
            "an integer of at least 0",
            0,
            |node| match node {
                Node::Integer(number) => u64::try_from(*number).ok(),
                _ => None,
            },
        )
    }

    /// An integer of at least 0, as a count or size.
    pub fn usize(&mut self, key: &str, meaning: &'static str) -> Field<'_, usize> {
        self.field(
            key,
            meaning,
            "an integer of at least 0",
            0,
            |node| match node {
                Node::Integer(number) => usize::try_from(*number).ok(),
                _ => None,
            },
        )
    }

    /// An integer.
    pub fn i64(&mut self, key: &str, meaning: &'static str) -> Field<'_, i64> {
        self.field(key, meaning, "an integer", 0, |node| match node {
            Node::Integer(number) => Some(*number),
            _ => None,
        })
    }

    /// `true` or `false`.
    pub fn bool(&mut self, key: &str, meaning: &'static str) -> Field<'_, bool> {
        self.field(key, meaning, "true or false", false, |node| match node {
            Node::Boolean(value) => Some(*value),
            _ => None,
        })
    }

    /// A string.
    pub fn string(&mut self, key: &str, meaning: &'static str) -> Field<'_, String> {
        self.field(key, meaning, "a string", String::new(), |node| match node {
            Node::String(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// A non-empty path, as written: relative paths are relative to the working directory.
    pub fn path(&mut self, key: &str, meaning: &'static str) -> Field<'_, PathBuf> {
        self.field(key, meaning, "a path", PathBuf::new(), |node| match node {
            Node::String(text) if !text.is_empty() => Some(PathBuf::from(text)),
            _ => None,
        })
    }

    /// One of several words, each standing for a value.
    ///
    /// # Panics
    /// `choices` is empty, which is a mistake of the stage, not of the recipe.
    pub fn one_of<T: Clone>(
        &mut self,
        key: &str,
        choices: &[(&str, T)],
        meaning: &'static str,
    ) -> Field<'_, T> {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("{word:?}"))
            .collect();
        let expects = words.join(" or ");
        let notes = self.notes.as_ref();
        let chosen = notes.map_or(0, |notes| notes.borrow_mut().choose(&general(key), &words));
        let placeholder = choices[chosen].1.clone();
        self.field(key, meaning, &expects, placeholder, |node| match node {
            Node::String(text) => choices
                .iter()
                .find(|(word, _)| word == text)
                .map(|(_, value)| value.clone()),
            _ => None,
        })
    }

    /// A list of strings.
    pub fn strings(&mut self, key: &str, meaning: &'static str) -> Field<'_, Vec<String>> {
        let text = |item: &Item| match &item.node {
            Node::String(text) => Some(text.clone()),
            _ => None,
        };
        let expects = "a list of strings";
        self.field(key, meaning, expects, Vec::new(), |node| match node {
            Node::Array(items) => items.iter().map(text).collect(),
            _ => None,
        })
    }

    /// The keys of the elements of an array of tables (`[[sources]]`): `sources[0]`, `sources[1]`, ...;
    /// ask on with `format!("{element}.weight")`. The elements' own keys are checked as those of any table.
    pub fn tables(&mut self, key: &str, meaning: &'static str) -> Field<'_, Vec<String>> {
        let prefix = key.to_owned();
        let one = self.notes.iter().map(|_| format!("{key}[0]")).collect();
        let field = self.field(key, meaning, "an array of tables", one, |node| match node {
            Node::Array(items) if items.iter().all(|i| matches!(i.node, Node::Table(_))) => {
                Some((0..items.len()).map(|i| format!("{prefix}[{i}]")).collect())
            }
            _ => None,
        });
        field.opened_as(format!("{key}[]"))
    }

    /// The elements of an array of strings and tables, for short and long ways to say the same; neither the array nor a
    /// string may be empty. The tables' own keys are checked as those of any table.
    pub fn strings_or_tables(
        &mut self,
        key: &str,
        meaning: &'static str,
    ) -> Field<'_, Vec<Element>> {
        let named = |i: usize| format!("{key}[{i}]");
        let one = self.notes.iter().map(|_| Element::Table(named(0)));
        let one: Vec<Element> = one.collect();
        let mut plain = Vec::new();
        let element = |(i, item): (usize, &Item)| match &item.node {
            Node::String(text) => {
                plain.push(named(i));
                Some(Element::Plain(text.clone()))
            }
            Node::Table(_) => Some(Element::Table(named(i))),
            _ => None,
        };
        let expects = "a list of strings or tables";
        let field = self.field(key, meaning, expects, one, |node| match node {
            Node::Array(items) => items.iter().enumerate().map(element).collect(),
            _ => None,
        });
        field.reader.asked.extend(plain);
        let empty = Element::Plain(String::new());
        let field = field.check(|elements| {
            if elements.is_empty() || elements.contains(&empty) {
                let problem = "the list is empty, or a string in it".to_owned();
                return Err((problem, "name at least one file".to_owned()));
            }
            Ok(())
        });
        field.opened_as(format!("{key}[]"))
    }

    /// The names in a table whose keys the user chooses, in alphabetical order; ask on with
    /// `format!("{key}.{name}")`.
    pub fn names(&mut self, key: &str, meaning: &'static str) -> Field<'_, Vec<String>> {
        let field = self.field(key, meaning, "a table", Vec::new(), |node| match node {
            Node::Table(entries) => Some(entries.keys().cloned().collect()),
            _ => None,
        });
        let plain = |name: &String| matches!(parts(name).as_deref(), Some([Part::Key(_)]));
        let field = field.check(|names| match names.iter().find(|name| !plain(name)) {
            None => Ok(()),
            Some(name) => Err((
                format!("the name {name:?} has a dot or a bracket"),
                "choose a plain name".to_owned(),
            )),
        });
        field.opened_as(format!("{key}.*"))
    }

    /// Whether the recipe has this key, for a table that is optional as a whole.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        if let Some(notes) = &self.notes {
            let answers = ["given".to_owned(), "left out".to_owned()];
            return notes.borrow_mut().choose(&general(key), &answers) == 0;
        }
        parts(key).is_some_and(|parts| self.root.find(&parts).is_ok())
    }

    /// Whether just one of two keys of a table is there; otherwise that is a mistake.
    pub fn one_of_two(&mut self, table: &str, first: &str, second: &str) {
        let keys = [first, second].map(|name| format!("{table}.{name}"));
        if let Some(notes) = &self.notes {
            notes.borrow_mut().group(keys);
            return;
        }
        let given = keys.map(|key| self.has(&key));
        if given[0] == given[1] {
            let found = if given[0] { "both" } else { "neither" };
            let problem = format!("{found} of `{first}` and `{second}` given");
            self.mistake(table, problem, "give one of them");
        }
    }

    /// Reports a mistake that only several keys together make, at the line of `key`.
    pub fn mistake(&mut self, key: &str, problem: impl Into<String>, remedy: impl Into<String>) {
        let origin = match self.root.find(&parts(key).unwrap_or_default()) {
            Ok(item) | Err(item) => item.origin.clone(),
        };
        self.push(Mistake {
            origin,
            key: key.to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Every mistake made in the recipe, unknown keys included, in the order of their lines.
    pub fn finish(mut self) -> Result<Resolved, RecipeError> {
        let unknown = unknown::keys(&self.root, &self.asked, self.quotes);
        self.mistakes.extend(unknown);
        if self.mistakes.is_empty() {
            return Ok(Resolved::new(&self.root.node));
        }
        self.mistakes
            .sort_by(|left, right| (&left.origin, &left.key).cmp(&(&right.origin, &right.key)));
        Err(RecipeError {
            file: self.file,
            mistakes: self.mistakes,
        })
    }

    /// Notes that `key` is a container whose content is asked for separately, so that its own keys are
    /// checked one by one.
    pub(crate) fn open_up(&mut self, key: &str, marker: String) {
        self.asked.remove(key);
        self.asked.insert(marker);
    }

    /// Notes that a field was asked for.
    pub(crate) fn note(&self, field: impl FnOnce() -> FieldDoc) {
        if let Some(notes) = &self.notes {
            notes.borrow_mut().field(field());
        }
    }

    pub(crate) fn push(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    fn field<T>(
        &mut self,
        key: &str,
        meaning: &'static str,
        expects: &str,
        placeholder: T,
        convert: impl FnOnce(&Node) -> Option<T>,
    ) -> Field<'_, T> {
        self.asked.insert(key.to_owned());
        let found = match self.root.find(&parts(key).unwrap_or_default()) {
            Err(_) if self.notes.is_some() => Found::Noted,
            Err(nearest) => Found::Absent(nearest.origin.clone()),
            Ok(item) => {
                if let Some(value) = convert(&item.node) {
                    Found::Value(value, item.origin.clone())
                } else {
                    let mistake = Mistake {
                        origin: item.origin.clone(),
                        key: key.to_owned(),
                        problem: format!("{} is not {expects}", item.node.describe(self.quotes)),
                        remedy: format!("write {expects}"),
                    };
                    self.mistakes.push(mistake);
                    Found::Reported
                }
            }
        };
        Field {
            reader: self,
            key: key.to_owned(),
            found,
            placeholder,
            doc: FieldDoc {
                key: general(key),
                kind: expects.to_owned(),
                range: None,
                presence: Presence::Optional,
                only: Vec::new(),
                meaning,
            },
        }
    }
}
