//! A statement against facts given in text: reading facts, which a reward model must be able to do before
//! comparisons can teach it to use them.
//!
//! Two shortcuts are closed. If every true object were always stated, the number of claims would tell the
//! false ones, so true objects are dropped at random. If image and facts always agreed, sight could stand
//! in for reading, so in half of the samples the image is another one; the facts decide. The verdict follows the
//! noun and never the colour, or matching colours would do.

use candor_data::conversation::{Conversation, Turn};
use candor_data::random::Stream;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::checklist::verdicts;
use super::{Mention, caption, draw_plausible};
use crate::kind::Kind;
use crate::scene::Scene;

/// Chance that a true object is stated.
const KEEP: f64 = 0.7;
/// Chance of another scene's image.
pub(super) const SWAP: f64 = 0.5;
/// Chances of 0, 1, 2 and 3 false objects in a statement.
const FALSE: [f64; 4] = [0.2, 0.4, 0.25, 0.15];

/// The facts as they are shown in a prompt, one line each.
#[must_use]
pub fn facts_block(captions: &[String]) -> String {
    let lines: Vec<String> = captions
        .iter()
        .map(|caption| format!("- {caption}"))
        .collect();
    format!("Facts:\n{}", lines.join("\n"))
}

/// A statement about `scene` to be checked against its facts; `other` lends its image now and then.
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
    let said = format!("Statement: {}", said.join(" "));
    let (first, second) = if rng.random_bool(0.5) {
        (&facts, &said)
    } else {
        (&said, &facts)
    };
    Conversation {
        id: format!("verification-{}", scene.id),
        image: Some(image.clone()),
        turns: vec![
            Turn::human(format!(
                "<image>\n{first}\n{second}\nIs the statement true?"
            )),
            Turn::gpt(verdicts(&checks)),
        ],
    }
}

/// Some of the true objects and up to three plausible false ones, in random order, never empty.
pub(super) fn statement(scene: &Scene, rng: &mut Stream) -> (Vec<Mention>, Vec<(Kind, bool)>) {
    let mut all: Vec<(Mention, bool)> = scene
        .kinds()
        .into_iter()
        .filter(|_| rng.random_bool(KEEP))
        .collect::<Vec<_>>()
        .into_iter()
        .filter_map(|kind| Mention::of(scene, kind, rng))
        .map(|mention| (mention, true))
        .collect();
    let drawn = super::describe::draw_index(&FALSE, rng);
    let mut taken = Vec::new();
    for _ in 0..drawn.max(usize::from(all.is_empty())) {
        if let Some(kind) = draw_plausible(scene, &taken, rng) {
            taken.push(kind);
            all.push((Mention::invent(kind, rng), false));
        }
    }
    all.shuffle(rng);
    let checks = all
        .iter()
        .map(|(mention, yes)| (mention.kind, *yes))
        .collect();
    (
        all.into_iter().map(|(mention, _)| mention).collect(),
        checks,
    )
}
