//! Keys nobody asked for, and what their author probably meant.

use std::collections::BTreeSet;

use crate::foreign;
use crate::mistake::Mistake;
use crate::tree::{Item, Node, join};

/// Names more different than this share no intention.
const MIN_SIMILARITY: f64 = 0.75;

/// A mistake for each key of the tree that is not in `asked` nor leads to one that is.
///
/// A table nobody asked into is one mistake, not one per key. Strings are repeated only if it `quotes` them.
pub(crate) fn keys(root: &Item, asked: &BTreeSet<String>, quotes: bool) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    visit(root, "", asked, quotes, &mut mistakes);
    mistakes
}

fn visit(
    item: &Item,
    path: &str,
    asked: &BTreeSet<String>,
    quotes: bool,
    mistakes: &mut Vec<Mistake>,
) {
    match &item.node {
        Node::Table(entries) => {
            for (name, entry) in entries {
                let key = join(path, name);
                // One that TOML has between quotes is a single name, however much it looks like a path: nobody has read it.
                let is_quoted = name.contains(['.', '[']);
                if !is_quoted && asked.contains(&key) {
                    continue;
                }
                if !is_quoted && leads_to_asked(&key, asked) {
                    visit(entry, &key, asked, quotes, mistakes);
                } else {
                    mistakes.push(unknown(entry, path, name, asked));
                }
            }
        }
        Node::Array(items) => {
            for (i, element) in items.iter().enumerate() {
                let key = format!("{path}[{i}]");
                if !asked.contains(&key) {
                    visit(element, &key, asked, quotes, mistakes);
                }
            }
        }
        // The stage asks for keys below, but this is a plain value: those keys were reported as missing,
        // which alone would not tell why.
        other => mistakes.push(Mistake {
            origin: item.origin.clone(),
            key: path.to_owned(),
            problem: format!("{} where a table belongs", other.describe(quotes)),
            remedy: format!("write a table [{path}]"),
        }),
    }
}

fn leads_to_asked(key: &str, asked: &BTreeSet<String>) -> bool {
    [".", "["].iter().any(|separator| {
        let prefix = format!("{key}{separator}");
        asked
            .range(prefix.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&prefix))
    })
}

fn unknown(item: &Item, table: &str, name: &str, asked: &BTreeSet<String>) -> Mistake {
    let remedy = quoted_path(table, name, asked)
        .or_else(|| foreign::remedy(table, name, asked))
        .or_else(|| nearest_here(table, name, asked).map(|near| format!("did you mean `{near}`?")))
        .or_else(|| elsewhere(table, name, asked).map(|key| format!("did you mean `{key}`?")))
        .unwrap_or_else(|| {
            let owner = if table.is_empty() {
                "the top of the file".to_owned()
            } else {
                format!("[{table}]")
            };
            let known = names_in(table, asked).collect::<BTreeSet<&str>>();
            let known = Vec::from_iter(known).join(", ");
            format!("remove it: {owner} has {known}")
        });
    let kind = match item.node {
        Node::Table(_) => "table",
        _ => "key",
    };
    Mistake {
        origin: item.origin.clone(),
        key: join(table, name),
        problem: format!("unknown {kind}"),
        remedy,
    }
}

/// What to do about a name that would be a key if it were not between quotes.
fn quoted_path(table: &str, name: &str, asked: &BTreeSet<String>) -> Option<String> {
    let key = join(table, name);
    let is_path = name.contains('.') && (asked.contains(&key) || leads_to_asked(&key, asked));
    is_path.then(|| "write it without quotes, which make one name of a path".to_owned())
}

/// The names that a table has, as often as something is asked below them.
fn names_in<'a>(table: &str, asked: &'a BTreeSet<String>) -> impl Iterator<Item = &'a str> {
    let prefix = join(table, "");
    asked
        .iter()
        .filter_map(move |key| key.strip_prefix(&prefix)?.split(['.', '[']).next())
}

/// The most similar name known in the same table.
fn nearest_here<'a>(table: &str, name: &str, asked: &'a BTreeSet<String>) -> Option<&'a str> {
    names_in(table, asked)
        .map(|known| (similarity(known, name), known))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known)
}

/// 1 for equal names; a name that abbreviates the other (`warmup`, `warmup_ratio`) is just similar enough.
fn similarity(known: &str, name: &str) -> f64 {
    let (short, long) = if known.len() < name.len() {
        (known, name)
    } else {
        (name, known)
    };
    let edits = strsim::normalized_damerau_levenshtein(known, name);
    if short.len() >= 4 && long.contains(short) {
        edits.max(MIN_SIMILARITY)
    } else {
        edits
    }
}

/// The same name in another table.
fn elsewhere(table: &str, name: &str, asked: &BTreeSet<String>) -> Option<String> {
    asked
        .iter()
        .find(|key| key.rsplit('.').next() == Some(name) && **key != join(table, name))
        .cloned()
}
