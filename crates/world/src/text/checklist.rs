//! Dense yes/no checks of one image, the verdict right after its noun.
//!
//! A prototype stayed at chance when the verdict stood far from the noun; with checks like these it learned
//! to look within a few hundred steps. Two styles: turns ("Is there a dog?" — "Yes.") and lists
//! ("dog yes, cat no"). True kinds are dropped at random and the rest is balanced, so neither the number of
//! checks nor the number of yeses tells anything.
//!
//! A [`roll_call`] checks every kind there is. It is what a fresh decoder learns to look by: with 16 verdicts a
//! image it looks after 250 updates, with the five of a checklist it had not after 1200.

use candor_data::conversation::{Conversation, Turn};
use candor_data::random::Stream;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::answer::place_of;
use super::{draw_negative, list, with_article};
use crate::kind::Kind;
use crate::place::Place;
use crate::scene::Scene;

/// The kinds to check with their truth: every true kind stays with this chance.
const KEEP: f64 = 0.8;

/// Kinds and whether they are there: some of the true ones and about as many that are not.
#[must_use]
pub fn checks(scene: &Scene, rng: &mut Stream) -> Vec<(Kind, bool)> {
    let mut checks: Vec<(Kind, bool)> = scene
        .kinds()
        .into_iter()
        .filter(|_| rng.random_bool(KEEP))
        .map(|kind| (kind, true))
        .collect();
    let negatives = (checks.len() + usize::from(rng.random_bool(0.5))).max(1);
    let mut taken = Vec::with_capacity(negatives);
    for _ in 0..negatives {
        if let Some(kind) = draw_negative(scene, &taken, rng) {
            taken.push(kind);
        }
    }
    checks.extend(taken.into_iter().map(|kind| (kind, false)));
    checks.shuffle(rng);
    checks
}

/// "dog yes, cat no."
#[must_use]
pub fn verdicts(checks: &[(Kind, bool)]) -> String {
    let marks: Vec<String> = checks
        .iter()
        .map(|(kind, yes)| format!("{kind} {}", if *yes { "yes" } else { "no" }))
        .collect();
    format!("{}.", marks.join(", "))
}

/// A checklist about a scene.
#[must_use]
pub fn conversation(scene: &Scene, rng: &mut Stream) -> Conversation {
    let checks = checks(scene, rng);
    let turns = if rng.random_bool(0.6) {
        in_turns(&checks, rng)
    } else {
        as_list(&checks)
    };
    Conversation {
        id: format!("checklist-{}", scene.id),
        image: Some(scene.image.clone()),
        turns,
    }
}

/// Every kind in random order, each with its verdict: "dog yes, cat no."
#[must_use]
pub fn roll_call(scene: &Scene, rng: &mut Stream) -> Conversation {
    called(
        scene,
        rng,
        "roll-call",
        "Which objects are in the image?",
        |_| "yes".to_owned(),
    )
}

/// Every kind in random order, with colour and place where it is there: "dog red top left, cat no."
#[must_use]
pub fn colour_call(scene: &Scene, rng: &mut Stream) -> Conversation {
    called(
        scene,
        rng,
        "colour-call",
        "What colors are the objects?",
        |kind| {
            let colour = scene
                .first(kind)
                .map_or("no", |object| object.colour.name());
            let place = place_of(scene, kind).map_or("", Place::words);
            format!("{colour} {place}").trim_end().to_owned()
        },
    )
}

fn called(
    scene: &Scene,
    rng: &mut Stream,
    name: &str,
    question: &str,
    found: impl Fn(Kind) -> String,
) -> Conversation {
    let there = scene.kinds();
    let mut kinds = Kind::ALL;
    kinds.shuffle(rng);
    let mark = |kind: Kind| {
        let verdict = if there.contains(&kind) {
            found(kind)
        } else {
            "no".to_owned()
        };
        format!("{kind} {verdict}")
    };
    Conversation {
        id: format!("{name}-{}", scene.id),
        image: Some(scene.image.clone()),
        turns: vec![
            Turn::human(format!("<image>\n{question}")),
            Turn::gpt(format!("{}.", kinds.map(mark).join(", "))),
        ],
    }
}

fn in_turns(checks: &[(Kind, bool)], rng: &mut Stream) -> Vec<Turn> {
    let tail = if rng.random_bool(0.5) {
        " in the image"
    } else {
        ""
    };
    let mut turns = Vec::with_capacity(checks.len() * 2);
    for (index, (kind, yes)) in checks.iter().enumerate() {
        let image = if index == 0 { "<image>\n" } else { "" };
        let noun = with_article(kind.name());
        turns.push(Turn::human(format!("{image}Is there {noun}{tail}?")));
        turns.push(Turn::gpt(if *yes { "Yes." } else { "No." }));
    }
    turns
}

fn as_list(checks: &[(Kind, bool)]) -> Vec<Turn> {
    let names: Vec<String> = checks
        .iter()
        .map(|(kind, _)| kind.name().to_owned())
        .collect();
    vec![
        Turn::human(format!(
            "<image>\nWhich objects are in the image, {}?",
            list(&names)
        )),
        Turn::gpt(verdicts(checks)),
    ]
}
