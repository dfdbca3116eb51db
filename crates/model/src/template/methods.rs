//! Python's methods of strings, lists and dictionaries in a template, within bounds.
//!
//! The engine counts its instructions and what its own filters make. Of these methods it counts neither what they read nor what they
//! make on the way, so a template of a few words could ask for terabytes, or for days: what a call takes is bounded here before it is
//! made, and paid for with the fuel of the rendering. Lists can be repeated for nothing, so each item that is walked over counts too.

use minijinja::value::ValueKind;
use minijinja::{Error, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Bytes that are read or made for one unit of fuel, as in the engine.
const BYTES_OF_FUEL: usize = 64;
/// Nothing is walked over for longer than this: no rendering has fuel for so many bytes.
const MAX_BYTES: usize = 64 << 20;
/// What walking over one item of a list takes.
const ITEM: usize = 32;
/// What one piece of a text takes: its place in two lists, and what lies before a text.
const PIECE: usize = 2 * 24 + 16;
/// At most what a word such as `none` takes.
const WORD: usize = 64;
/// At most what a number takes, with all of its zeros and with separators.
const NUMBER: usize = 512;
/// A byte of a text that stands quoted in a list, escaped.
const ESCAPED: usize = 8;
/// At most the bytes of a letter.
const LETTER: usize = 4;
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
    spend(state, taken(value, method, args))?;
    unknown_method_callback(state, value, method, args)
}

/// Takes what so many bytes cost from the fuel of the rendering.
///
/// # Errors
/// There is too little.
pub(super) fn spend(state: &State, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes.div_ceil(BYTES_OF_FUEL) as u64)
}

/// At most what a call reads and makes, in bytes.
fn taken(value: &Value, method: &str, args: &[Value]) -> usize {
    let Some(text) = value.as_str() else {
        return match (value.kind(), method, args) {
            // What is given in its stead is handed on as it is.
            (ValueKind::Map, "get", [key, ..]) => written(key, MAX_DEPTH).saturating_add(ITEM),
            (ValueKind::Seq, "count", [what, ..]) => counted(value, what),
            _ => value.len().unwrap_or(0).saturating_mul(ITEM),
        };
    };
    let made = match (method, args) {
        // No more of the text is read than is looked for.
        ("startswith" | "endswith", [parts, ..]) => return compared(text, parts),
        ("replace", [old, new, ..]) => replaced(text, old, new),
        ("format", args) => formatted(text, args),
        ("join", [values, ..]) => joined(text, values),
        ("split", args) => pieces(text, args.first()).saturating_mul(PIECE),
        ("splitlines", _) => (text.matches('\n').count() + 1).saturating_mul(PIECE),
        // Each letter may be looked for among all that are stripped.
        ("strip" | "lstrip" | "rstrip", [letters, ..]) => {
            let letters = letters.as_str().map_or(0, str::len);
            text.len().saturating_add(LETTER).saturating_mul(letters)
        }
        // A letter may have a longer other case.
        _ => text.len().saturating_mul(3),
    };
    // Those of `join` are counted with what is made of them.
    let given = if method == "join" {
        0
    } else {
        sum(args.iter().map(|arg| written(arg, MAX_DEPTH)))
    };
    made.saturating_add(given)
        .saturating_add(text.len().saturating_mul(2))
}

/// Looking for each of `parts`, a text or a list of them, at the end of a text.
fn compared(text: &str, parts: &Value) -> usize {
    let of_part = |part: &str| part.len().min(text.len());
    if let Some(part) = parts.as_str() {
        return of_part(part);
    }
    let Ok(parts) = parts.try_iter() else {
        return 0;
    };
    sum(parts.map(|part| part.as_str().map_or(0, of_part).saturating_add(ITEM)))
}

/// Comparing each item of a list with `what`.
fn counted(list: &Value, what: &Value) -> usize {
    let Ok(items) = list.try_iter() else {
        return 0;
    };
    let whole = written(what, MAX_DEPTH);
    let of_item = |item: Value| {
        let compared = match (item.as_str(), what.as_str()) {
            (Some(item), Some(what)) => item.len().min(what.len()),
            (None, None) => whole,
            _ => 0,
        };
        compared.saturating_add(ITEM)
    };
    sum(items.map(of_item)).saturating_add(whole)
}

/// At most how many pieces a text is split into.
fn pieces(text: &str, separator: Option<&Value>) -> usize {
    let Some(separator) = separator.filter(|said| !said.is_none() && !said.is_undefined()) else {
        return text.split_whitespace().count() + 1;
    };
    let found = separator
        .as_str()
        .map(|separator| text.matches(separator).count());
    // Nothing is found before every letter and at the end.
    found.unwrap_or(text.len()) + 2
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
    let of_field = longest.unwrap_or(0).saturating_add(NUMBER);
    let of_fields = text.matches('{').count().saturating_mul(of_field);
    // What fills up to a width may take more than a byte.
    of_fields.saturating_add(widths(text).saturating_mul(LETTER))
}

/// The sum of the numbers that stand in a text's fields: widths and precisions are among them.
fn widths(text: &str) -> usize {
    let mut sum: usize = 0;
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        // A brace may be a key, or fill up: what comes then may all be the field's.
        let is_plain = |field: &str| !field.contains(['[', '{']) && !field.ends_with(':');
        let Some((field, next)) = after.split_once('}').filter(|(field, _)| is_plain(field)) else {
            return sum.saturating_add(numbers(after));
        };
        sum = sum.saturating_add(numbers(field));
        rest = next;
    }
    sum
}

fn numbers(text: &str) -> usize {
    let runs = text.split(|letter: char| !letter.is_ascii_digit());
    let runs = runs.filter(|run| !run.is_empty());
    let numbers = runs.map(|run| run.parse().unwrap_or(usize::MAX));
    numbers.fold(0, usize::saturating_add)
}

fn joined(text: &str, values: &Value) -> usize {
    let Ok(values) = values.try_iter() else {
        return 0;
    };
    let between = text.len().saturating_add(ITEM);
    sum(values.map(|value| written(&value, MAX_DEPTH).saturating_add(between)))
}

/// At most what a value takes as text; without a bound where lists are nested deeper than `depth`.
fn written(value: &Value, depth: usize) -> usize {
    if let Some(text) = value.as_str() {
        return text.len();
    }
    let is_map = value.kind() == ValueKind::Map;
    match value.kind() {
        ValueKind::Undefined | ValueKind::None | ValueKind::Bool => WORD,
        ValueKind::Number => NUMBER,
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
                bytes.saturating_mul(ESCAPED).saturating_add(ITEM)
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
        let text = |text: &str| Value::from(text);
        let cases = [
            ("abcabc", "replace", vec![text("a"), text("xyz")]),
            ("abc", "replace", vec![text(""), text("xy")]),
            ("{0} and {0:>20}", "format", vec![text("word")]),
            ("{:é>99}", "format", vec![text("word")]),
            ("{:}>99}", "format", vec![text("word")]),
            ("{:.9f}", "format", vec![Value::from(1e300)]),
            ("{}", "format", vec![list.clone()]),
            (", ", "join", vec![list]),
            ("-", "join", vec![text("abc")]),
            ("ŉß", "upper", vec![]),
            ("abcdefgh", "split", vec![text("")]),
            ("a b\nc", "split", vec![]),
            ("a b c", "split", vec![text(" "), Value::from(1)]),
            ("\n\n\na", "splitlines", vec![]),
            ("abab", "strip", vec![text("ab")]),
        ];
        let environment = minijinja::Environment::new();
        let mut state = environment.empty_state();
        for (text, method, args) in cases {
            let text = Value::from(text);
            let bound = taken(&text, method, &args);
            let made = call(&mut state, &text, method, &args).unwrap();
            let made = match made.kind() {
                // A value of the engine's takes 24 bytes.
                ValueKind::Seq => made.len().unwrap() * 24,
                _ => made.to_string().len(),
            };
            assert!(made <= bound, "{method}: {made} {bound}");
            assert!(bound < 20_000, "{method}: {bound}");
        }
    }
}
