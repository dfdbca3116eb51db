//! A recipe as a tree of values that remember where they came from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::{Mistake, Origin};

/// A value with its origin.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) origin: Origin,
    pub(crate) node: Node,
}

/// A TOML value.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Table(BTreeMap<String, Item>),
    Array(Vec<Item>),
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(toml::value::Datetime),
}

impl Node {
    /// The value as a person would name it in a message; what a string says only if it `quotes`.
    pub(crate) fn describe(&self, quotes: bool) -> String {
        match self {
            Self::Table(_) => "a table".to_owned(),
            Self::Array(_) => "an array".to_owned(),
            Self::String(text) if text.is_empty() => "an empty string".to_owned(),
            Self::String(_) if !quotes => "a string".to_owned(),
            Self::String(text) => format!("the string {text:?}"),
            Self::Integer(number) => format!("the integer {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Boolean(value) => format!("the boolean {value}"),
            Self::Datetime(value) => format!("the date {value}"),
        }
    }

    /// The value as `toml` has it.
    pub(crate) fn to_value(&self) -> toml::Value {
        match self {
            Self::Table(entries) => toml::Value::Table(
                entries
                    .iter()
                    .map(|(key, item)| (key.clone(), item.node.to_value()))
                    .collect(),
            ),
            Self::Array(items) => {
                toml::Value::Array(items.iter().map(|item| item.node.to_value()).collect())
            }
            Self::String(text) => toml::Value::String(text.clone()),
            Self::Integer(number) => toml::Value::Integer(*number),
            Self::Float(number) => toml::Value::Float(*number),
            Self::Boolean(value) => toml::Value::Boolean(*value),
            Self::Datetime(value) => toml::Value::Datetime(*value),
        }
    }
}

/// One part of a dotted key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Key(String),
    Index(usize),
}

/// Splits `a.b[2].c`; `None` if it is not of that form.
pub(crate) fn parts(key: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for piece in key.split('.') {
        let (name, mut indices) = piece.split_at(piece.find('[').unwrap_or(piece.len()));
        if name.is_empty() {
            return None;
        }
        parts.push(Part::Key(name.to_owned()));
        while !indices.is_empty() {
            let (index, rest) = indices.strip_prefix('[')?.split_once(']')?;
            parts.push(Part::Index(index.parse().ok()?));
            indices = rest;
        }
    }
    Some(parts)
}

impl Item {
    /// The item at `parts`, or the origin of the deepest table or array on the way there.
    pub(crate) fn find(&self, parts: &[Part]) -> Result<&Self, &Self> {
        let mut item = self;
        for part in parts {
            let next = match (&item.node, part) {
                (Node::Table(entries), Part::Key(key)) => entries.get(key),
                (Node::Array(items), Part::Index(index)) => items.get(*index),
                _ => None,
            };
            item = next.ok_or(item)?;
        }
        Ok(item)
    }
}

/// Parses a document; what cannot be read is reported and the rest is kept. `file` is its name in messages.
pub(crate) fn parse(file: &str, text: &str) -> (Item, Vec<Mistake>) {
    let source = Source {
        file: file.into(),
        text,
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut mistakes: Vec<Mistake> = errors
        .iter()
        .map(|error| Mistake {
            origin: source.line_at(error.span()),
            key: String::new(),
            problem: format!("not TOML: {}", error.message()),
            remedy: "correct the syntax".to_owned(),
        })
        .collect();
    let node = source.table(document.get_ref(), "", &mut mistakes);
    let root = Item {
        origin: source.line_at(None),
        node,
    };
    (root, mistakes)
}

/// Parses the right side of an override: a TOML value, or else a bare string.
pub(crate) fn parse_set_value(text: &str, origin: &Origin, key: &str) -> (Item, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    let node = match DeValue::parse(text) {
        Ok(parsed) => {
            let source = Source {
                file: "".into(),
                text,
            };
            source.node(parsed.get_ref(), key, &mut mistakes)
        }
        Err(_) => Node::String(text.to_owned()),
    };
    let mut item = Item {
        origin: origin.clone(),
        node,
    };
    set_origin(&mut item, origin);
    for mistake in &mut mistakes {
        mistake.origin = origin.clone();
    }
    (item, mistakes)
}

fn set_origin(item: &mut Item, origin: &Origin) {
    item.origin = origin.clone();
    match &mut item.node {
        Node::Table(entries) => entries.values_mut().for_each(|i| set_origin(i, origin)),
        Node::Array(items) => items.iter_mut().for_each(|i| set_origin(i, origin)),
        _ => {}
    }
}

/// A document that is being parsed.
struct Source<'t> {
    file: Arc<str>,
    text: &'t str,
}

impl Source<'_> {
    fn table(&self, entries: &DeTable, path: &str, mistakes: &mut Vec<Mistake>) -> Node {
        let entries = entries.iter().map(|(key, value)| {
            let name = key.get_ref().to_string();
            let path = join(path, &name);
            // A table's own span may start at its first entry; the key is what a person looks for.
            let origin = self.line_at(Some(key.span()));
            let node = self.node(value.get_ref(), &path, mistakes);
            (name, Item { origin, node })
        });
        Node::Table(entries.collect())
    }

    fn node(&self, value: &DeValue, path: &str, mistakes: &mut Vec<Mistake>) -> Node {
        let node = match value {
            DeValue::String(string) => Some(Node::String(string.to_string())),
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(Node::Integer),
            DeValue::Float(float) => float.as_str().parse().ok().map(Node::Float),
            DeValue::Boolean(boolean) => Some(Node::Boolean(*boolean)),
            DeValue::Datetime(datetime) => Some(Node::Datetime(*datetime)),
            DeValue::Array(items) => {
                let items =
                    items
                        .iter()
                        .enumerate()
                        .map(|(i, item): (usize, &Spanned<DeValue>)| Item {
                            origin: self.line_at(Some(item.span())),
                            node: self.node(item.get_ref(), &format!("{path}[{i}]"), mistakes),
                        });
                Some(Node::Array(items.collect()))
            }
            DeValue::Table(entries) => Some(self.table(entries, path, mistakes)),
        };
        node.unwrap_or_else(|| {
            mistakes.push(Mistake {
                origin: self.line_at(None),
                key: path.to_owned(),
                problem: "a number that does not fit 64 bits".to_owned(),
                remedy: "write a smaller number".to_owned(),
            });
            Node::Integer(0)
        })
    }

    fn line_at(&self, span: Option<Range<usize>>) -> Origin {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        let n_lines = self.text.as_bytes()[..start]
            .split(|&byte| byte == b'\n')
            .count();
        Origin::Line(Arc::clone(&self.file), n_lines)
    }
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
