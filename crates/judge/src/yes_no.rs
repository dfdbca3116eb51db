//! Yes or no in an answer to a question of a user's own set. POPE has its own rule, the official one ([`crate::pope`]).
//!
//! The first word decides, in any case of letters and whatever signs are around it; else a yes without a denial, or a
//! denial without a yes ("There is no dog"). Both, neither, and what leaves it open are no answer: nothing counts as a
//! yes for want of a no.

use crate::final_part::final_parts;
use crate::phrases::phrases;

/// What an answer says; `None` where that is not clear.
#[must_use]
pub fn read(answer: &str) -> Option<bool> {
    let parts = final_parts(answer);
    let mut said: Vec<Option<bool>> = parts.iter().map(|part| of_part(part)).collect();
    said.dedup();
    match said.as_slice() {
        [one] => *one,
        _ => None,
    }
}

fn of_part(answer: &str) -> Option<bool> {
    let phrases = phrases(answer);
    let words: Vec<&str> = phrases.iter().flatten().map(String::as_str).collect();
    let alone = phrases.iter().filter_map(|phrase| match phrase.as_slice() {
        [word] => plain(word),
        _ => None,
    });
    let first = match words.as_slice() {
        ["no", "doubt" | "idea" | "clue" | "information", ..] | [] => None,
        [first, ..] => plain(first),
    };
    if let Some(first) = first {
        let begins = phrases[0].iter().filter_map(|word| plain(word));
        return begins
            .take(2)
            .chain(alone)
            .all(|said| said == first)
            .then_some(first);
    }
    let is_open = |word: &&str| {
        [
            "know",
            "sure",
            "certain",
            "unsure",
            "unclear",
            "tell",
            "cannot",
            "maybe",
            "perhaps",
            "possibly",
            "might",
            "could",
            "idea",
            "clue",
            "determine",
            "whether",
        ]
        .contains(word)
    };
    let can_not = words.windows(2).any(|pair| pair == ["can", "t"]);
    if can_not || words.iter().any(is_open) {
        return None;
    }
    let affirms = words.iter().any(|word| plain(word) == Some(true));
    let denies = words
        .windows(2)
        .any(|pair| pair[1] == "t" && pair[0].ends_with('n'))
        || words
            .iter()
            .enumerate()
            .any(|(at, word)| denies(word) && words.get(at + 1) != Some(&"doubt"));
    (affirms != denies).then_some(affirms)
}

/// A word that is an answer.
fn plain(word: &str) -> Option<bool> {
    match word {
        "yes" | "yeah" | "yep" | "yup" => Some(true),
        "no" | "nope" | "nah" => Some(false),
        _ => None,
    }
}

fn denies(word: &str) -> bool {
    ["no", "nope", "not", "none", "nothing", "neither", "never"].contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yes_is_said_and_never_left_over() {
        let (yes, no) = (Some(true), Some(false));
        for (answer, expected) in [
            ("Yes", yes),
            ("yes.", yes),
            ("YES!", yes),
            ("**Yes**", yes),
            ("Yes, there is no doubt.", yes),
            ("Yeah", yes),
            ("The answer is yes.", yes),
            ("There is no doubt: yes.", yes),
            ("<think>No?</think>Yes", yes),
            ("No", no),
            ("No!", no),
            ("NO", no),
            ("**No**", no),
            ("\"no\"", no),
            ("No,there is none", no),
            ("No\nThere is a cat", no),
            ("Answer: No", no),
            ("The answer is no.", no),
            ("\\boxed{No}", no),
            ("There is not, sorry", no),
            ("There isn't a dog.", no),
            ("There is no dog", no),
            ("Nope.", no),
            ("Yes. No.", None),
            ("Yes and no", None),
            ("yes/no", None),
            ("Yes or no?", None),
            ("No. Yes, there is.", None),
            ("Perhaps", None),
            ("Maybe not", None),
            ("I do not know", None),
            ("I can't tell", None),
            ("No idea", None),
            ("A dog", None),
            ("There is a dog.", None),
            ("Yesterday", None),
            ("Nothing", no),
            ("", None),
        ] {
            assert_eq!(read(answer), expected, "{answer:?}");
        }
    }
}
