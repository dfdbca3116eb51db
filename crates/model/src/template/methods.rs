//! Python's methods of strings, lists and dictionaries in a template, within bounds.
//!
//! The engine counts its instructions and what its own filters make. Of these methods it counts neither what they read nor what they
//! make, so a template of a few words could ask for terabytes, or for days: what a call takes is bounded here before it is made.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Bytes that the methods of one rendering may read and make in all: some hundred times what published templates do in a long
/// conversation.
const MAX_BYTES: usize = 64 << 20;
/// What a rendering calls the bytes that its methods took so far.
const SO_FAR: &str = "bytes of methods";
/// At most what a number takes, or a word such as `none`.
const WORD: usize = 64;
/// A byte of a text that stands quoted in a list, escaped.
const ESCAPED: usize = 8;
/// Lists in lists that are written out.
const MAX_DEPTH: usize = 4;

/// Calls a method that the engine does not know.
///
/// # Errors
/// There is no such method, it refuses what it is given, or it takes too much.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    spend(state, method, taken(value, method, args))?;
    unknown_method_callback(state, value, method, args)
}

/// Counts what is read and made by `method`, for the whole of a rendering.
///
/// # Errors
/// It is too much.
pub(super) fn spend(state: &mut State, method: &str, bytes: usize) -> Result<(), Error> {
    let so_far = state.get_temp(SO_FAR).and_then(|bytes| bytes.as_usize());
    let bytes = so_far.unwrap_or(0).saturating_add(bytes);
    if bytes > MAX_BYTES {
        let problem =
            format!("`{method}` and the methods before it take more than {MAX_BYTES} bytes");
        return Err(Error::new(ErrorKind::InvalidOperation, problem));
    }
    state.set_temp(SO_FAR, Value::from(bytes as u64));
    Ok(())
}

/// At most what a call reads and makes, in bytes.
fn taken(value: &Value, method: &str, args: &[Value]) -> usize {
    let Some(text) = value.as_str() else {
        return value.len().unwrap_or(0).saturating_mul(WORD);
    };
    let made = match (method, args) {
        ("replace", [old, new, ..]) => replaced(text, old, new),
        ("format", args) => formatted(text, args),
        ("join", [values, ..]) => joined(text, values),
        // A letter may have a longer other case.
        _ => text.len().saturating_mul(3),
    };
    text.len().saturating_add(made)
}

fn replaced(text: &str, old: &Value, new: &Value) -> usize {
    let (Some(old), Some(new)) = (old.as_str(), new.as_str()) else {
        return 0;
    };
    // Nothing is found before every letter and at the end.
    let n = text.matches(old).count();
    n.saturating_mul(new.len()).saturating_add(text.len())
}

fn formatted(text: &str, args: &[Value]) -> usize {
    let longest = args.iter().map(|arg| written(arg, MAX_DEPTH)).max();
    let of_fields = text
        .matches('{')
        .count()
        .saturating_mul(longest.unwrap_or(0));
    // Widths and precisions, among whatever other numbers there are.
    let runs = text.split(|letter: char| !letter.is_ascii_digit());
    let runs = runs.filter(|run| !run.is_empty());
    let numbers = runs.map(|run| run.parse().unwrap_or(usize::MAX));
    let widths = numbers.fold(0, usize::saturating_add);
    of_fields.saturating_add(widths).saturating_add(text.len())
}

fn joined(text: &str, values: &Value) -> usize {
    let Ok(values) = values.try_iter() else {
        return 0;
    };
    sum(values.map(|value| written(&value, MAX_DEPTH).saturating_add(text.len())))
}

/// At most what a value takes as text; without a bound where lists are nested deeper than `depth`.
fn written(value: &Value, depth: usize) -> usize {
    if let Some(text) = value.as_str() {
        return text.len();
    }
    let is_map = value.kind() == ValueKind::Map;
    match value.kind() {
        ValueKind::Undefined | ValueKind::None | ValueKind::Bool | ValueKind::Number => WORD,
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable if depth > 0 => {
            let Ok(items) = value.try_iter() else {
                return usize::MAX;
            };
            let of_item = |item: Value| {
                let under = if is_map {
                    value.get_item(&item).ok()
                } else {
                    None
                };
                let under = under.map_or(0, |under| written(&under, depth - 1));
                let bytes = written(&item, depth - 1).saturating_add(under);
                bytes.saturating_mul(ESCAPED).saturating_add(ESCAPED)
            };
            sum(items.map(of_item)).saturating_add(WORD)
        }
        _ => usize::MAX,
    }
}

/// The sum, or as much of it as is too much.
fn sum(mut bytes: impl Iterator<Item = usize>) -> usize {
    let add = |sum: usize, bytes: usize| {
        let sum = sum.saturating_add(bytes);
        if sum > MAX_BYTES { Err(sum) } else { Ok(sum) }
    };
    bytes.try_fold(0, add).unwrap_or_else(|sum| sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_never_below_what_is_made() {
        let list = Value::from(vec![
            Value::from("é\"\n"),
            Value::from(7),
            Value::from(vec!["x"]),
        ]);
        let cases = [
            (
                "abcabc",
                "replace",
                vec![Value::from("a"), Value::from("xyz")],
            ),
            ("abc", "replace", vec![Value::from(""), Value::from("xy")]),
            ("{} and {0:>20}", "format", vec![Value::from("word")]),
            ("{}", "format", vec![list.clone()]),
            (", ", "join", vec![list]),
            ("-", "join", vec![Value::from("abc")]),
            ("ŉß", "upper", vec![]),
        ];
        let environment = minijinja::Environment::new();
        let mut state = environment.empty_state();
        for (text, method, args) in cases {
            let text = Value::from(text);
            let bound = taken(&text, method, &args);
            // What the method refuses makes nothing.
            if let Ok(made) = call(&mut state, &text, method, &args) {
                let made = made.to_string().len();
                assert!(made <= bound, "{method}: {made} {bound}");
            }
            assert!(bound < 10_000, "{method}: {bound}");
        }
    }
}
