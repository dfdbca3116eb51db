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
use super::{Mention, caption};
use crate::question::DESCRIBE;
use crate::scene::Scene;

/// A row about `scene`; `other` lends its image now and then.
#[must_use]
pub fn conversation(scene: &Scene, other: &Scene, rng: &mut Stream) -> Conversation {
    let image = if rng.random_bool(SWAP) {
        &other.image
    } else {
        &scene.image
    };
    let facts = facts_block(&caption::facts(scene, rng));
    let (mentions, checks) = statement(scene, rng);
    let said: Vec<String> = mentions.iter().map(Mention::there).collect();
    let verdict = |yes: bool| if yes { " yes" } else { " no" };
    let told = mentions.iter().zip(&checks);
    let told: Vec<String> = told
        .map(|(mention, (_, yes))| mention.there_with(verdict(*yes)))
        .collect();
    let asked = DESCRIBE[rng.random_range(0..DESCRIBE.len())];
    Conversation {
        id: format!("reading-{}", scene.id),
        image: Some(image.clone()),
        turns: vec![
            Turn::human(format!("<image>\n{asked}")),
            Turn::gpt(said.join(" ")),
            Turn::human(format!("{facts}\nIs the statement true?")),
            Turn::gpt(told.join(" ")),
        ],
    }
}
