//! True answers: in a word or two, and as a sentence.

use super::{NUMBERS, list, sentence, with_article};
use crate::kind::{Group, Kind};
use crate::place::Place;
use crate::question::Question;
use crate::scene::Scene;

/// The true answer in a word or two; none where the question has no single true answer.
#[must_use]
pub fn short(scene: &Scene, question: &Question) -> Option<String> {
    let word = |text: &str| Some(text.to_owned());
    if let Some(yes) = yes_no(scene, question) {
        return word(if yes { "yes" } else { "no" });
    }
    match question {
        Question::Colour(kind) => Some(scene.first(*kind)?.colour.name().to_owned()),
        Question::Count(kind) => word(NUMBERS[scene.count(*kind).min(5)]),
        Question::Place(kind) => word(place_of(scene, *kind)?.words()),
        Question::Theme => word(scene.theme.name()),
        Question::Larger(a, b) => word(larger(scene, *a, *b)?.name()),
        Question::Coloured(colour) => {
            let kinds = scene.kinds().into_iter();
            let mut of =
                kinds.filter(|&kind| scene.first(kind).is_some_and(|o| o.colour == *colour));
            let only = of.next()?;
            of.next().is_none().then(|| only.name().to_owned())
        }
        Question::Members(group) => {
            let names: Vec<String> = members(scene, *group)
                .into_iter()
                .map(|kind| kind.name().to_owned())
                .collect();
            (!names.is_empty()).then(|| list(&names))
        }
        _ => None,
    }
}

/// The true answer as a sentence; a question about an absent kind is answered by saying so.
#[must_use]
pub fn full(scene: &Scene, question: &Question) -> Option<String> {
    let missing = question
        .subjects()
        .into_iter()
        .find(|&kind| scene.count(kind) == 0);
    if let (Some(kind), false) = (missing, question.is_yes_no()) {
        return Some(absence(kind));
    }
    let text = match question {
        Question::Exists(kind, _) if yes_no(scene, question)? => {
            format!("yes, {}", plain_there(scene, *kind)?)
        }
        Question::Exists(kind, None) => format!("no, there is no {kind}"),
        Question::Exists(kind, Some(colour)) => format!("no, there is no {colour} {kind}"),
        Question::IsColour(kind, _) => {
            let lead = if yes_no(scene, question)? {
                "yes"
            } else {
                "no"
            };
            format!("{lead}, the {kind} is {}", scene.first(*kind)?.colour)
        }
        Question::More(a, b) => {
            let lead = if yes_no(scene, question)? {
                "yes"
            } else {
                "no"
            };
            let (n, m) = (scene.count(*a), scene.count(*b));
            let verb = if n == 1 { "is" } else { "are" };
            format!(
                "{lead}, there {verb} {} {} and {} {}",
                NUMBERS[n.min(5)],
                a.noun(n),
                NUMBERS[m.min(5)],
                b.noun(m)
            )
        }
        Question::LeftOf(a, b) => {
            let yes = yes_no(scene, question)?;
            let (lead, side) = if yes {
                ("yes", "left")
            } else {
                ("no", "right")
            };
            format!("{lead}, the {a} is to the {side} of the {b}")
        }
        Question::Colour(kind) => match scene.count(*kind) {
            1 => format!("the {kind} is {}", short(scene, question)?),
            _ => format!("the {} are {}", kind.plural(), short(scene, question)?),
        },
        Question::Count(kind) => match scene.count(*kind) {
            1 => format!("there is one {kind}"),
            n => format!("there are {} {}", NUMBERS[n.min(5)], kind.plural()),
        },
        Question::Place(kind) => format!("the {kind} is {}", place_of(scene, *kind)?.phrase()),
        Question::Theme => format!("this is {}", scene.theme.phrase()),
        Question::Larger(..) => format!("the {} is larger", short(scene, question)?),
        Question::Coloured(colour) => format!("the {} is {colour}", short(scene, question)?),
        Question::Members(group) => members_sentence(scene, *group),
        Question::Describe | Question::InImage | Question::Choice(..) | Question::Open => {
            return None;
        }
    };
    Some(sentence(&text))
}

/// Whether the answer is yes, for the questions that ask for yes or no.
#[must_use]
pub fn yes_no(scene: &Scene, question: &Question) -> Option<bool> {
    match question {
        Question::Exists(kind, colour) => Some(
            scene
                .of(*kind)
                .any(|object| colour.is_none_or(|colour| object.colour == colour)),
        ),
        Question::IsColour(kind, colour) => Some(scene.first(*kind)?.colour == *colour),
        Question::More(a, b) => Some(scene.count(*a) > scene.count(*b)),
        Question::LeftOf(a, b) => left_of(scene, *a, *b),
        _ => None,
    }
}

/// "There is no cat in the image."
#[must_use]
pub fn absence(kind: Kind) -> String {
    format!("There is no {kind} in the image.")
}

/// Whether all of `a` are in columns left of all of `b`; none if they share columns or one is absent.
#[must_use]
pub fn left_of(scene: &Scene, a: Kind, b: Kind) -> Option<bool> {
    let span = |kind| {
        let cols = || scene.of(kind).map(|object| object.cell.col);
        Some((cols().min()?, cols().max()?))
    };
    let ((a_first, a_last), (b_first, b_last)) = (span(a)?, span(b)?);
    if a_last < b_first {
        Some(true)
    } else if b_last < a_first {
        Some(false)
    } else {
        None
    }
}

/// The larger of two kinds, if both are there and differ in size.
#[must_use]
pub fn larger(scene: &Scene, a: Kind, b: Kind) -> Option<Kind> {
    let (size_a, size_b) = (scene.first(a)?.size, scene.first(b)?.size);
    match size_a.cmp(&size_b) {
        std::cmp::Ordering::Less => Some(b),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(a),
    }
}

/// The quadrant of a kind that is there once.
#[must_use]
pub fn place_of(scene: &Scene, kind: Kind) -> Option<Place> {
    (scene.count(kind) == 1).then(|| scene.first(kind).map(|object| object.cell.place()))?
}

/// The kinds of the group that are there.
#[must_use]
pub fn members(scene: &Scene, group: Group) -> Vec<Kind> {
    scene
        .kinds()
        .into_iter()
        .filter(|kind| kind.group() == Some(group))
        .collect()
}

fn members_sentence(scene: &Scene, group: Group) -> String {
    let kinds = members(scene, group);
    let names: Vec<String> = kinds.iter().map(|kind| format!("the {kind}")).collect();
    match kinds.as_slice() {
        [] => format!("there are no {}", group.plural()),
        [_] => format!("{} is {}", names[0], with_article(group.name())),
        _ => format!("{} are {}", list(&names), group.plural()),
    }
}

fn plain_there(scene: &Scene, kind: Kind) -> Option<String> {
    let colour = scene.first(kind)?.colour;
    Some(match scene.count(kind) {
        1 => format!("there is {}", with_article(&format!("{colour} {kind}"))),
        n => format!("there are {} {colour} {}", NUMBERS[n.min(5)], kind.plural()),
    })
}
