//! Which values of a pickle are the tensors of a checkpoint, and what they are called.

use crate::pickle::{Id, Tensor, Value, Values};
use crate::quote::quote;

/// Keys under which training scripts put the state dictionary, beside the epoch and the like.
const WRAPPERS: [&str; 2] = ["state_dict", "model"];
/// How many keys a message shows.
const SHOWN: usize = 4;

/// The named tensors of the outermost value `root`: the dictionary itself if it has any, otherwise the first
/// of the [`WRAPPERS`] that has; none if it is empty. Whatever else stands beside them is not looked at.
pub(crate) fn tensors<'v, 'a>(
    values: &'v Values<'a>,
    root: Id,
) -> Result<Vec<(&'a str, &'v Tensor<'a>)>, String> {
    let Value::Dict(items) = values.get(root) else {
        return Err("the outermost value is no dictionary of tensors".to_owned());
    };
    let direct = of_dictionary(values, items)?;
    if !direct.is_empty() || items.is_empty() {
        return Ok(direct);
    }
    for wrapper in WRAPPERS {
        let inner =
            items
                .iter()
                .find_map(|&(key, value)| match (values.get(key), values.get(value)) {
                    (&Value::Text(key), Value::Dict(inner)) if key == wrapper => Some(inner),
                    _ => None,
                });
        let wrapped = match inner {
            Some(inner) => of_dictionary(values, inner)?,
            None => Vec::new(),
        };
        if !wrapped.is_empty() {
            return Ok(wrapped);
        }
    }
    Err(format!(
        "no tensors in the outermost dictionary ({}), nor in its `state_dict` or `model`",
        shown_keys(values, items)
    ))
}

fn of_dictionary<'v, 'a>(
    values: &'v Values<'a>,
    items: &[(Id, Id)],
) -> Result<Vec<(&'a str, &'v Tensor<'a>)>, String> {
    let mut tensors = Vec::new();
    for &(key, value) in items {
        match (values.get(key), values.get(value)) {
            (&Value::Text(name), Value::Tensor(tensor)) => tensors.push((name, tensor.as_ref())),
            (_, Value::Tensor(_)) => {
                return Err("a tensor stands under a key that is no text".to_owned());
            }
            _ => {}
        }
    }
    Ok(tensors)
}

fn shown_keys(values: &Values<'_>, items: &[(Id, Id)]) -> String {
    let keys = items.iter().filter_map(|&(key, _)| match values.get(key) {
        Value::Text(key) => Some(quote(key)),
        _ => None,
    });
    let shown: Vec<_> = keys.take(SHOWN).collect();
    match shown.join(", ") {
        keys if keys.is_empty() => "without keys".to_owned(),
        keys if items.len() > shown.len() => format!("keys {keys}, …"),
        keys => format!("keys {keys}"),
    }
}
