//! Captions: short true ones as in Flickr30k, whole ones for pretraining, and the five of the facts.

use candor_data::random::Stream;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::{Mention, list, sentence};
use crate::config::draw;
use crate::kind::Kind;
use crate::scene::Scene;

/// Captions per image, as people wrote for COCO and Flickr30k.
pub const PER_IMAGE: usize = 5;

fn shuffled(scene: &Scene, rng: &mut Stream) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = scene.kinds().into_iter().collect();
    kinds.shuffle(rng);
    kinds
}

/// "A red cup and two blue chairs in a kitchen."
fn caption_of(scene: &Scene, kinds: &[Kind], rng: &mut Stream) -> String {
    let phrases: Vec<String> = kinds
        .iter()
        .filter_map(|&kind| Mention::of(scene, kind, rng))
        .map(|mention| mention.phrase())
        .collect();
    let place = match scene.theme.name() {
        "beach" | "street" => "on",
        _ => "in",
    };
    sentence(&format!(
        "{} {place} {}",
        list(&phrases),
        scene.theme.phrase()
    ))
}

/// A short true caption about one or two of the kinds.
#[must_use]
pub fn short(scene: &Scene, rng: &mut Stream) -> String {
    short_of(scene, scene.kinds().into_iter().collect(), rng)
}

/// The same of the kinds that somebody noticed.
fn short_of(scene: &Scene, mut kinds: Vec<Kind>, rng: &mut Stream) -> String {
    kinds.shuffle(rng);
    let said = rng.random_range(1..=2).min(kinds.len());
    caption_of(scene, &kinds[..said], rng)
}

/// A true caption with all kinds.
#[must_use]
pub fn whole(scene: &Scene, rng: &mut Stream) -> String {
    let kinds = shuffled(scene, rng);
    caption_of(scene, &kinds, rng)
}

/// Five true sentences that together name everything: one "There is …" for each kind, captions for the
/// rest, in random order.
#[must_use]
pub fn facts(scene: &Scene, rng: &mut Stream) -> Vec<String> {
    facts_with_gaps(scene, 0.0, rng)
}

/// The same by people who do not see everything: each kind is left out with chance `gap`, but never all of them.
#[must_use]
pub fn facts_with_gaps(scene: &Scene, gap: f64, rng: &mut Stream) -> Vec<String> {
    let mut kinds = shuffled(scene, rng);
    let first = kinds.first().copied();
    kinds.retain(|&kind| Some(kind) == first || !draw(gap, rng));
    let mut all: Vec<String> = kinds
        .iter()
        .take(PER_IMAGE)
        .filter_map(|&kind| Mention::of(scene, kind, rng))
        .map(|mention| mention.there())
        .collect();
    kinds.sort_unstable();
    while all.len() < PER_IMAGE {
        all.push(short_of(scene, kinds.clone(), rng));
    }
    all.shuffle(rng);
    all
}
