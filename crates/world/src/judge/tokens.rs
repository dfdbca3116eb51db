//! An answer as sentences of words with their byte spans.

use std::ops::Range;

use super::lexicon::{Word, look_up};

/// A word of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    /// What it is to the parser.
    pub word: Word,
    /// Where it stands, in bytes.
    pub span: Range<usize>,
    /// A comma, dash or bracket stands right after it.
    pub comma_after: bool,
}

/// Splits an answer at full stops, marks and lines. Sentences that end in a question mark claim nothing and
/// are left out.
#[must_use]
pub(crate) fn sentences(answer: &str) -> Vec<Vec<Token>> {
    let mut all = Vec::new();
    let mut current: Vec<Token> = Vec::new();
    let mut start: Option<usize> = None;
    for (at, letter) in answer.char_indices() {
        if letter.is_alphanumeric() || letter == '\'' || letter == '’' {
            start.get_or_insert(at);
            continue;
        }
        push_word(answer, &mut start, at, &mut current);
        match letter {
            '.' | '!' | '\n' | ';' => end_sentence(&mut all, &mut current),
            '?' => current.clear(),
            ',' | '–' | '—' | '(' | ')' => {
                if let Some(last) = current.last_mut() {
                    last.comma_after = true;
                }
            }
            _ => {}
        }
    }
    push_word(answer, &mut start, answer.len(), &mut current);
    end_sentence(&mut all, &mut current);
    all
}

fn push_word(answer: &str, start: &mut Option<usize>, end: usize, current: &mut Vec<Token>) {
    if let Some(from) = start.take() {
        let text = answer[from..end].to_lowercase().replace('’', "'");
        current.push(Token {
            word: look_up(text.trim_matches('\'')),
            span: from..end,
            comma_after: false,
        });
    }
}

fn end_sentence(all: &mut Vec<Vec<Token>>, current: &mut Vec<Token>) {
    if !current.is_empty() {
        all.push(std::mem::take(current));
    }
}
