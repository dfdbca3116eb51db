//! What the words around letters make of them.

use super::Weight;
use super::cues::{
    AFTER, ANSWER, ASIDE, BAD, CHOOSE, CONCLUDE, FILLER, GOOD, HEDGE, LINK, NOT, OPTION, PRONOUN,
    REASON, RUN_BAD, RUN_BEFORE, RUN_GOOD, RUN_NOT, RUN_OPTION,
};
use super::place::{Place, Text};
use super::tokens::Token;

/// What stands before letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    /// The answer begins.
    Beginning,
    /// A line begins.
    Line,
    /// A sentence begins.
    Sentence,
    /// Words that state what follows.
    Cue,
    /// "option", and that begins a sentence or not.
    Option(bool),
    /// What follows is set aside.
    Aside,
    /// "but".
    But,
    /// Anything else.
    Words,
}

impl Text<'_> {
    pub(super) fn weight(&self, place: &Place, after_aside: bool) -> Weight {
        let before = self.before(place.start);
        let predicate = self.predicate(place.end);
        if before == Before::Aside || predicate == Some(false) {
            return Weight::Aside;
        }
        let stands = self.stands(place);
        if predicate == Some(true) && (stands || place.is_upper) {
            return Weight::Stated;
        }
        let own_text = place.letters.len() == 1 && self.own_text_follows(place);
        let is_initial = place.letters == ['A'] || place.letters == ['I'] || !place.is_upper;
        match before {
            Before::Cue if stands || own_text || !is_initial => Weight::Stated,
            Before::But if after_aside && stands => Weight::Stated,
            Before::Option(true) if self.ends_sentence(place.end) => Weight::Stated,
            Before::Option(_) if stands || own_text || !is_initial => Weight::Named,
            Before::Beginning | Before::Line | Before::Sentence => {
                self.leading(place, before, own_text)
            }
            _ if own_text
                && (place.is_bracketed || matches!(self.sign(place.end), Some(')' | ':'))) =>
            {
                Weight::Listed
            }
            _ if place.is_bracketed => Weight::Named,
            _ => Weight::None,
        }
    }

    /// What letters at the beginning of a sentence are.
    fn leading(&self, place: &Place, before: Before, own_text: bool) -> Weight {
        let is_pair = place.letters.len() > 1;
        match self.tokens.get(place.end) {
            None | Some(Token::Sign('\n' | '!' | '?' | ';')) => Weight::Stated,
            Some(_) if is_pair => Weight::Stated,
            Some(Token::Sign('.' | ')' | ':')) => Weight::Listed,
            Some(Token::Sign('-' | '–' | '—' | '=' | '→' | '/'))
                if before != Before::Sentence || own_text =>
            {
                Weight::Listed
            }
            Some(Token::Sign(',')) if before == Before::Beginning => Weight::Stated,
            Some(Token::Word(word)) if REASON.contains(&word.as_str()) => Weight::Stated,
            _ if own_text || place.is_bracketed && before != Before::Sentence => Weight::Listed,
            Some(Token::Word(word)) if AFTER.contains(&word.as_str()) => Weight::Named,
            Some(Token::Run(_)) => Weight::Named,
            _ if place.is_bracketed => Weight::Named,
            _ => Weight::None,
        }
    }

    /// Whether letters stand as letters there, and are no article and no initial.
    fn stands(&self, place: &Place) -> bool {
        let only_signs = place.letters == ['I'];
        match self.tokens.get(place.end) {
            None | Some(Token::Sign(_)) => true,
            Some(Token::Run(_)) => !only_signs,
            Some(Token::Word(word)) => {
                let follows = |list: &[&str]| list.contains(&word.as_str());
                !only_signs && (follows(REASON) || follows(AFTER))
            }
            Some(Token::Letter(..)) => false,
        }
    }

    /// What stands before, read backwards to the beginning of its sentence.
    fn before(&self, start: usize) -> Before {
        let (mut linked, mut option) = (false, false);
        let at_start = |before: Before, option: bool| {
            if option { Before::Option(true) } else { before }
        };
        for at in (0..start).rev() {
            match &self.tokens[at] {
                Token::Sign(':' | '=' | '–' | '—' | '→') => linked = true,
                Token::Sign('-' | '(' | '[' | '{' | '<' | '>' | '•') => {}
                Token::Sign('\n') if self.announces(at) => {}
                Token::Sign('\n') => return at_start(Before::Line, option),
                Token::Sign(',')
                    if self
                        .word(at.wrapping_sub(1))
                        .is_some_and(|word| CONCLUDE.contains(&word)) => {}
                Token::Sign('.') if self.word(at.wrapping_sub(1)) == Some("ans") => {}
                Token::Sign('.' | '!' | '?' | ';') => {
                    return at_start(Before::Sentence, option);
                }
                Token::Word(word) => {
                    let one_of = |list: &[&str]| list.contains(&word.as_str());
                    if one_of(NOT) || one_of(ASIDE) && self.sets_aside(at) {
                        return Before::Aside;
                    }
                    linked |= one_of(LINK);
                    if word == "but" {
                        return Before::But;
                    }
                    if one_of(ANSWER)
                        || one_of(CHOOSE)
                        || one_of(CONCLUDE) && !linked
                        || one_of(PRONOUN) && linked
                        || one_of(OPTION) && linked
                    {
                        return if self.is_open(at) {
                            Before::Words
                        } else {
                            Before::Cue
                        };
                    }
                    option |= one_of(OPTION);
                    if !(one_of(FILLER) || one_of(LINK) || one_of(OPTION)) {
                        return self.after_words(at, linked, option);
                    }
                }
                Token::Run(run) => return before_run(run, linked),
                _ => return self.after_words(at, linked, option),
            }
        }
        at_start(Before::Beginning, option)
    }

    /// Whether a line end only parts an announcement from what it announces: "Answer:" and "Answer" on a line.
    fn announces(&self, at: usize) -> bool {
        let Some(last) = (0..at).rev().find(|at| self.sign(*at) != Some('\n')) else {
            return false;
        };
        match &self.tokens[last] {
            Token::Sign(':') => true,
            Token::Word(word) => ANSWER.contains(&word.as_str()),
            Token::Run(run) => RUN_BEFORE.iter().any(|end| run.ends_with(end)),
            _ => false,
        }
    }

    /// "of" and "out" set aside in "instead of" and "rule out" alone.
    fn sets_aside(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|at| self.word(at));
        match self.word(at) {
            Some("of") => before == Some("instead"),
            Some("out") => before.is_some_and(|word| word.starts_with("rul")),
            _ => true,
        }
    }

    /// Whether a cue is no statement: "could be", "whether it is".
    fn is_open(&self, cue: usize) -> bool {
        let clause = (0..cue)
            .rev()
            .take_while(|at| !self.ends_sentence(*at) && self.sign(*at) != Some(','));
        let words = clause.filter_map(|at| self.word(at));
        words
            .take(3)
            .any(|word| HEDGE.contains(&word) || NOT.contains(&word))
    }

    /// Words that are no cue stand before; but "the answer to the question is" has one further back.
    fn after_words(&self, at: usize, linked: bool, option: bool) -> Before {
        if option {
            return Before::Option(false);
        }
        if !linked {
            return Before::Words;
        }
        for word in self.sentence_before(at + 1) {
            if ["because", "since", "while"].contains(&word)
                || NOT.contains(&word)
                || HEDGE.contains(&word)
            {
                break;
            }
            if ANSWER.contains(&word) || OPTION.contains(&word) {
                return Before::Cue;
            }
        }
        Before::Words
    }

    /// Whether what follows calls the letters right, or wrong.
    fn predicate(&self, end: usize) -> Option<bool> {
        if let Some(Token::Run(run)) = self.tokens.get(end) {
            let has = |list: &[&str]| list.iter().any(|part| run.contains(part));
            return if has(RUN_BAD) {
                Some(false)
            } else {
                has(RUN_GOOD).then_some(true)
            };
        }
        let (mut linked, mut denied) = (false, false);
        for at in end..self.tokens.len().min(end + 9) {
            let Some(word) = self.word(at) else { break };
            let one_of = |list: &[&str]| list.contains(&word);
            linked |= one_of(LINK) || word.ends_with("n't") || word == "cannot";
            denied |= one_of(NOT);
            if linked
                && one_of(GOOD)
                && !(one_of(FILLER) && self.word(at + 1).is_some_and(|next| GOOD.contains(&next)))
            {
                return Some(!denied);
            }
            if linked && one_of(BAD) {
                return (!denied).then_some(false);
            }
            if !(one_of(LINK) || one_of(NOT) || one_of(FILLER)) {
                break;
            }
        }
        (linked && denied).then_some(false)
    }

    fn sentence_before(&self, at: usize) -> impl Iterator<Item = &str> {
        (0..at)
            .rev()
            .take_while(|at| !self.ends_sentence(*at))
            .filter_map(|at| self.word(at))
    }
}

fn before_run(run: &str, linked: bool) -> Before {
    let ends = |list: &[&str]| list.iter().any(|end| run.ends_with(end));
    if RUN_NOT.iter().any(|part| run.contains(part)) {
        Before::Aside
    } else if ends(RUN_BEFORE) || ends(RUN_OPTION) && linked {
        Before::Cue
    } else if ends(RUN_OPTION) {
        Before::Option(false)
    } else {
        Before::Words
    }
}
