//! `--set a.b=c`: replacing or adding values before the recipe is checked.

use std::collections::BTreeMap;

use crate::alternatives;
use crate::mistake::{Mistake, Origin};
use crate::tree::{Item, Node, Part, parse_set_value, parts};

/// Applies the overrides in order and returns what is wrong with them.
pub(crate) fn apply(root: &mut Item, sets: &[String]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for set in sets {
        if let Err(mistake) = apply_one(root, set, &mut mistakes) {
            mistakes.push(mistake);
        }
    }
    mistakes
}

fn apply_one(root: &mut Item, set: &str, mistakes: &mut Vec<Mistake>) -> Result<(), Mistake> {
    let origin = Origin::Set(set.to_owned());
    let mistake = |key: &str, problem: &str, remedy: &str| Mistake {
        origin: origin.clone(),
        key: key.to_owned(),
        problem: problem.to_owned(),
        remedy: remedy.to_owned(),
    };
    let Some((key, value)) = set.split_once('=') else {
        return Err(mistake("", "there is no `=`", "write --set key=value"));
    };
    let (key, value) = (key.trim(), value.trim());
    let Some(parts) = parts(key) else {
        return Err(mistake(
            key,
            "not a dotted key",
            "write a.b=c, or a.list[0].b=c",
        ));
    };
    let (item, found) = parse_set_value(value, &origin, key);
    mistakes.extend(found);
    place(root, &parts, item).map_err(|problem| {
        mistake(
            key,
            problem,
            "name a key of a table, or an existing element of an array",
        )
    })?;
    alternatives::give_way_to(root, &parts);
    Ok(())
}

/// Puts `item` at `parts`, creating tables on the way but never array elements.
fn place(root: &mut Item, parts: &[Part], item: Item) -> Result<(), &'static str> {
    let origin = item.origin.clone();
    let mut here = root;
    for part in parts {
        here = match (&mut here.node, part) {
            (Node::Table(entries), Part::Key(key)) => {
                entries.entry(key.clone()).or_insert_with(|| Item {
                    origin: origin.clone(),
                    node: Node::Table(BTreeMap::new()),
                })
            }
            (Node::Array(items), Part::Index(index)) => items
                .get_mut(*index)
                .ok_or("the array has fewer elements")?,
            (Node::Array(_), Part::Key(_)) => return Err("this is an array, not a table"),
            _ => return Err("the key goes through a value that is not a table or an array"),
        };
    }
    *here = item;
    Ok(())
}
