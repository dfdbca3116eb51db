//! One asked-for value on its way from the file to the stage.

use std::fmt::Display;
use std::ops::RangeBounds;

use crate::mistake::{Mistake, Origin};
use crate::reader::Reader;
use crate::survey::{FieldDoc, Presence};

/// A value being checked; ends in [`Field::required`] or [`Field::optional`].
#[derive(Debug)]
#[must_use = "end with required(), optional() or or(), or the value is never delivered"]
pub struct Field<'r, T> {
    pub(crate) reader: &'r mut Reader,
    pub(crate) key: String,
    pub(crate) found: Found<T>,
    /// What stands in for the value after a mistake, so that reading goes on.
    pub(crate) placeholder: T,
    /// What the key takes and means.
    pub(crate) doc: FieldDoc,
}

/// What a key holds.
#[derive(Debug)]
pub(crate) enum Found<T> {
    Value(T, Origin),
    Absent(Origin),
    /// Present, but wrong in a way already reported.
    Reported,
    /// Nothing is read, and the placeholder is the answer.
    Noted,
}

impl<T> Field<'_, T> {
    /// Marks a container whose content the stage asks for next; one already reported stays closed.
    pub(crate) fn opened_as(self, marker: String) -> Self {
        if !matches!(self.found, Found::Reported) {
            self.reader.open_up(&self.key, marker);
        }
        self
    }

    /// Rejects values for which `check` gives a problem and a remedy.
    pub fn check(mut self, check: impl FnOnce(&T) -> Result<(), (String, String)>) -> Self {
        if let Found::Value(value, origin) = &self.found
            && let Err((problem, remedy)) = check(value)
        {
            let origin = origin.clone();
            self.reader.push(Mistake {
                origin,
                key: self.key.clone(),
                problem,
                remedy,
            });
            self.found = Found::Reported;
        }
        self
    }

    /// The value; its absence is a mistake.
    pub fn required(self) -> T {
        self.note(Presence::Required);
        match self.found {
            Found::Value(value, _) => value,
            Found::Reported | Found::Noted => self.placeholder,
            Found::Absent(origin) => {
                self.reader.push(Mistake {
                    origin,
                    problem: "missing".to_owned(),
                    remedy: format!("add `{} = <{}>`", last(&self.key), self.doc.kind),
                    key: self.key,
                });
                self.placeholder
            }
        }
    }

    /// The value, or `None` if the recipe does not have the key.
    pub fn optional(self) -> Option<T> {
        self.note(Presence::Optional);
        self.given()
    }

    /// The value, or what its absence means, which the reference of fields shows as `word`.
    pub fn or(self, absent: T, word: &str) -> T {
        self.note(Presence::Default(word.to_owned()));
        self.given().unwrap_or(absent)
    }

    fn given(self) -> Option<T> {
        match self.found {
            Found::Value(value, _) => Some(value),
            Found::Noted => Some(self.placeholder),
            Found::Absent(_) | Found::Reported => None,
        }
    }

    fn note(&self, presence: Presence) {
        self.reader.note(|| FieldDoc {
            presence,
            ..self.doc.clone()
        });
    }
}

impl<T: PartialOrd + Display> Field<'_, T> {
    /// Rejects values outside `range`, such as `0.0..1.0` or `1..`.
    pub fn within(mut self, range: impl RangeBounds<T>) -> Self {
        let bounds = describe_range(&range);
        self.doc.range = Some(match self.doc.range {
            Some(known) => format!("{known} and {bounds}"),
            None => bounds.clone(),
        });
        self.check(|value| {
            if range.contains(value) {
                return Ok(());
            }
            Err((
                format!("{value} is out of range"),
                format!("use a value {bounds}"),
            ))
        })
    }
}

impl<T: PartialOrd + Display + Default> Field<'_, T> {
    /// Rejects zero and negative values.
    pub fn positive(mut self) -> Self {
        self.doc.range = Some("above 0".to_owned());
        self.check(|value| {
            if *value > T::default() {
                return Ok(());
            }
            Err((
                format!("{value} is out of range"),
                "use a value above 0".to_owned(),
            ))
        })
    }
}

fn describe_range<T: Display>(range: &impl RangeBounds<T>) -> String {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let low = match range.start_bound() {
        Included(low) => Some(format!("at least {low}")),
        Excluded(low) => Some(format!("above {low}")),
        Unbounded => None,
    };
    let high = match range.end_bound() {
        Included(high) => Some(format!("at most {high}")),
        Excluded(high) => Some(format!("below {high}")),
        Unbounded => None,
    };
    let bounds: Vec<String> = low.into_iter().chain(high).collect();
    bounds.join(" and ")
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}
