//! POPE: "Is there a … in the image?", as often true as not, in three splits that differ in how the absent
//! kinds are chosen.
//!
//! *Random* takes any, *popular* the most frequent kinds of the training scenes, *adversarial* those that most
//! often occur with what is there. The true questions are the same in all splits.

use std::cmp::Reverse;

use candor_data::formats::pope::{Label, Question as Row};
use candor_data::random::stream;
use rand::seq::SliceRandom as _;

use crate::kind::Kind;
use crate::question::Question;
use crate::scene::Scene;
use crate::statistics::Statistics;

/// Images asked about; four questions each.
const N_SCENES: usize = 75;
/// True and false questions per image.
const PER_LABEL: usize = 2;

/// How the absent kinds are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PopeSplit {
    /// Evenly.
    Random,
    /// The most frequent ones.
    Popular,
    /// Those that most often occur with the kinds that are there.
    Adversarial,
}

impl PopeSplit {
    /// The three splits.
    pub const ALL: [Self; 3] = [Self::Random, Self::Popular, Self::Adversarial];

    /// The name in the file name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Popular => "popular",
            Self::Adversarial => "adversarial",
        }
    }
}

/// The questions of one split over the first evaluation scenes.
#[must_use]
pub fn draw(seed: u64, scenes: &[Scene], statistics: &Statistics, split: PopeSplit) -> Vec<Row> {
    let mut rows = Vec::with_capacity(N_SCENES * PER_LABEL * 2);
    for scene in scenes.iter().take(N_SCENES) {
        let rng = &mut stream(seed, "world.pope", &[scene.id]);
        let mut present: Vec<Kind> = scene.kinds().into_iter().collect();
        present.shuffle(rng);
        let mut absent = scene.absent();
        // Shuffled first, so that a stable sort leaves ties in random order.
        absent.shuffle(rng);
        match split {
            PopeSplit::Random => {}
            PopeSplit::Popular => absent.sort_by_key(|&kind| Reverse(statistics.scenes_with(kind))),
            PopeSplit::Adversarial => absent.sort_by_key(|&kind| {
                let with: usize = present
                    .iter()
                    .map(|&other| statistics.pair(kind, other))
                    .sum();
                Reverse(with)
            }),
        }
        for (&yes, &no) in present.iter().zip(&absent).take(PER_LABEL) {
            for (kind, label) in [(yes, Label::Yes), (no, Label::No)] {
                rows.push(Row {
                    question_id: rows.len() as u64 + 1,
                    image: scene.image.clone(),
                    text: Question::Exists(kind, None).text(),
                    label,
                });
            }
        }
    }
    rows
}
