//! Reading, which the base of a reward model must be able to do before comparisons can teach it to use facts: a
//! description, then facts, then the description again with its verdicts, each right after its noun ("There are two
//! red cups no. There is a dog yes on the left.").
//!
//! In this order a decoder holds each noun against the facts while it reads the description for the second time, as
//! it must when a reward prompt repeats a response after the facts. The first time has to be there too: a decoder
//! that has learned to look whether a noun was said before would find all of them in it. As in
//! [`verify`](super::verify), true things are dropped at random and half of the images are another scene's.

use candor_data::conversation::{Conversation, Turn};
use candor_data::random::Stream;
use rand::RngExt as _;

use super::answer::place_of;
use super::verify::{SWAP, facts_block, statement};
use super::{Mention, NUMBERS, caption, draw_plausible, vqa};
use crate::config::{WorldConfig, draw};
use crate::kind::Colour;
use crate::place::{Cell, Place};
use crate::question::{DESCRIBE, Question};
use crate::scene::Scene;

/// A row about `scene`; `other` lends its image now and then.
#[must_use]
pub fn conversation(
    config: &WorldConfig,
    scene: &Scene,
    other: &Scene,
    rng: &mut Stream,
) -> Conversation {
    let image = if rng.random_bool(SWAP) {
        &other.image
    } else {
        &scene.image
    };
    let facts = facts_block(&caption::facts(scene, rng));
    if draw(config.reading_asks, rng)
        && let Some((asked, said, told)) = exchange(config, scene, rng)
    {
        return row(scene, image, &asked, said, &facts, told);
    }
    let (mentions, checks) = statement(scene, rng);
    let said: Vec<String> = mentions.iter().map(Mention::there).collect();
    let verdict = |yes: bool| if yes { " yes" } else { " no" };
    let told = mentions.iter().zip(&checks);
    let told: Vec<String> = told
        .map(|(mention, (_, yes))| mention.there_with(verdict(*yes)))
        .collect();
    let asked = DESCRIBE[rng.random_range(0..DESCRIBE.len())];
    row(scene, image, asked, said.join(" "), &facts, told.join(" "))
}

fn row(
    scene: &Scene,
    image: &str,
    asked: &str,
    said: String,
    facts: &str,
    told: String,
) -> Conversation {
    Conversation {
        id: format!("reading-{}", scene.id),
        image: Some(image.to_owned()),
        turns: vec![
            Turn::human(format!("<image>\n{asked}")),
            Turn::gpt(said),
            Turn::human(format!("{facts}\nIs the statement true?")),
            Turn::gpt(told),
        ],
    }
}

/// A question about one kind, a sentence that answers it, and the sentence with its verdict.
///
/// Of what is there the sentence says the true number, colour and place, or a slip that the facts tell: practice whose answers
/// are whatever comes to mind teaches that whatever comes to mind is right. The verdict stands after the last word that decides.
/// Where something is is asked of one alone: several are in several places, and the sentence has room for one.
fn exchange(
    config: &WorldConfig,
    scene: &Scene,
    rng: &mut Stream,
) -> Option<(String, String, String)> {
    let is_there = rng.random_bool(0.5);
    let (mut claim, place) = if is_there {
        let kind = vqa::present(scene, rng)?;
        (Mention::of(scene, kind, rng)?, place_of(scene, kind))
    } else {
        let kind = draw_plausible(scene, &[], rng)?;
        let claim = Mention::invent(kind, rng);
        let place = Cell::at(rng.random_range(0..16)).place();
        let is_one = claim.count == 1;
        (claim, is_one.then_some(place))
    };
    (claim.size, claim.place) = (None, place);
    let denies = rng.random_bool(config.reading_denies);
    let mut form = FORMS[rng.random_range(0..FORMS.len())];
    if form == Form::Place && place.is_none() {
        form = other(&FORMS, form, rng);
    }
    // The facts seldom say a place, and a denial says neither number nor colour.
    let slips = is_there && !denies && form != Form::Place && rng.random_bool(SLIPS);
    if slips && form == Form::Count {
        claim.count = other(&[1, 2, 3], claim.count, rng);
    } else if slips {
        claim.colour = other(&Colour::ALL, claim.colour, rng);
    }
    let Mention { kind, colour, .. } = claim;
    let question = match form {
        Form::Colour => Question::Colour(kind),
        Form::Place => Question::Place(kind),
        Form::Count => Question::Count(kind),
        Form::Coloured => Question::Coloured(colour),
        Form::Exists => Question::Exists(kind, None),
    };
    let (before, after) = match (denies, form) {
        (true, Form::Exists) => (format!("No, there is no {kind}"), ".".to_owned()),
        (true, _) => (format!("There is no {kind}"), " in the image.".to_owned()),
        (false, form) => claimed(&claim, form),
    };
    let verdict = match is_there && !slips {
        right if right != denies => "yes",
        _ => "no",
    };
    Some((
        question.text(),
        format!("{before}{after}"),
        format!("{before} {verdict}{after}"),
    ))
}

/// What is asked of one kind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Colour,
    Place,
    Count,
    Coloured,
    Exists,
}

const FORMS: [Form; 5] = [
    Form::Colour,
    Form::Place,
    Form::Count,
    Form::Coloured,
    Form::Exists,
];

/// Chance that something that is there is said with a wrong number or colour.
const SLIPS: f64 = 0.3;

/// The sentence that claims this, up to the word that decides and from there.
fn claimed(claim: &Mention, form: Form) -> (String, String) {
    let noun = claim.kind.noun(claim.count);
    let is = if claim.count == 1 { "is" } else { "are" };
    let colour = claim.colour;
    let stop = || ".".to_owned();
    match form {
        Form::Colour => (format!("The {noun} {is} {colour}"), stop()),
        Form::Coloured => (format!("The {} is {colour}", claim.kind), stop()),
        Form::Count => {
            let number = NUMBERS[claim.count.min(5)];
            (format!("There {is} {number} {noun}"), stop())
        }
        Form::Place => {
            let place = claim.place.map(Place::phrase).unwrap_or_default();
            (format!("The {noun}"), format!(" {is} {place}."))
        }
        Form::Exists => (format!("Yes, there {is} {}", claim.phrase()), stop()),
    }
}

/// One of the others, each as likely.
fn other<T: Copy + PartialEq>(all: &[T], taken: T, rng: &mut Stream) -> T {
    let others: Vec<T> = all.iter().copied().filter(|&one| one != taken).collect();
    others[rng.random_range(0..others.len())]
}
