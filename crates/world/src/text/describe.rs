//! Descriptions as GPT-4 wrote them for the paper's first source: all true objects are mentioned, and, in
//! the later half, sometimes one or two that only the theme makes plausible.
//!
//! True objects come in reading order, row by row from the top left, so that there is a next one to look for.
//! The false sentences look exactly like the true ones. What makes them false is the image alone.

use candor_data::random::Stream;
use rand::RngExt as _;

use super::{Mention, draw_plausible, sentence};
use crate::kind::Kind;
use crate::scene::Scene;

/// A description and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The text.
    pub text: String,
    /// The kinds it mentions that are not there.
    pub false_kinds: Vec<Kind>,
}

/// A GPT-4-like description; `chances` are those of 0, 1 and 2 false objects.
#[must_use]
pub fn gpt4_like(scene: &Scene, chances: [f64; 3], rng: &mut Stream) -> Description {
    let mut mentions = true_mentions(scene, rng);
    let wanted = draw_index(&chances, rng);
    let mut false_kinds = Vec::new();
    for _ in 0..wanted {
        let Some(kind) = draw_plausible(scene, &false_kinds, rng) else {
            break;
        };
        false_kinds.push(kind);
        let at = rng.random_range(mentions.len().div_ceil(2)..=mentions.len());
        mentions.insert(at, Mention::invent(kind, rng));
    }
    Description {
        text: tell(scene, &mentions),
        false_kinds,
    }
}

/// A description with everything that is there and nothing else.
#[must_use]
pub fn truthful(scene: &Scene, rng: &mut Stream) -> String {
    let mentions = true_mentions(scene, rng);
    tell(scene, &mentions)
}

/// A description with everything that is there, and the same with one object of the later half replaced by one that only the
/// theme makes plausible: both name as many.
#[must_use]
pub fn true_and_false(scene: &Scene, rng: &mut Stream) -> Option<[String; 2]> {
    let mentions = true_mentions(scene, rng);
    let invented = Mention::invent(draw_plausible(scene, &[], rng)?, rng);
    if mentions.is_empty() {
        return None;
    }
    let at = rng.random_range(mentions.len() / 2..mentions.len());
    let mut altered = mentions.clone();
    altered[at] = invented;
    Some([tell(scene, &mentions), tell(scene, &altered)])
}

fn true_mentions(scene: &Scene, rng: &mut Stream) -> Vec<Mention> {
    let mut kinds: Vec<Kind> = scene.kinds().into_iter().collect();
    // As one reads: row by row from the top left.
    kinds.sort_by_key(|&kind| {
        scene
            .first(kind)
            .map(|object| (object.cell.row, object.cell.col))
    });
    kinds
        .into_iter()
        .filter_map(|kind| Mention::of(scene, kind, rng))
        .collect()
}

fn tell(scene: &Scene, mentions: &[Mention]) -> String {
    let mut text = sentence(&format!("this is {}", scene.theme.phrase()));
    for mention in mentions {
        text.push(' ');
        text.push_str(&mention.there());
    }
    text
}

pub(super) fn draw_index(chances: &[f64], rng: &mut Stream) -> usize {
    let mut left: f64 = rng.random();
    for (index, chance) in chances.iter().enumerate() {
        left -= chance;
        if left < 0.0 {
            return index;
        }
    }
    // Rounding can leave a sliver beyond the last chance that is not zero.
    chances
        .iter()
        .rposition(|&chance| chance > 0.0)
        .unwrap_or(0)
}
