//! The recipe as it is run, with what it extends and the overrides applied.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{self, Item, Node};

/// A recipe without mistakes, to be written into the run folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    table: toml::Table,
}

impl Resolved {
    pub(crate) fn new(root: &Node) -> Self {
        let table = match root.to_value() {
            toml::Value::Table(table) => table,
            // The root of a document is a table.
            _ => toml::Table::new(),
        };
        Self { table }
    }

    /// The canonical text: keys in alphabetical order.
    #[must_use]
    pub fn to_text(&self) -> String {
        // A table of TOML values read from TOML always serialises.
        toml::to_string_pretty(&self.table).unwrap_or_default()
    }
}

/// The value under a dotted key of a resolved text, such as `rewards[0].weight`; null if there is none.
#[must_use]
pub fn value_of(resolved: &str, key: &str) -> serde_json::Value {
    let table: toml::Table = resolved.parse().unwrap_or_default();
    let resolved = toml::Value::Table(table);
    let mut parts = key.split('.').flat_map(|part| part.split('['));
    let value = parts.try_fold(&resolved, |value, part| match part.strip_suffix(']') {
        Some(place) => value.get(place.parse::<usize>().ok()?),
        None => value.get(part),
    });
    // Numbers, strings and the like: what TOML holds, JSON holds.
    value
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or_default()
}

/// The dotted keys whose values differ between two resolved texts, as `key: then -> now`, except those that
/// `may_change`, in which `[*]` is any place of a list.
#[must_use]
pub fn changed_keys(then: &str, now: &str, may_change: &[&str]) -> Vec<String> {
    let (then, now) = (leaves_of(then), leaves_of(now));
    let keys: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let shown = |leaf: Option<&String>| leaf.map_or("absent", String::as_str).to_owned();
    keys.into_iter()
        .filter(|key| !may_change.contains(&in_any_place(key).as_str()))
        .filter(|key| then.get(*key) != now.get(*key))
        .map(|key| format!("{key}: {} -> {}", shown(then.get(key)), shown(now.get(key))))
        .collect()
}

/// The keys that `may_change` names: those of lists, in which `[*]` is any place, as the two resolved texts have them.
#[must_use]
pub fn free_keys(then: &str, now: &str, may_change: &[String]) -> BTreeSet<String> {
    let both = [then, now].map(leaves_of);
    let in_lists = both.iter().flat_map(BTreeMap::keys);
    let in_lists =
        in_lists.filter(|key| key.contains('[') && may_change.contains(&in_any_place(key)));
    let plain = may_change.iter().filter(|key| !key.contains('['));
    plain.chain(in_lists).cloned().collect()
}

/// A dotted key with `[*]` for the place in each list: `rewards[*].weight` for `rewards[0].weight`.
fn in_any_place(key: &str) -> String {
    let parts = key.split(']').map(|part| match part.rsplit_once('[') {
        Some((list, _)) => format!("{list}[*"),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("]")
}

/// Every plain value of a text by its dotted key, as TOML writes it.
#[must_use]
pub fn leaves_of(text: &str) -> BTreeMap<String, String> {
    let (root, _) = tree::parse("", text);
    let mut leaves = BTreeMap::new();
    collect(&root, "", &mut leaves);
    leaves
}

fn collect(item: &Item, key: &str, leaves: &mut BTreeMap<String, String>) {
    match &item.node {
        Node::Table(entries) => {
            for (name, entry) in entries {
                collect(entry, &tree::join(key, name), leaves);
            }
        }
        Node::Array(items) => {
            for (i, element) in items.iter().enumerate() {
                collect(element, &format!("{key}[{i}]"), leaves);
            }
        }
        plain => {
            leaves.insert(key.to_owned(), plain.to_value().to_string());
        }
    }
}
