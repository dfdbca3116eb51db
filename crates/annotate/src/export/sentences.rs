//! Marked answers sentence by sentence, as rated answers: what a reward model of segments learns from (FGAIF, arXiv
//! 2404.05046).
//!
//! A row is an answer up to the end of one of its sentences, and its label is false where words of that sentence were marked. Only
//! answers in which somebody marked something are rows, because nobody says of the others whether they were read for falsehoods;
//! each person's marks of an answer are rows of their own. The format is TRL's of unpaired preferences, which `candor
//! reward` and `candor dpo` read by `data.rated`.

use candor_data::RatedAnswer;
use candor_data::sentences::sentences;

use super::Closed;
use crate::answer::Which;
use crate::store::Given;

/// The rows of all marked answers of closed items.
pub(super) fn rows(items: &[Closed<'_>]) -> Vec<RatedAnswer> {
    let mut rows = Vec::new();
    for item in items {
        for (number, given) in item.given.iter().enumerate() {
            for (which, output) in [Which::A, Which::B].into_iter().zip(item.outputs) {
                rows.extend(of_answer(item, number, given, (which, output)));
            }
        }
    }
    rows
}

/// The rows of an answer as one person marked it.
fn of_answer(
    item: &Closed<'_>,
    number: usize,
    given: &Given,
    (which, output): (Which, &str),
) -> Vec<RatedAnswer> {
    let marks = given.answer.marks.iter();
    let marks = marks.filter(|mark| mark.answer == which);
    let marks: Vec<[usize; 2]> = marks.map(|mark| [mark.start, mark.end]).collect();
    if marks.is_empty() {
        return Vec::new();
    }
    let letter = if which == Which::A { 'a' } else { 'b' };
    let labelled = labelled(output, &marks);
    let row = |(place, (text, is_clean)): (usize, (&str, bool))| RatedAnswer {
        id: format!("{}-{number}{letter}-{place}", item.name),
        image: item.image.map(str::to_owned),
        turns: item.turns.to_vec(),
        answer: text.to_owned(),
        is_desirable: is_clean,
    };
    labelled.into_iter().enumerate().map(row).collect()
}

/// The text up to the end of each sentence, and whether no word of that sentence is marked; marks are in characters.
fn labelled<'a>(text: &'a str, marks: &[[usize; 2]]) -> Vec<(&'a str, bool)> {
    let of_sentence = |range: std::ops::Range<usize>| {
        let start = text[..range.start].chars().count();
        let end = start + text[range.clone()].chars().count();
        let is_marked = marks.iter().any(|&[from, to]| from < end && to > start);
        (text[..range.end].trim(), !is_marked)
    };
    sentences(text).into_iter().map(of_sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_false_where_a_word_of_it_is_marked() {
        // Characters 5 to 9 are `Käse`, of which one has two bytes, and 13 to 16 `cup`.
        let text = "Some Käse. A cup. A dog";
        let expected = ["Some Käse.", "Some Käse. A cup.", text];
        for (marks, labels) in [
            (&[[5, 9]][..], [false, true, true]),
            (&[[13, 16]], [true, false, true]),
            (&[[13, 23]], [true, false, false]),
            (&[[0, 1], [18, 19]], [false, true, false]),
        ] {
            let found = labelled(text, marks);
            let expected: Vec<(&str, bool)> = expected.into_iter().zip(labels).collect();
            assert_eq!(found, expected, "{marks:?}");
        }
    }
}
