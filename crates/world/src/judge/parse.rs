//! From words to assertions, without a look at any scene.
//!
//! A small grammar: qualities before a noun or after "is" belong to it, a place phrase to the noun before it
//! (or, at the front of a clause, to the one after it), "no" and "not" reach to the end of their clause, and
//! a "yes" or "no" right after a noun is the verdict on it. What does not fit claims nothing.

use std::ops::Range;

use super::fact::{Assertion, Fact};
use super::lexicon::{Subject, Word};
use super::lookahead::{fronted, next_is, noun_phrase_follows, qualifies_noun, related_noun};
use super::noun::Noun;
use super::tokens::{Token, sentences};
use crate::kind::{Colour, Size};
use crate::place::{Horizontal, Place, Vertical};
use crate::theme::Theme;

/// Everything an answer says, in order.
#[must_use]
pub fn parse(answer: &str) -> Vec<Assertion> {
    let mut parser = Parser::default();
    for sentence in sentences(answer) {
        parser.read(&sentence);
    }
    parser.finish()
}

/// An item of the answer in order.
enum Item {
    Noun(Noun),
    Other(Assertion),
}

/// Qualities that wait for their noun.
#[derive(Default)]
struct Pending {
    count: Option<usize>,
    colours: Vec<Colour>,
    size: Option<Size>,
    place: Option<Place>,
    start: Option<usize>,
}

/// How far a "no" or "not" reaches until its clause ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Denial {
    /// Nothing is denied.
    #[default]
    Nothing,
    /// Qualities to come are denied of the nouns before.
    Qualities,
    /// Nouns to come are denied too.
    Nouns,
}

#[derive(Default)]
struct Parser {
    items: Vec<Item>,
    pending: Pending,
    denial: Denial,
    /// The items that qualities to come belong to.
    group: Vec<usize>,
    /// Nothing but "and" and qualities since the last noun.
    joined: bool,
    copula: bool,
}

impl Parser {
    fn read(&mut self, tokens: &[Token]) {
        let before = self.group.clone();
        self.group.clear();
        self.pending = Pending::default();
        self.denial = Denial::Nothing;
        (self.joined, self.copula) = (false, false);
        let mut at = 0;
        while at < tokens.len() {
            if matches!(tokens[at].word, Word::Pronoun) && self.group.is_empty() {
                self.group.clone_from(&before);
            }
            at += self.step(tokens, at);
        }
    }

    /// Reads the word at `at` and says how many words were read.
    fn step(&mut self, tokens: &[Token], at: usize) -> usize {
        let token = &tokens[at];
        let begins = at == 0 || tokens[at - 1].comma_after || tokens[at - 1].word == Word::And;
        match token.word {
            Word::But => self.denial = Denial::Nothing,
            Word::Opener | Word::Pronoun | Word::Number(_) if begins => {
                self.denial = Denial::Nothing;
            }
            _ => {}
        }
        match token.word {
            Word::Noun(subject, _) => self.noun(subject, token),
            Word::Colour(_) | Word::Size(_) | Word::Number(_) => self.quality(tokens, at),
            Word::Left | Word::Right | Word::Top | Word::Bottom => return self.place(tokens, at),
            Word::Larger | Word::Smaller => self.comparative(tokens, at),
            Word::Theme(theme) => self.theme(theme, tokens, at),
            Word::Yes => self.yes(tokens, at),
            Word::No => self.no(tokens, at),
            Word::Not => self.not(tokens, at),
            Word::Copula => self.copula = true,
            Word::And | Word::Opener | Word::Article | Word::Pronoun => return 1,
            Word::Of | Word::But | Word::Other => {}
        }
        if !matches!(
            token.word,
            Word::Noun(..) | Word::Colour(_) | Word::Size(_) | Word::Number(_)
        ) {
            self.joined = false;
        }
        1
    }

    fn noun(&mut self, subject: Subject, token: &Token) {
        if let (Subject::Group(group), true, false) = (subject, self.copula, self.group.is_empty())
        {
            // "The dog is an animal" says something about the dog.
            let negated = self.denial >= Denial::Qualities;
            self.say_of_group(|of| Fact::Member(of, group), negated, &token.span);
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        let start = pending.start.unwrap_or(token.span.start);
        if !self.joined {
            self.group.clear();
        }
        self.group.push(self.items.len());
        (self.joined, self.copula) = (true, false);
        self.items.push(Item::Noun(Noun {
            subject,
            negated: self.denial == Denial::Nouns,
            count: pending.count,
            colours: pending.colours,
            size: pending.size,
            place: pending.place,
            span: start.min(token.span.start)..token.span.end,
            later: Vec::new(),
        }));
    }

    fn quality(&mut self, tokens: &[Token], at: usize) {
        let token = &tokens[at];
        if qualifies_noun(tokens, at) {
            self.pending.start.get_or_insert(token.span.start);
            match token.word {
                Word::Colour(colour) => self.pending.colours.push(colour),
                Word::Size(size) => self.pending.size = Some(size),
                Word::Number(count) => self.pending.count = Some(count),
                _ => {}
            }
            return;
        }
        let negated = self.denial >= Denial::Qualities;
        let named = !self.group.is_empty();
        match token.word {
            Word::Colour(colour) if named => {
                self.say_of_group(|of| Fact::Colour(of, colour), negated, &token.span);
            }
            Word::Size(size) if named => {
                self.say_of_group(|of| Fact::Size(of, size), negated, &token.span);
            }
            Word::Number(count) if named && self.copula => {
                self.say_of_group(|of| Fact::Count(of, count), negated, &token.span);
            }
            Word::Colour(colour) => self.say(Fact::BareColour(colour), negated, &token.span),
            Word::Number(count) if !named && !next_is(tokens, at, Word::Of) => {
                self.say(Fact::BareCount(count), negated, &token.span);
            }
            _ => {}
        }
    }

    /// Reads a run of place words, and a relation if "of" and a noun follow.
    fn place(&mut self, tokens: &[Token], at: usize) -> usize {
        let mut place = Place::default();
        let mut end = at;
        while let Some(token) = tokens.get(end) {
            match token.word {
                Word::Left => place.horizontal = Some(Horizontal::Left),
                Word::Right => place.horizontal = Some(Horizontal::Right),
                Word::Top => place.vertical = Some(Vertical::Top),
                Word::Bottom => place.vertical = Some(Vertical::Bottom),
                _ => break,
            }
            end += 1;
            if tokens[end - 1].comma_after {
                break;
            }
        }
        let span = tokens[at].span.start..tokens[end - 1].span.end;
        let negated = self.denial >= Denial::Qualities;
        self.joined = false;
        if let Some(other) = related_noun(tokens, end) {
            self.relate(place, other, negated, &span);
        } else if self.group.is_empty() || fronted(tokens, at, end) {
            if tokens[end..]
                .iter()
                .any(|token| matches!(token.word, Word::Noun(..)))
            {
                self.pending.place = Some(place);
                self.pending.start.get_or_insert(span.start);
            } else {
                self.say(Fact::BarePlace(place), negated, &span);
            }
        } else {
            // The nearest noun alone: "a dog and a cat on the left" says nothing certain of the dog.
            if !self.copula
                && let Some(last) = self.group.pop()
            {
                self.group = vec![last];
            }
            self.say_of_group(|of| Fact::Place(of, place), negated, &span);
        }
        end - at
    }

    fn relate(&mut self, place: Place, other: Subject, negated: bool, span: &Range<usize>) {
        match (place.vertical, place.horizontal) {
            (None, Some(Horizontal::Left)) => {
                self.say_of_group(|of| Fact::LeftOf(of, other), negated, span);
            }
            (None, Some(Horizontal::Right)) => {
                self.say_of_group(|of| Fact::LeftOf(other, of), negated, span);
            }
            _ => {}
        }
    }

    fn comparative(&mut self, tokens: &[Token], at: usize) {
        if !self.group.is_empty() {
            let smaller = tokens[at].word == Word::Smaller;
            let negated = (self.denial >= Denial::Qualities) != smaller;
            self.say_of_group(Fact::Larger, negated, &tokens[at].span);
        }
    }

    fn theme(&mut self, theme: Theme, tokens: &[Token], at: usize) {
        // In "a kitchen chair" the theme is no claim of its own.
        if !matches!(
            tokens.get(at + 1),
            Some(Token {
                word: Word::Noun(..),
                ..
            })
        ) {
            let negated = self.denial >= Denial::Qualities;
            self.say(Fact::Theme(theme), negated, &tokens[at].span);
        }
    }

    fn yes(&mut self, tokens: &[Token], at: usize) {
        if self.noun_right_before(tokens, at).is_none() {
            self.say(Fact::Yes, false, &tokens[at].span);
        }
    }

    fn no(&mut self, tokens: &[Token], at: usize) {
        if !tokens[at].comma_after && noun_phrase_follows(tokens, at + 1) {
            self.denial = Denial::Nouns;
        } else if let Some(noun) = self.noun_right_before(tokens, at) {
            noun.negated = true;
            noun.span.end = tokens[at].span.end;
        } else {
            self.say(Fact::Yes, true, &tokens[at].span);
        }
    }

    fn not(&mut self, tokens: &[Token], at: usize) {
        if self.group.is_empty() {
            self.denial = Denial::Nouns;
            return;
        }
        for (index, token) in tokens.iter().enumerate().skip(at + 1) {
            match token.word {
                Word::Noun(..) => {
                    self.denial = Denial::Nouns;
                    return;
                }
                Word::Colour(_) | Word::Size(_) | Word::Number(_)
                    if qualifies_noun(tokens, index) =>
                {
                    self.denial = Denial::Nouns;
                    return;
                }
                Word::Colour(_)
                | Word::Size(_)
                | Word::Number(_)
                | Word::Theme(_)
                | Word::Left
                | Word::Right
                | Word::Top
                | Word::Bottom
                | Word::Larger
                | Word::Smaller => {
                    self.denial = self.denial.max(Denial::Qualities);
                    return;
                }
                Word::But => break,
                _ if token.comma_after => break,
                _ => {}
            }
        }
        // "The dog is not there."
        for &index in &self.group {
            if let Item::Noun(noun) = &mut self.items[index] {
                noun.negated = true;
            }
        }
    }

    /// The noun that the word at `at` follows with nothing between.
    fn noun_right_before(&mut self, tokens: &[Token], at: usize) -> Option<&mut Noun> {
        let before = &tokens[at.checked_sub(1)?];
        if before.comma_after || !matches!(before.word, Word::Noun(..)) {
            return None;
        }
        match self.items.last_mut()? {
            Item::Noun(noun) => Some(noun),
            Item::Other(_) => None,
        }
    }

    fn say(&mut self, fact: Fact, negated: bool, span: &Range<usize>) {
        self.items.push(Item::Other(Assertion {
            fact,
            negated,
            span: span.clone(),
        }));
    }

    fn say_of_group(&mut self, fact: impl Fn(Subject) -> Fact, negated: bool, span: &Range<usize>) {
        for &index in &self.group {
            if let Item::Noun(noun) = &mut self.items[index] {
                noun.later.push(Assertion {
                    fact: fact(noun.subject),
                    negated,
                    span: noun.span.start.min(span.start)..noun.span.end.max(span.end),
                });
            }
        }
    }

    fn finish(self) -> Vec<Assertion> {
        let mut all = Vec::new();
        for item in self.items {
            match item {
                Item::Other(assertion) => all.push(assertion),
                Item::Noun(noun) => noun.unfold(&mut all),
            }
        }
        all
    }
}
