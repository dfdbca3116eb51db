//! The exact judge: what an answer claims, which of it is true of the scene, and a score from 0 to 6 in
//! MMHal-Bench's sense.
//!
//! Three and more means that nothing is hallucinated; within each half a more informative answer scores
//! higher. `docs/micro-world.md` has the rules. Where it departs from the benchmark: an answer without any
//! claim scores 0, and one beside the point 1, so that saying nothing, or always the same harmless thing,
//! never beats a truthful answer. The judge knows a fixed lexicon; words outside it claim nothing.

mod claims;
mod fact;
mod lexicon;
mod lookahead;
mod noun;
mod parse;
mod standing;
mod tokens;

use std::collections::BTreeSet;

pub use claims::{Claim, correct_option};
pub use fact::{Assertion, Fact, Such};
pub use lexicon::Subject;
pub use parse::parse;
pub use standing::Standing;

use crate::kind::Kind;
use crate::question::Question;
use crate::scene::Scene;

/// What the judge says of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// 0 to 6; 3 and more: nothing hallucinated.
    pub score: u8,
    /// The distinct claims in order.
    pub claims: Vec<Claim>,
    /// How the answer stands to the question.
    pub standing: Standing,
    /// The part of the scene's kinds that the answer names.
    pub recall: f64,
}

impl Verdict {
    /// Number of false claims.
    #[must_use]
    pub fn n_false(&self) -> usize {
        self.claims.iter().filter(|claim| !claim.truth).count()
    }

    /// Number of true claims that say what is, rather than what is not; denials are endless and so do not
    /// make an answer more informative.
    #[must_use]
    pub fn n_true(&self) -> usize {
        let informs = |claim: &&Claim| claim.truth && claim.is_positive();
        self.claims.iter().filter(informs).count()
    }

    /// Whether nothing is claimed at all: an empty or evasive answer.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.claims.is_empty()
    }
}

/// Judges an answer to a question about a scene.
#[must_use]
pub fn judge(scene: &Scene, question: &Question, answer: &str) -> Verdict {
    let claims = claims::claims(scene, question, answer);
    let recall = recall(scene, &claims);
    let (standing, informs) = match question {
        Question::Describe | Question::Open => described(&claims, recall),
        _ => answered(scene, question, &claims),
    };
    let n_false = claims.iter().filter(|claim| !claim.truth).count();
    Verdict {
        score: score(standing, informs, n_false),
        claims,
        standing,
        recall,
    }
}

/// The kinds an answer says are there, as CHAIR counts them.
#[must_use]
pub fn objects_mentioned(answer: &str) -> BTreeSet<Kind> {
    let kind = |said: Assertion| match said.fact {
        Fact::There(Subject::Kind(kind), _) if !said.negated => Some(kind),
        _ => None,
    };
    parse(answer).into_iter().filter_map(kind).collect()
}

fn recall(scene: &Scene, claims: &[Claim]) -> f64 {
    let present = scene.kinds();
    let named: BTreeSet<Kind> = claims
        .iter()
        .filter_map(|claim| match claim.fact {
            Fact::There(Subject::Kind(kind), _) if !claim.negated && claim.truth => Some(kind),
            _ => None,
        })
        .collect();
    named.len() as f64 / present.len().max(1) as f64
}

/// Descriptions: all, half, some or none of what is there; the flag asks for details besides.
fn described(claims: &[Claim], recall: f64) -> (Standing, bool) {
    let details = claims.iter().filter(|claim| {
        claim.truth && claim.is_positive() && !matches!(claim.fact, Fact::There(..))
    });
    let named = claims.iter().filter(|claim| {
        claim.truth && claim.is_positive() && matches!(claim.fact, Fact::There(..))
    });
    let standing = match claims.len() {
        0 => Standing::Silent,
        _ if recall >= 1.0 => Standing::Right,
        _ if recall >= 0.5 => Standing::Partly,
        _ if recall > 0.0 => Standing::Related,
        _ => Standing::Beside,
    };
    (standing, details.count() >= named.count())
}

/// Questions: the flag asks for something true beyond the answer itself.
fn answered(scene: &Scene, question: &Question, claims: &[Claim]) -> (Standing, bool) {
    let more = |claim: &Claim| claim.truth && claim.is_positive() && !bears(question, &claim.fact);
    (
        standing::standing(scene, question, claims),
        claims.iter().any(more),
    )
}

/// Whether the fact is part of a plain answer to the question, or taken for granted by it.
fn bears(question: &Question, fact: &Fact) -> bool {
    let subjects = question.subjects();
    let asked = |subject: &Subject| subject.kind().is_some_and(|kind| subjects.contains(&kind));
    match (fact, question) {
        (Fact::Yes | Fact::Option(_) | Fact::Larger(_), _)
        | (Fact::There(..), Question::Coloured(_) | Question::Members(_) | Question::InImage)
        | (Fact::Theme(_), Question::Theme)
        | (Fact::Member(..), Question::Members(_))
        | (Fact::LeftOf(..), Question::LeftOf(..)) => true,
        (Fact::There(of, _), _) if asked(of) => true,
        (Fact::Colour(of, _), Question::Colour(_) | Question::IsColour(..)) => asked(of),
        (Fact::Colour(of, said), Question::Exists(_, Some(colour))) => asked(of) && said == colour,
        (Fact::Colour(_, said), Question::Coloured(colour)) => said == colour,
        (Fact::Count(of, _), Question::Count(_)) | (Fact::Place(of, _), Question::Place(_)) => {
            asked(of)
        }
        (_, Question::Choice(ask, _)) => bears(ask, fact),
        _ => false,
    }
}

/// The score; see `docs/micro-world.md`.
fn score(standing: Standing, informs: bool, n_false: usize) -> u8 {
    if n_false == 0 {
        return match standing {
            // A wrong answer without a false claim cannot be; two that exclude each other have one.
            Standing::Silent | Standing::Wrong => 0,
            Standing::Beside => 1,
            Standing::Related => 3,
            Standing::Partly => 4,
            Standing::Right if informs => 6,
            Standing::Right => 5,
        };
    }
    let information: u8 = match standing {
        Standing::Right => 2,
        Standing::Partly => 1,
        Standing::Related | Standing::Beside | Standing::Silent | Standing::Wrong => 0,
    };
    information.saturating_sub((n_false - 1).min(2) as u8)
}
