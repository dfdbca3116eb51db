//! A settings file read so that all its mistakes are told at once, each with its line and key, as those of a recipe are.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A file being read.
pub(super) struct File {
    name: String,
    /// What stands under each dotted key.
    entries: BTreeMap<String, Entry>,
    asked: Vec<&'static str>,
    /// Line, key and what is wrong.
    mistakes: Vec<(usize, String, String)>,
}

struct Entry {
    line: usize,
    value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Table,
    Other,
}

impl Value {
    /// What a person calls it. Texts are not repeated, because somebody may have written a key there.
    fn described(&self) -> String {
        match self {
            Self::Text(_) => "a string".to_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::Table => "a table".to_owned(),
            Self::Other => "a list or a date".to_owned(),
        }
    }
}

/// A kind of value: its name in messages, and how it is had from what is written.
pub(super) struct Kind<T> {
    expects: &'static str,
    read: fn(&Value) -> Option<T>,
}

pub(super) const TEXT: Kind<String> = Kind {
    expects: "a string",
    read: |value| match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    },
};
pub(super) const NUMBER: Kind<f64> = Kind {
    expects: "a number",
    read: |value| match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    },
};
pub(super) const WHOLE: Kind<u64> = Kind {
    expects: "an integer of at least 0",
    read: |value| match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    },
};
pub(super) const SWITCH: Kind<bool> = Kind {
    expects: "true or false",
    read: |value| match value {
        Value::Boolean(value) => Some(*value),
        _ => None,
    },
};

impl File {
    /// Parses a text; `name` is the file's in messages.
    pub fn parse(name: String, text: &str) -> Self {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut file = Self {
            name,
            entries: BTreeMap::new(),
            asked: Vec::new(),
            mistakes: Vec::new(),
        };
        for error in &errors {
            let problem = format!("not TOML: {} (correct the syntax)", error.message());
            let line = line_at(text, error.span());
            file.mistakes.push((line, String::new(), problem));
        }
        file.enter(document.get_ref(), text, "");
        file
    }

    fn enter(&mut self, table: &DeTable<'_>, text: &str, path: &str) {
        for (key, value) in table {
            let name = format!("{path}{}", key.get_ref());
            let read = match value.get_ref() {
                DeValue::String(text) => Value::Text(text.to_string()),
                DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                    .map_or(Value::Other, Value::Integer),
                DeValue::Float(number) => {
                    number.as_str().parse().map_or(Value::Other, Value::Float)
                }
                DeValue::Boolean(value) => Value::Boolean(*value),
                DeValue::Table(inner) => {
                    self.enter(inner, text, &format!("{name}."));
                    Value::Table
                }
                DeValue::Array(_) | DeValue::Datetime(_) => Value::Other,
            };
            let line = line_at(text, Some(key.span()));
            self.entries.insert(name, Entry { line, value: read });
        }
    }

    /// A value that may be left out.
    pub fn optional<T>(&mut self, key: &'static str, kind: &Kind<T>) -> Option<T> {
        self.asked.push(key);
        let entry = self.entries.get(key)?;
        let value = (kind.read)(&entry.value);
        if value.is_none() {
            let found = entry.value.described();
            let problem = format!("{found} is not {0} (write {0})", kind.expects);
            self.mistakes.push((entry.line, key.to_owned(), problem));
        }
        value
    }

    /// A value that has to be there; `placeholder` stands for it after a mistake.
    pub fn required<T>(&mut self, key: &'static str, kind: &Kind<T>, placeholder: T) -> T {
        let value = self.optional(key, kind);
        if !self.entries.contains_key(key) {
            let name = key.rsplit('.').next().unwrap_or(key);
            let problem = format!("missing (add `{name} = <{}>`)", kind.expects);
            self.mistakes
                .push((self.line(key), key.to_owned(), problem));
        }
        value.unwrap_or(placeholder)
    }

    /// Tells what is wrong with a value, unless it is `right`.
    pub fn check(&mut self, key: &str, right: bool, problem: &str) {
        if !right {
            self.mistakes
                .push((self.line(key), key.to_owned(), problem.to_owned()));
        }
    }

    /// Where a key is, or the table that should have it.
    fn line(&self, key: &str) -> usize {
        let table = key.rsplit_once('.').map_or("", |(table, _)| table);
        let entry = self.entries.get(key).or_else(|| self.entries.get(table));
        entry.map_or(1, |entry| entry.line)
    }

    /// All mistakes, unknown keys among them, in the order of their lines.
    pub fn finish(mut self) -> Result<(), Vec<String>> {
        let mut tables: Vec<String> = Vec::new();
        for (key, entry) in &self.entries {
            let inside = |table: &String| key.starts_with(&format!("{table}."));
            let leads = format!("{key}.");
            let is_table_asked = self.asked.iter().any(|asked| asked.starts_with(&leads));
            if self.asked.contains(&key.as_str()) || tables.iter().any(inside) {
                continue;
            }
            if is_table_asked {
                if !matches!(entry.value, Value::Table) {
                    let problem = format!("not a table (write [{key}])");
                    self.mistakes.push((entry.line, key.clone(), problem));
                }
                continue;
            }
            tables.push(key.clone());
            let problem = format!("unknown ({})", self.known_beside(key));
            self.mistakes.push((entry.line, key.clone(), problem));
        }
        self.mistakes.sort();
        if self.mistakes.is_empty() {
            return Ok(());
        }
        let written = |(line, key, problem): &(usize, String, String)| {
            let key = if key.is_empty() {
                String::new()
            } else {
                format!("{key}: ")
            };
            format!("{}:{line}: {key}{problem}", self.name)
        };
        Err(self.mistakes.iter().map(written).collect())
    }

    /// The keys of the table that an unknown one is in.
    fn known_beside(&self, key: &str) -> String {
        let table = key.rsplit_once('.').map_or("", |(table, _)| table);
        let prefix = if table.is_empty() {
            String::new()
        } else {
            format!("{table}.")
        };
        let mut known: Vec<&str> = self
            .asked
            .iter()
            .filter_map(|asked| asked.strip_prefix(prefix.as_str())?.split('.').next())
            .collect();
        known.dedup();
        let place = if table.is_empty() {
            "the top".to_owned()
        } else {
            format!("[{table}]")
        };
        format!("the keys of {place} are {}", known.join(", "))
    }
}

fn line_at(text: &str, span: Option<Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start).min(text.len());
    text.as_bytes()[..start]
        .split(|&byte| byte == b'\n')
        .count()
}
