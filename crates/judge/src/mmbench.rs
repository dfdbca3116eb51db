//! MMBench: multiple choice, read by the letter or the words of an option (arXiv 2307.06281).
//!
//! A letter counts where it stands as one: alone, before `.`, `)`, `:` or `,`, in brackets, or after "answer
//! is", "answer:" or "option". Otherwise the words decide, if those of exactly one option are in the answer.
//! Where the official evaluation asks a language model which option is meant, nothing is guessed here:
//! such answers count as wrong and are listed. In circular evaluation a question is right only if it is right
//! in all turns of its options.

use std::collections::BTreeMap;

/// The option that an answer chooses; `None` where that is not clear.
#[must_use]
pub fn read(answer: &str, options: &BTreeMap<char, String>) -> Option<char> {
    let chosen = letter(answer.trim()).filter(|letter| options.contains_key(letter));
    chosen.or_else(|| by_words(answer, options))
}

/// The letter that an answer names as one.
fn letter(answer: &str) -> Option<char> {
    let lower = answer.to_lowercase();
    let named = ["answer is", "answer:", "option"].iter().find_map(|words| {
        let end = lower.find(words)? + words.len();
        // Lower case may have other lengths in exotic scripts; then the words decide.
        first_letter(answer.get(end..)?.trim_start_matches([' ', ':']))
    });
    first_letter(answer).or(named)
}

/// The letter at the beginning, if it is not the beginning of a word or the article.
fn first_letter(text: &str) -> Option<char> {
    let bracketed = text.strip_prefix('(');
    let mut chars = bracketed.unwrap_or(text).chars();
    let letter = chars.next().filter(char::is_ascii_uppercase)?;
    let stands = match chars.next() {
        None => bracketed.is_none(),
        Some(next) if bracketed.is_some() => next == ')',
        Some(next) => matches!(next, '.' | ')' | ':' | ',' | '\n'),
    };
    stands.then_some(letter)
}

fn by_words(answer: &str, options: &BTreeMap<char, String>) -> Option<char> {
    let said = words(answer);
    let whole: Vec<char> = with(options, |option| option == said);
    if let [letter] = whole.as_slice() {
        return Some(*letter);
    }
    let inside = with(options, |option| {
        said.windows(option.len().max(1)).any(|part| part == option)
    });
    match inside.as_slice() {
        [letter] => Some(*letter),
        _ => None,
    }
}

fn with(options: &BTreeMap<char, String>, fits: impl Fn(&[String]) -> bool) -> Vec<char> {
    let fitting = options.iter().filter(|(_, text)| {
        let option = words(text);
        !option.is_empty() && fits(&option)
    });
    fitting.map(|(letter, _)| *letter).collect()
}

fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_words_choose() {
        let options: BTreeMap<char, String> = [
            ('A', "a red cup"),
            ('B', "a cup"),
            ('C', "Twelve"),
            ('D', "12.5 kg"),
        ]
        .map(|(letter, text)| (letter, text.to_owned()))
        .into();
        for (answer, expected) in [
            ("A", Some('A')),
            (" B. a red cup", Some('B')),
            ("(C)", Some('C')),
            ("(C", None),
            ("D) twelve", Some('D')),
            ("The answer is C.", Some('C')),
            ("Answer: B", Some('B')),
            ("I choose option D", Some('D')),
            // The article is no letter, and of the two cups only one is meant.
            ("A cup", Some('B')),
            ("A red cup.", Some('A')),
            ("It weighs 12.5 kg.", Some('D')),
            ("twelve", Some('C')),
            ("a cup or twelve", None),
            ("E", None),
            ("E. twelve", Some('C')),
            ("Both", None),
            ("", None),
            ("c", None),
        ] {
            assert_eq!(read(answer, &options), expected, "{answer:?}");
        }
    }
}
