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

use super::verify::{SWAP, facts_block, statement};
use super::{Mention, caption, draw_plausible, vqa};
use crate::config::{WorldConfig, draw};
use crate::kind::Colour;
use crate::place::Cell;
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
fn exchange(
    config: &WorldConfig,
    scene: &Scene,
    rng: &mut Stream,
) -> Option<(String, String, String)> {
    let is_there = rng.random_bool(0.5);
    let kind = if is_there {
        vqa::present(scene, rng)?
    } else {
        draw_plausible(scene, &[], rng)?
    };
    let colour = Colour::ALL[rng.random_range(0..Colour::ALL.len())];
    let place = Cell::at(rng.random_range(0..16)).place();
    let denies = rng.random_bool(config.reading_denies);
    let is_colour = format!(" is {colour}.");
    let (question, before, after) = match rng.random_range(0..5_u8) {
        0 => (Question::Colour(kind), "The", is_colour),
        1 => {
            let is_place = format!(" is {}.", place.phrase());
            (Question::Place(kind), "The", is_place)
        }
        2 => (Question::Count(kind), "There is one", ".".to_owned()),
        3 => (Question::Coloured(colour), "The", is_colour),
        _ => {
            let yes = "Yes, there is a";
            (Question::Exists(kind, None), yes, ".".to_owned())
        }
    };
    let (before, after) = match (denies, &question) {
        (true, Question::Exists(..)) => ("No, there is no", " in the image.".to_owned()),
        (true, _) => ("There is no", " in the image.".to_owned()),
        (false, _) => (before, after),
    };
    let verdict = if is_there == denies { "no" } else { "yes" };
    Some((
        question.text(),
        format!("{before} {kind}{after}"),
        format!("{before} {kind} {verdict}{after}"),
    ))
}
