//! The fields of a JSON object, each taken once; what is left over was not understood.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The fields of an object that have not been taken.
pub(crate) struct Fields {
    map: Map<String, Value>,
    /// Where the object stands in the request; empty for the request itself.
    place: String,
}

impl Fields {
    /// The fields of `value`, which stands at `place`.
    pub(crate) fn of(value: Value, place: impl Into<String>) -> Result<Self, Refusal> {
        let place = place.into();
        match value {
            Value::Object(map) => Ok(Self { map, place }),
            other => Err(expected(&place, "an object", &other)),
        }
    }

    /// Where a field stands in the request.
    pub(crate) fn path(&self, name: &str) -> String {
        if self.place.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.place)
        }
    }

    /// A field, unless it is absent or null.
    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub(crate) fn required(&mut self, name: &str) -> Result<Value, Refusal> {
        self.take(name).ok_or_else(|| {
            Refusal::field(self.path(name), format!("`{}` is missing", self.path(name)))
        })
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let path = self.path(name);
        self.take(name).map(|value| text(value, &path)).transpose()
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(other) => Err(expected(&self.path(name), "true or false", &other)),
        }
    }

    /// A number from `least` to `most`.
    pub(crate) fn number(
        &mut self,
        name: &str,
        [least, most]: [f64; 2],
    ) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_f64().filter(|n| (least..=most).contains(n)) {
            Some(number) => Ok(Some(number)),
            None => Err(expected(
                &self.path(name),
                &format!("a number from {least} to {most}"),
                &value,
            )),
        }
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn whole(
        &mut self,
        name: &str,
        [least, most]: [u64; 2],
    ) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        match value.as_u64().filter(|n| (least..=most).contains(n)) {
            Some(number) => Ok(Some(number)),
            None => Err(expected(
                &self.path(name),
                &format!("a whole number from {least} to {most}"),
                &value,
            )),
        }
    }

    /// Takes fields that change no answer.
    pub(crate) fn pass_over(&mut self, names: &[&str]) {
        for name in names {
            self.map.shift_remove(*name);
        }
    }

    /// A field that may only say what is done anyway.
    pub(crate) fn neutral(
        &mut self,
        name: &str,
        is_neutral: impl Fn(&Value) -> bool,
        instead: &str,
    ) -> Result<(), Refusal> {
        match self.take(name) {
            Some(value) if !is_neutral(&value) => {
                let path = self.path(name);
                Err(Refusal::unsupported(
                    &path,
                    format!("`{path}` is not supported here; {instead}"),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Refuses what was not taken.
    pub(crate) fn end(self) -> Result<(), Refusal> {
        match self.map.iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => {
                let path = self.path(name);
                Err(Refusal::unsupported(
                    &path,
                    format!(
                        "`{path}` is not known here and is not passed over in silence; leave it out"
                    ),
                ))
            }
        }
    }
}

/// A value that must be text.
pub(crate) fn text(value: Value, path: &str) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(expected(path, "text", &other)),
    }
}

/// A value that must be a list.
pub(crate) fn list(value: Value, path: &str) -> Result<Vec<Value>, Refusal> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(expected(path, "a list", &other)),
    }
}

/// The refusal of a value of another kind. Numbers and flags are repeated, text is not.
pub(crate) fn expected(path: &str, what: &str, found: &Value) -> Refusal {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => found.to_string(),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    let at = if path.is_empty() { "the body" } else { path };
    Refusal {
        param: (!path.is_empty()).then(|| path.to_owned()),
        ..Refusal::field("", format!("`{at}` is {found}, expected {what}"))
    }
}
