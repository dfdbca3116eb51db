//! Keys of which a recipe has one alone, as `run.steps` and `run.epochs`: where one is put over a recipe that has the other,
//! the other gives way. Two that one file has, or two overrides, both stay, so that they are a mistake.

use std::collections::BTreeMap;

use crate::mistake::Origin;
use crate::tree::{Item, Node, Part};

/// Their table, and the two.
const PAIRS: [(&str, [&str; 2]); 2] = [
    ("run", ["steps", "epochs"]),
    ("optimizer", ["warmup_ratio", "warmup_steps"]),
];

/// Takes out of `below` what the file `above`, which is about to be put over it, has the other key for.
pub(crate) fn give_way(below: &mut Item, above: &Item) {
    for (table, keys) in PAIRS {
        let given = keys.map(|key| {
            let parts = [table, key].map(|name| Part::Key(name.to_owned()));
            above.find(&parts).is_ok()
        });
        let other = match given {
            [true, false] => keys[1],
            [false, true] => keys[0],
            _ => continue,
        };
        if let Some(entries) = entries(below, table) {
            entries.remove(other);
        }
    }
}

/// Takes out of `root` the other key of the one at `parts`, which an override has put there, unless an override gave it, too.
pub(crate) fn give_way_to(root: &mut Item, parts: &[Part]) {
    let [Part::Key(table), Part::Key(key)] = parts else {
        return;
    };
    let pair = PAIRS.iter().find(|(name, _)| name == table);
    let other = match pair {
        Some((_, [first, second])) if key == first => second,
        Some((_, [first, second])) if key == second => first,
        _ => return,
    };
    if let Some(entries) = entries(root, table) {
        let stays = |item: &Item| matches!(item.origin, Origin::Set(_));
        if !entries.get(*other).is_some_and(stays) {
            entries.remove(*other);
        }
    }
}

/// The entries of a table at the top.
fn entries<'a>(root: &'a mut Item, table: &str) -> Option<&'a mut BTreeMap<String, Item>> {
    let Node::Table(tables) = &mut root.node else {
        return None;
    };
    match &mut tables.get_mut(table)?.node {
        Node::Table(entries) => Some(entries),
        _ => None,
    }
}
