//! From assertions to claims: what the question adds to them, and whether they are true of the scene.
//!
//! A quality of something that is not there is not counted again: "a red dog" where there is no dog is one
//! false claim, not two. The same claim twice is one claim.

use std::ops::Range;

use candor_data::prompt::Choice;

use super::fact::{Assertion, Fact, Such};
use super::lexicon::Subject;
use super::{parse, standing};
use crate::kind::Kind;
use crate::question::Question;
use crate::scene::{Object, Scene};
use crate::text::answer;

/// One thing an answer claims about an image, and whether it is so.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// What is claimed.
    pub fact: Fact,
    /// Whether it is denied: a denied claim is true where the fact is not.
    pub negated: bool,
    /// Whether the claim is true of the scene.
    pub truth: bool,
    /// The words that make it, in bytes of the answer.
    pub span: Range<usize>,
}

impl Claim {
    /// A claim that something is so, rather than that it is not.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        !self.negated
    }
}

/// The distinct claims of an answer to a question about a scene, in order.
#[must_use]
pub(crate) fn claims(scene: &Scene, question: &Question, text: &str) -> Vec<Claim> {
    let mut assertions = parse::parse(text);
    if let Question::Choice(..) = question {
        assertions.splice(0..0, option_letters(text));
    }
    let implied = implied(question, &assertions);
    let mut all: Vec<Claim> = Vec::new();
    for assertion in assertions.into_iter().chain(implied) {
        let Some((fact, negated)) = resolve(scene, question, assertion.fact, assertion.negated)
        else {
            continue;
        };
        if all
            .iter()
            .any(|claim| claim.fact == fact && claim.negated == negated)
        {
            continue;
        }
        if let Some(holds) = holds(scene, question, &fact, negated) {
            all.push(Claim {
                fact,
                negated,
                truth: holds != negated,
                span: assertion.span,
            });
        }
    }
    all
}

/// Option letters: at the very start ("B", "B.", "(B)"), or after "option" or "answer is".
fn option_letters(text: &str) -> Vec<Assertion> {
    let mut all = Vec::new();
    let letters = text.char_indices().filter_map(|(at, letter)| {
        let choice = Choice::ALL
            .into_iter()
            .find(|choice| choice.letter() == letter)?;
        Some((at, choice))
    });
    for (at, choice) in letters {
        let before = text[..at].trim_end_matches(['(', ' ', '"', '\n', ':']);
        let after = text[at + 1..].chars().next();
        let ends = after.is_none_or(|c| matches!(c, '.' | ')' | ':' | ',' | '"' | '\n'));
        let named = ["option is", "answer is", "option", "answer"]
            .iter()
            .any(|lead| before.to_lowercase().ends_with(lead));
        let alone = after.is_none_or(|c| !c.is_alphanumeric());
        if (before.is_empty() && ends) || (named && alone) {
            all.push(Assertion {
                fact: Fact::Option(choice),
                negated: false,
                span: at..at + 1,
            });
        }
    }
    all
}

/// What naming a kind means where the question asks which one.
fn implied(question: &Question, assertions: &[Assertion]) -> Vec<Assertion> {
    let named = assertions.iter().filter_map(|said| match said.fact {
        Fact::There(subject @ Subject::Kind(kind), _) if !said.negated => {
            Some((said, subject, kind))
        }
        _ => None,
    });
    let has = |wanted: &dyn Fn(&Fact) -> bool| assertions.iter().any(|said| wanted(&said.fact));
    let imply = |said: &Assertion, fact| Assertion {
        fact,
        negated: false,
        span: said.span.clone(),
    };
    match question {
        Question::Coloured(colour) => named
            .filter(|&(_, subject, _)| {
                !has(&|f| matches!(f, Fact::Colour(of, _) if *of == subject))
            })
            .map(|(said, subject, _)| imply(said, Fact::Colour(subject, *colour)))
            .collect(),
        Question::Members(group) => named
            .filter(|&(_, subject, _)| {
                !has(&|f| matches!(f, Fact::Member(of, _) if *of == subject))
            })
            .map(|(said, subject, _)| imply(said, Fact::Member(subject, *group)))
            .collect(),
        Question::Larger(a, b) if !has(&|f| matches!(f, Fact::Larger(_))) => {
            let picks: Vec<_> = named.filter(|(.., kind)| kind == a || kind == b).collect();
            match picks.as_slice() {
                [(said, subject, kind), rest @ ..]
                    if rest.iter().all(|(.., other)| other == kind) =>
                {
                    vec![imply(said, Fact::Larger(*subject))]
                }
                _ => Vec::new(),
            }
        }
        Question::Choice(ask, _) => self::implied(ask, assertions),
        _ => Vec::new(),
    }
}

/// Gives a bare answer the subject of the question; none for what says nothing here.
fn resolve(scene: &Scene, question: &Question, fact: Fact, negated: bool) -> Option<(Fact, bool)> {
    let ask = match question {
        Question::Choice(ask, _) => ask,
        other => other,
    };
    let subject = match ask.subjects().as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let of = |make: &dyn Fn(Subject) -> Fact| {
        let kind = subject?;
        if scene.count(kind) == 0 && !negated {
            // "Red." about a cat that is not there claims that it is.
            return Some((Fact::There(Subject::Kind(kind), Such::default()), false));
        }
        Some((make(Subject::Kind(kind)), negated))
    };
    match fact {
        Fact::BareColour(colour) => of(&|s| Fact::Colour(s, colour)),
        Fact::BareCount(count) => of(&|s| Fact::Count(s, count)),
        Fact::BarePlace(place) => of(&|s| Fact::Place(s, place)),
        Fact::Yes => match ask {
            Question::Count(kind) if negated => {
                Some((Fact::There(Subject::Kind(*kind), Such::default()), true))
            }
            Question::Members(group) if negated => {
                Some((Fact::There(Subject::Group(*group), Such::default()), true))
            }
            _ if ask.is_yes_no() => Some((Fact::Yes, negated)),
            _ => None,
        },
        other => Some((other, negated)),
    }
}

/// The objects a noun can mean.
fn objects(scene: &Scene, subject: Subject) -> Vec<&Object> {
    let is = |kind: Kind| match subject {
        Subject::Kind(wanted) => kind == wanted,
        Subject::Group(group) => kind.group() == Some(group),
        Subject::Foreign(_) => false,
    };
    scene
        .objects
        .iter()
        .filter(|object| is(object.kind))
        .collect()
}

/// Whether the fact is so; none where it makes no claim of its own.
fn holds(scene: &Scene, question: &Question, fact: &Fact, negated: bool) -> Option<bool> {
    let any = |subject: Subject, test: &dyn Fn(&Object) -> bool| {
        let all = objects(scene, subject);
        (!all.is_empty()).then(|| all.into_iter().any(test))
    };
    match fact {
        Fact::There(subject, such) => Some(objects(scene, *subject).into_iter().any(|object| {
            such.colour.is_none_or(|colour| object.colour == colour)
                && such.size.is_none_or(|size| object.size == size)
                && such.place.is_none_or(|place| place.contains(object.cell))
        })),
        Fact::Count(subject, count) => {
            let found = objects(scene, *subject).len();
            (found > 0 || negated).then_some(found == *count)
        }
        Fact::Colour(subject, colour) => any(*subject, &|object| object.colour == *colour),
        Fact::Size(subject, size) => any(*subject, &|object| object.size == *size),
        Fact::Place(subject, place) => any(*subject, &|object| place.contains(object.cell)),
        Fact::Member(subject, group) => {
            any(*subject, &|object| object.kind.group() == Some(*group))
        }
        Fact::LeftOf(a, b) => {
            let first = objects(scene, *a).into_iter().map(|o| o.cell.col).min()?;
            let last = objects(scene, *b).into_iter().map(|o| o.cell.col).max()?;
            Some(first < last)
        }
        Fact::Larger(subject) => larger_of(scene, question, *subject),
        Fact::Theme(theme) => Some(scene.theme == *theme),
        Fact::Yes => answer::yes_no(scene, question),
        Fact::Option(choice) => Some(correct_option(scene, question)? == *choice),
        Fact::BareColour(_) | Fact::BareCount(_) | Fact::BarePlace(_) => None,
    }
}

/// Whether it is the larger of the two the question compares, or, elsewhere, larger than anything there.
fn larger_of(scene: &Scene, question: &Question, subject: Subject) -> Option<bool> {
    let kind = subject.kind()?;
    match question {
        Question::Larger(a, b) if kind == *a || kind == *b => {
            Some(answer::larger(scene, *a, *b)? == kind)
        }
        _ => None,
    }
}

/// The one option that answers the question truly.
#[must_use]
pub fn correct_option(scene: &Scene, question: &Question) -> Option<Choice> {
    let Question::Choice(ask, options) = question else {
        return None;
    };
    let right = |option: &str| {
        let claims = claims(scene, ask, option);
        claims.iter().all(|claim| claim.truth)
            && standing::standing(scene, ask, &claims) == standing::Standing::Right
    };
    let mut all = Choice::ALL
        .into_iter()
        .filter(|choice| right(&options[choice.index()]));
    let only = all.next()?;
    all.next().is_none().then_some(only)
}
