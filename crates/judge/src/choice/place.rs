//! Where letters stand in an answer, and which are named together.

use std::collections::BTreeMap;

use super::cues::{JOIN, JOIN_RUNS, OPTION};
use super::tokens::{Token, tokens};

/// Where letters stand: the first, and what follows the last; brackets around them included.
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_upper: bool,
    pub(super) is_bracketed: bool,
    pub(super) letters: Vec<char>,
}

pub(super) struct Text<'a> {
    pub(super) tokens: Vec<Token>,
    pub(super) options: &'a BTreeMap<char, String>,
}

impl Text<'_> {
    pub(super) fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at)? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn sign(&self, at: usize) -> Option<char> {
        match self.tokens.get(at)? {
            Token::Sign(sign) => Some(*sign),
            _ => None,
        }
    }

    pub(super) fn letter(&self, at: usize) -> Option<(char, bool)> {
        match self.tokens.get(at)? {
            // The word "I", unless there is such an option.
            Token::Letter('I', _) if !self.options.contains_key(&'I') => None,
            Token::Letter(letter, is_upper) => Some((*letter, *is_upper)),
            _ => None,
        }
    }

    /// The letters that begin here.
    pub(super) fn place(&self, at: usize) -> Option<Place> {
        let (first, is_upper) = self.letter(at)?;
        let opened = |at: usize| matches!(self.sign(at), Some('(' | '[' | '{' | '<'));
        let closed = |at: usize| matches!(self.sign(at), Some(')' | ']' | '}' | '>'));
        let start = if at > 0 && opened(at - 1) { at - 1 } else { at };
        let (mut letters, mut end) = (vec![first], at + 1);
        let is_bracketed = start < at && closed(end);
        end += usize::from(is_bracketed);
        let mut sure = (end, letters.len());
        loop {
            let mut next = end;
            let comma = self.sign(next) == Some(',');
            next += usize::from(comma);
            let joins = match self.tokens.get(next) {
                Some(Token::Word(word)) => JOIN.contains(&word.as_str()),
                Some(Token::Run(run)) => JOIN_RUNS.contains(&run.as_str()),
                Some(Token::Sign('/' | '&' | '|')) => true,
                _ => false,
            };
            next += usize::from(joins);
            if self.word(next).is_some_and(|word| OPTION.contains(&word)) {
                next += 1;
            }
            next += usize::from(opened(next));
            let Some((letter, true)) = self.letter(next).filter(|_| is_upper) else {
                let Some((letter, false)) = self.letter(next).filter(|_| joins && !is_upper) else {
                    break;
                };
                letters.push(letter);
                end = next + 1;
                sure = (end, letters.len());
                continue;
            };
            if joins && letter == 'A' && matches!(self.tokens.get(next + 1), Some(Token::Word(_))) {
                break;
            }
            letters.push(letter);
            end = next + 1 + usize::from(closed(next + 1));
            if joins || self.ends_sentence(end) {
                sure = (end, letters.len());
            }
        }
        letters.truncate(sure.1);
        Some(Place {
            start,
            end: sure.0,
            is_upper,
            is_bracketed,
            letters,
        })
    }

    pub(super) fn ends_sentence(&self, at: usize) -> bool {
        match self.tokens.get(at) {
            None => true,
            Some(Token::Sign(sign)) => matches!(sign, '.' | '!' | '?' | ';' | '\n'),
            Some(_) => false,
        }
    }

    /// Whether the option's own text follows its letter.
    pub(super) fn own_text_follows(&self, place: &Place) -> bool {
        let Some(text) = self.options.get(&place.letters[0]) else {
            return false;
        };
        let option = tokens(text);
        let signs = self.tokens[place.end..]
            .iter()
            .take_while(|token| matches!(token, Token::Sign(_)))
            .count();
        let said = &self.tokens[place.end + signs..];
        let same = |(a, b): (&Token, &Token)| match (a, b) {
            (Token::Letter(a, _), Token::Letter(b, _)) => a == b,
            (a, b) => a == b,
        };
        !option.is_empty() && said.len() >= option.len() && said.iter().zip(&option).all(same)
    }
}
