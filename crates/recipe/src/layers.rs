//! A recipe that extends others: `extends = "5-ppo.toml"`, or a list of files, each of which is put over those before it.
//!
//! Paths are relative to the file that names them. Tables are merged, everything else is replaced, and each value
//! remembers the file that it comes from.

use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use crate::alternatives;
use crate::mistake::{Mistake, Origin};
use crate::tree::{self, Item, Node};
use candor_data::DataError;

/// A recipe is a page or two; a file beyond this is not one.
const MAX_RECIPE_BYTES: u64 = 1 << 20;
const KEY: &str = "extends";

/// Reads a recipe with all that it extends; `above` are the files that are being read already.
///
/// # Errors
/// The file itself cannot be read. What is wrong with a file that it extends is a mistake at the line that names it.
pub(crate) fn read(
    path: &Path,
    above: &[PathBuf],
    mistakes: &mut Vec<Mistake>,
) -> Result<Item, DataError> {
    candor_data::missing::check(path, "read the recipe", "name the file of a recipe")?;
    let file = path.display().to_string();
    let bytes = fs::metadata(path)
        .map_err(|source| unreadable(path, source))?
        .len();
    if bytes > MAX_RECIPE_BYTES {
        mistakes.push(Mistake {
            origin: Origin::Line(file.as_str().into(), 1),
            key: String::new(),
            problem: format!("{bytes} bytes long"),
            remedy: "pass a recipe, not a data file".to_owned(),
        });
        return Ok(tree::parse(&file, "").0);
    }
    let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
    let (mut top, found) = tree::parse(&file, &text);
    mistakes.extend(found);
    let Node::Table(entries) = &mut top.node else {
        return Ok(top);
    };
    let Some(extends) = entries.remove(KEY) else {
        return Ok(top);
    };
    let above = [above, &[path.to_owned()]].concat();
    let mut whole: Option<Item> = None;
    for named in named(extends, mistakes) {
        let Node::String(name) = &named.node else {
            continue;
        };
        let below = beside(path, name);
        let layer = if above.contains(&below) {
            Err(format!("{} extends itself", below.display()))
        } else {
            read(&below, &above, mistakes).map_err(|error| error.to_string())
        };
        match (layer, &mut whole) {
            (Ok(layer), Some(whole)) => {
                alternatives::give_way(whole, &layer);
                put_over(whole, layer);
            }
            (Ok(layer), None) => whole = Some(layer),
            (Err(problem), _) => mistakes.push(Mistake {
                origin: named.origin.clone(),
                key: KEY.to_owned(),
                problem,
                remedy: "name another recipe, relative to this one".to_owned(),
            }),
        }
    }
    Ok(match whole {
        Some(mut whole) => {
            alternatives::give_way(&mut whole, &top);
            put_over(&mut whole, top);
            whole
        }
        None => top,
    })
}

fn unreadable(path: &Path, source: io::Error) -> DataError {
    DataError::Io {
        action: "read",
        path: path.to_owned(),
        remedy: "check that it exists, is accessible and that the disk has space".into(),
        source,
    }
}

/// The files that the key names, each with its own line.
fn named(extends: Item, mistakes: &mut Vec<Mistake>) -> Vec<Item> {
    let is_name = |item: &Item| matches!(&item.node, Node::String(name) if !name.is_empty());
    match extends.node {
        Node::Array(items) if items.iter().all(is_name) => items,
        Node::String(_) if is_name(&extends) => vec![extends],
        other => {
            mistakes.push(Mistake {
                origin: extends.origin,
                key: KEY.to_owned(),
                problem: format!("{} is not a path or a list of paths", other.describe(true)),
                remedy: "name one recipe or several".to_owned(),
            });
            Vec::new()
        }
    }
}

/// `name` as `path`'s folder has it, without `..` where that can be told from the text.
fn beside(path: &Path, name: &str) -> PathBuf {
    let mut whole = path.parent().unwrap_or(Path::new("")).to_path_buf();
    for part in Path::new(name).components() {
        let inside = matches!(whole.components().next_back(), Some(Component::Normal(_)));
        match part {
            Component::ParentDir if inside => {
                whole.pop();
            }
            Component::CurDir => {}
            part => whole.push(part),
        }
    }
    whole
}

/// Tables are merged, everything else is replaced.
fn put_over(below: &mut Item, above: Item) {
    match (&mut below.node, above) {
        (
            Node::Table(below),
            Item {
                node: Node::Table(above),
                ..
            },
        ) => {
            for (key, item) in above {
                match below.get_mut(&key) {
                    Some(found) => put_over(found, item),
                    None => {
                        below.insert(key, item);
                    }
                }
            }
        }
        (_, above) => *below = above,
    }
}
