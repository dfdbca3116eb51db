//! Which option of a multiple-choice question an answer chooses.
//!
//! A letter that is stated decides, whatever words explain it: alone, at the beginning, after "the answer is" and its
//! like, or before "is correct". Emphasis, quotes, brackets and line ends are no obstacle. Letters that are set aside
//! ("not A", "A is wrong") and lists of all options state nothing. Two different stated letters, and a letter that no
//! option has, are no choice. Only where no letter is stated an option that is merely named ("option B", "(B)") decides,
//! and then the words of exactly one option. Nothing is guessed: where the official evaluation of MMBench asks a
//! language model which option is meant, such answers count as wrong here and are listed.
//!
//! `docs/evaluation.md` shows how `VLMEvalKit` and lmms-eval read the same answers.

mod context;
mod cues;
mod place;
mod tokens;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::final_part::final_parts;
use place::Text;
use tokens::tokens;

/// The option that an answer chooses; `None` where that is not clear.
#[must_use]
pub fn read(answer: &str, options: &BTreeMap<char, String>) -> Option<char> {
    let parts = final_parts(answer);
    let chosen: BTreeSet<Option<char>> = parts.iter().map(|part| of_part(part, options)).collect();
    match chosen.into_iter().collect::<Vec<_>>().as_slice() {
        [one] => *one,
        _ => None,
    }
}

fn of_part(answer: &str, options: &BTreeMap<char, String>) -> Option<char> {
    let text = Text {
        tokens: tokens(answer),
        options,
    };
    let mut found = text.weighed();
    let lists: BTreeSet<char> = letters(&found, Weight::Listed);
    for group in &mut found {
        if group.weight == Weight::Listed {
            // One option that is written out is chosen, several are repeated.
            group.weight = if lists.len() > 1 {
                Weight::None
            } else {
                Weight::Stated
            };
        }
    }
    for weight in [Weight::Stated, Weight::Named] {
        let said = letters(&found, weight);
        match said.into_iter().collect::<Vec<_>>().as_slice() {
            [] => {}
            [letter] => return text.offered(*letter),
            _ => return None,
        }
    }
    let aside = letters(&found, Weight::Aside);
    words::by_words(answer, options).filter(|letter| !aside.contains(letter))
}

/// What is said of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// The choice.
    Stated,
    /// Written out with its text.
    Listed,
    /// Named as an option.
    Named,
    /// Set aside.
    Aside,
    /// Nothing.
    None,
}

/// Letters that are named together, as "A or B"; mostly one.
struct Group {
    letters: Vec<char>,
    weight: Weight,
}

fn letters(groups: &[Group], weight: Weight) -> BTreeSet<char> {
    let of_weight = groups.iter().filter(|group| group.weight == weight);
    of_weight.flat_map(|group| group.letters.clone()).collect()
}

impl Text<'_> {
    /// A letter that an option has, or is.
    fn offered(&self, letter: char) -> Option<char> {
        if self.options.contains_key(&letter) {
            return Some(letter);
        }
        let is_it = |text: &String| text.trim().eq_ignore_ascii_case(&letter.to_string());
        let mut those = self.options.iter().filter(|(_, text)| is_it(text));
        those.next().map(|(option, _)| *option)
    }

    fn weighed(&self) -> Vec<Group> {
        let (mut groups, mut at) = (Vec::new(), 0);
        let mut before_aside = false;
        while at < self.tokens.len() {
            let Some(place) = self.place(at) else {
                at += 1;
                continue;
            };
            let weight = self.weight(&place, before_aside);
            before_aside = weight == Weight::Aside;
            at = place.end;
            groups.push(Group {
                letters: place.letters,
                weight,
            });
        }
        groups
    }
}

#[cfg(test)]
mod tests;
