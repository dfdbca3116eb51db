//! What comes after or before a word decides what it means: the questions the parser asks of its sentence.

use super::lexicon::{Subject, Word};
use super::tokens::Token;

pub(super) fn next_is(tokens: &[Token], at: usize, word: Word) -> bool {
    tokens.get(at + 1).is_some_and(|token| token.word == word)
}

/// Whether the quality at `at` stands before a noun: "red dog", "two small, red dogs".
pub(super) fn qualifies_noun(tokens: &[Token], at: usize) -> bool {
    for (index, token) in tokens.iter().enumerate().skip(at + 1) {
        match token.word {
            Word::Noun(..) => return true,
            Word::Colour(_) | Word::Size(_) => {}
            Word::And
                if matches!(
                    tokens.get(index + 1),
                    Some(Token {
                        word: Word::Colour(_) | Word::Size(_),
                        ..
                    })
                ) => {}
            _ => return false,
        }
    }
    false
}

/// Whether what follows "no" is a noun with qualities and at most two unknown words before it.
pub(super) fn noun_phrase_follows(tokens: &[Token], from: usize) -> bool {
    let mut unknown = 0;
    for token in tokens.iter().skip(from) {
        match token.word {
            Word::Noun(..) => return true,
            Word::Colour(_) | Word::Size(_) | Word::Theme(_) => {}
            Word::Other if unknown < 2 => unknown += 1,
            _ => return false,
        }
        if token.comma_after {
            return false;
        }
    }
    false
}

/// The noun of "of the cup" after the place words that end at `from`.
pub(super) fn related_noun(tokens: &[Token], from: usize) -> Option<Subject> {
    let of = (from..tokens.len().min(from + 2)).find(|&at| tokens[at].word == Word::Of)?;
    let rest = tokens.iter().skip(of + 1);
    for token in rest.take(4) {
        match token.word {
            Word::Noun(subject, _) => return Some(subject),
            Word::Opener | Word::Article | Word::Colour(_) | Word::Size(_) => {}
            _ => return None,
        }
    }
    None
}

/// Whether the place words open their clause: "…, and on the left there is …".
pub(super) fn fronted(tokens: &[Token], at: usize, end: usize) -> bool {
    let mut start = at;
    while start > 0
        && at - start < 3
        && matches!(tokens[start - 1].word, Word::Opener | Word::Other)
    {
        if tokens[start - 1].comma_after {
            break;
        }
        start -= 1;
    }
    let opens = start == 0 || tokens[start - 1].comma_after || tokens[start - 1].word == Word::And;
    let follows = tokens.get(end).map(|token| token.word);
    opens && (tokens[end - 1].comma_after || matches!(follows, Some(Word::Copula | Word::Opener)))
}
