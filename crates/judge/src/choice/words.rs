//! The option whose words an answer holds.

use std::collections::BTreeMap;

use crate::phrases::phrases;

/// The one option whose words are the answer, or stand in it without being denied. Words of an option that are part of
/// a longer option's do not count: a hot dog is no dog.
pub(super) fn by_words(answer: &str, options: &BTreeMap<char, String>) -> Option<char> {
    let said = joined(answer);
    let options: Vec<(char, Vec<String>)> = options
        .iter()
        .map(|(letter, text)| (*letter, joined(text)))
        .filter(|(_, words)| !words.is_empty())
        .collect();
    let plain = |words: &[String]| -> Vec<String> {
        words
            .iter()
            .filter(|word| *word != BREAK)
            .cloned()
            .collect()
    };
    let whole: Vec<char> = options
        .iter()
        .filter(|(_, option)| plain(option) == plain(&said))
        .map(|(letter, _)| *letter)
        .collect();
    if let [letter] = whole.as_slice() {
        return Some(*letter);
    }
    let mut places: Vec<(char, usize, usize)> = Vec::new();
    for (letter, option) in &options {
        let windows = said.windows(option.len()).enumerate();
        let found = windows.filter(|(_, part)| part == option);
        places.extend(found.map(|(at, _)| (*letter, at, at + option.len())));
    }
    let inside_longer = |&(_, start, end): &(char, usize, usize)| {
        places.iter().any(|&(_, other_start, other_end)| {
            other_start <= start && end <= other_end && end - start < other_end - other_start
        })
    };
    let counted = places
        .iter()
        .filter(|place| !inside_longer(place) && !is_denied(&said[..place.1]));
    let mut letters: Vec<char> = counted.map(|place| place.0).collect();
    letters.sort_unstable();
    letters.dedup();
    match letters.as_slice() {
        [letter] => Some(*letter),
        _ => None,
    }
}

/// Stands where punctuation parts words.
const BREAK: &str = "\n";

fn joined(text: &str) -> Vec<String> {
    phrases(text).join(&BREAK.to_owned())
}

/// Whether what stands before words denies them: "not a", "isn't the", "no".
fn is_denied(before: &[String]) -> bool {
    let mut words = before.iter().rev().map(String::as_str);
    let last = words.find(|word| !["a", "an", "the", "any", "be", "really"].contains(word));
    match last {
        Some("not" | "no" | "cannot" | "than" | "nor" | "neither") => true,
        Some("of") => words.next() == Some("instead"),
        Some("t") => words.next().is_some_and(|word| word.ends_with('n')),
        _ => false,
    }
}
