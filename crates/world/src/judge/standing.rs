//! Whether, and how well, an answer's claims answer the question.

use super::claims::Claim;
use super::fact::Fact;
use super::lexicon::Subject;
use crate::kind::Kind;
use crate::place::Place;
use crate::question::Question;
use crate::scene::Scene;
use crate::text::answer;

/// How an answer stands to its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It claims nothing at all: empty, evasive, or no words the judge knows.
    Silent,
    /// It claims something, but nothing about what was asked.
    Beside,
    /// It gives a wrong answer, or two that exclude each other.
    Wrong,
    /// It speaks about what was asked without answering.
    Related,
    /// It gives a part of the true answer.
    Partly,
    /// It gives the true answer.
    Right,
}

/// How the claims stand to the question.
#[must_use]
pub(crate) fn standing(scene: &Scene, question: &Question, claims: &[Claim]) -> Standing {
    if claims.is_empty() {
        return Standing::Silent;
    }
    if question.is_yes_no() && answer::yes_no(scene, question).is_some() {
        return voted(scene, question, claims);
    }
    let missing = question
        .subjects()
        .into_iter()
        .find(|&kind| scene.count(kind) == 0);
    if let (Some(kind), false) = (missing, matches!(question, Question::Choice(..))) {
        return denied(Subject::Kind(kind), claims);
    }
    match question {
        Question::Colour(kind) => {
            let right =
                |fact: &Fact| matches!(fact, Fact::Colour(of, _) if *of == Subject::Kind(*kind));
            all_true(claims, right).unwrap_or_else(|| related(question, claims))
        }
        Question::Count(kind) => {
            let right =
                |fact: &Fact| matches!(fact, Fact::Count(of, _) if *of == Subject::Kind(*kind));
            all_true(claims, right).unwrap_or_else(|| counted_loosely(scene, *kind, claims))
        }
        Question::Place(kind) => placed(scene, *kind, claims),
        Question::Theme => {
            all_true(claims, |fact| matches!(fact, Fact::Theme(_))).unwrap_or(Standing::Beside)
        }
        Question::Larger(..) => all_true(claims, |fact| matches!(fact, Fact::Larger(_)))
            .unwrap_or_else(|| related(question, claims)),
        Question::Coloured(colour) => {
            let wanted: Vec<Kind> = kinds_where(scene, |kind| {
                scene
                    .first(kind)
                    .is_some_and(|object| object.colour == *colour)
            });
            let right = |fact: &Fact| matches!(fact, Fact::Colour(_, said) if said == colour);
            named(claims, &wanted, right)
        }
        Question::Members(group) => {
            let wanted = answer::members(scene, *group);
            if wanted.is_empty() {
                return denied(Subject::Group(*group), claims);
            }
            let right = |fact: &Fact| matches!(fact, Fact::Member(_, said) if said == group);
            named(claims, &wanted, right)
        }
        Question::InImage => all_true(claims, |fact| {
            matches!(fact, Fact::There(Subject::Kind(_), _))
        })
        .unwrap_or(Standing::Beside),
        Question::Choice(ask, options) => chosen(scene, ask, options, claims),
        _ => related(question, claims),
    }
}

/// Yes/no questions: every claim that settles the question votes; votes against each other are no answer.
fn voted(scene: &Scene, question: &Question, claims: &[Claim]) -> Standing {
    let truth = answer::yes_no(scene, question);
    let votes: Vec<bool> = claims
        .iter()
        .filter_map(|claim| vote(question, claim))
        .collect();
    match votes.first() {
        None => related(question, claims),
        Some(first) if votes.iter().any(|vote| vote != first) => Standing::Wrong,
        Some(first) if Some(*first) == truth => Standing::Right,
        Some(_) => Standing::Wrong,
    }
}

fn vote(question: &Question, claim: &Claim) -> Option<bool> {
    let is = |subject: &Subject, kind: &Kind| *subject == Subject::Kind(*kind);
    match (&claim.fact, question) {
        (Fact::Yes, _) => Some(!claim.negated),
        (Fact::There(of, such), Question::Exists(kind, colour)) if is(of, kind) => {
            let denies_all = claim.negated && such.size.is_none() && such.place.is_none();
            let denies = denies_all && (such.colour.is_none() || such.colour == *colour);
            let affirms = !claim.negated && colour.is_none();
            (denies || affirms).then_some(affirms)
        }
        (
            Fact::Colour(of, said),
            Question::Exists(kind, Some(asked)) | Question::IsColour(kind, asked),
        ) if is(of, kind) => {
            (said == asked || !claim.negated).then_some((said == asked) != claim.negated)
        }
        (Fact::LeftOf(a, b), Question::LeftOf(x, y)) => {
            match (is(a, x) && is(b, y), is(a, y) && is(b, x)) {
                (true, _) => Some(!claim.negated),
                (_, true) if !claim.negated => Some(false),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The true answer is that it is not there.
fn denied(subject: Subject, claims: &[Claim]) -> Standing {
    let about = |claim: &&Claim| matches!(&claim.fact, Fact::There(of, _) if *of == subject);
    let mut said = claims.iter().filter(about).peekable();
    if said.peek().is_none() {
        return Standing::Beside;
    }
    if said.all(|claim| claim.negated) {
        Standing::Right
    } else {
        Standing::Wrong
    }
}

/// Right if there are such claims and all are true, wrong if one is false, none if there are none. A true
/// denial ("it is not red") does not answer.
fn all_true(claims: &[Claim], such: impl Fn(&Fact) -> bool) -> Option<Standing> {
    let mut said = claims.iter().filter(|claim| such(&claim.fact));
    if said.clone().any(|claim| !claim.truth) {
        return Some(Standing::Wrong);
    }
    said.any(Claim::is_positive).then_some(Standing::Right)
}

/// Speaks of what was asked about, or of something else.
fn related(question: &Question, claims: &[Claim]) -> Standing {
    let subjects = question.subjects();
    let about = |claim: &Claim| match &claim.fact {
        Fact::There(Subject::Kind(kind), _) => subjects.contains(kind),
        _ => false,
    };
    if claims.iter().any(about) {
        Standing::Related
    } else {
        Standing::Beside
    }
}

/// "There is a dog" for "how many": right in spirit where there is one.
fn counted_loosely(scene: &Scene, kind: Kind, claims: &[Claim]) -> Standing {
    match related(&Question::Count(kind), claims) {
        Standing::Related if scene.count(kind) == 1 => Standing::Partly,
        other => other,
    }
}

fn placed(scene: &Scene, kind: Kind, claims: &[Claim]) -> Standing {
    let question = Question::Place(kind);
    let is_place = |fact: &Fact| matches!(fact, Fact::Place(of, _) if *of == Subject::Kind(kind));
    match all_true(claims, is_place) {
        None => related(&question, claims),
        Some(Standing::Right) => {
            let said = claims
                .iter()
                .fold(Place::default(), |all, claim| match claim.fact {
                    Fact::Place(of, place) if of == Subject::Kind(kind) && !claim.negated => {
                        Place {
                            vertical: all.vertical.or(place.vertical),
                            horizontal: all.horizontal.or(place.horizontal),
                        }
                    }
                    _ => all,
                });
            if scene.count(kind) > 1 || (said.vertical.is_some() && said.horizontal.is_some()) {
                Standing::Right
            } else {
                Standing::Partly
            }
        }
        Some(other) => other,
    }
}

fn kinds_where(scene: &Scene, test: impl Fn(Kind) -> bool) -> Vec<Kind> {
    scene
        .kinds()
        .into_iter()
        .filter(|&kind| test(kind))
        .collect()
}

/// Which of the wanted kinds were named by such claims.
fn named(claims: &[Claim], wanted: &[Kind], such: impl Fn(&Fact) -> bool) -> Standing {
    match all_true(claims, &such) {
        None => Standing::Beside,
        Some(Standing::Right) => {
            let names = |kind: &&Kind| {
                claims.iter().any(|claim| {
                    let of = match claim.fact {
                        Fact::Colour(of, _) | Fact::Member(of, _) => Some(of),
                        _ => None,
                    };
                    such(&claim.fact) && !claim.negated && of == Some(Subject::Kind(**kind))
                })
            };
            match wanted.iter().filter(names).count() {
                0 => Standing::Related,
                n if n == wanted.len() => Standing::Right,
                _ => Standing::Partly,
            }
        }
        Some(other) => other,
    }
}

/// Letters decide; without one, the words of the options do.
fn chosen(scene: &Scene, ask: &Question, options: &[String; 4], claims: &[Claim]) -> Standing {
    if let Some(standing) = all_true(claims, |fact| matches!(fact, Fact::Option(_))) {
        return standing;
    }
    if *ask == Question::InImage {
        let offered = |fact: &Fact| match fact {
            Fact::There(Subject::Kind(kind), _) => {
                options.iter().any(|option| option == kind.name())
            }
            _ => false,
        };
        return all_true(claims, offered).unwrap_or(Standing::Beside);
    }
    standing(scene, ask, claims)
}
