//! A scene: the ground truth of one image, and how it is drawn at random.
//!
//! Which kinds a scene holds comes from *systematic sampling*: the kinds are shuffled, laid end to end with
//! lengths `n · share`, and picked wherever a comb of unit spacing with a random offset touches them. So the
//! chance of every kind is exactly `n · share(theme, kind)` and no kind comes twice, which weighted drawing
//! without replacement does not give.

use std::collections::BTreeSet;

use candor_data::random::{Stream, stream};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use serde::{Deserialize, Serialize};

use crate::config::{WorldConfig, draw};
use crate::kind::{Colour, Kind, Size};
use crate::place::{Cell, GRID};
use crate::theme::Theme;

/// Most objects in a scene.
pub const MAX_OBJECTS: usize = 5;
/// Chances of 2, 3, 4 and 5 distinct kinds, 3.3 on average.
pub const KIND_COUNTS: [f64; 4] = [0.20, 0.40, 0.30, 0.10];
/// Chance that, where there is room, one kind comes more than once.
pub const MORE_OF_A_KIND: f64 = 0.35;

/// What a scene is for. Scenes of different splits never have the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Grounding, pretraining and SFT.
    Train,
    /// Comparisons.
    Preference,
    /// PPO prompts.
    Rl,
    /// Evaluation.
    Eval,
}

impl Split {
    /// All splits, in the order of the scene ids.
    pub const ALL: [Self; 4] = [Self::Train, Self::Preference, Self::Rl, Self::Eval];
}

/// One thing in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its colour; objects of one kind in one scene share it.
    pub colour: Colour,
    /// How much of the cell it fills; shared like the colour.
    pub size: Size,
    /// Where it is; no two objects share a cell.
    pub cell: Cell,
    /// How far its centre is from the cell's centre, right and down, in cells.
    pub offset: [f32; 2],
    /// How opaque it is drawn, in `(0, 1]`.
    pub visibility: f32,
    /// What stands before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<Cover>,
}

/// Something without a name that hides a part of an object.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cover {
    /// The side that is hidden.
    pub from: Edge,
    /// The hidden part of the object's box.
    pub share: f32,
}

/// A side of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Edge {
    Left,
    Right,
    Top,
    Bottom,
}

impl Object {
    /// The object's box in an image of side `px`: left, top, width, height.
    #[must_use]
    pub fn bbox(&self, px: f32) -> [f32; 4] {
        let cell_px = px / f32::from(GRID);
        let side = cell_px * self.size.extent();
        let x = (f32::from(self.cell.col) + 0.5 + self.offset[0]) * cell_px - side / 2.0;
        let y = (f32::from(self.cell.row) + 0.5 + self.offset[1]) * cell_px - side / 2.0;
        [x, y, side, side]
    }
}

/// The ground truth of one image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scene {
    /// Counted from 1 over all splits; the COCO image id.
    pub id: u64,
    /// The image's file name inside `images/`.
    pub image: String,
    /// What the scene is for.
    pub split: Split,
    /// Where it plays.
    pub theme: Theme,
    /// Decides grain and clutter.
    pub texture: u64,
    /// Strength of the grain.
    pub noise: f32,
    /// Mean number of bits of clutter.
    pub clutter: f32,
    /// What is there: 2 to 5 objects.
    pub objects: Vec<Object>,
}

/// What two scenes must not both have: theme, kinds, colours, sizes and cells.
pub type Content = (Theme, Vec<(Kind, Colour, Size, Cell)>);

impl Scene {
    /// Draws the scene with number `id`; `attempt` counts the contents refused before.
    #[must_use]
    pub fn draw(config: &WorldConfig, id: u64, split: Split, attempt: u64) -> Self {
        let rng = &mut stream(config.seed, "world.scene", &[id, attempt]);
        let theme = Theme::ALL[rng.random_range(0..Theme::ALL.len())];
        let n_kinds = draw_kind_count(rng);
        let kinds = draw_kinds(rng, theme, n_kinds);
        let counts = draw_counts(rng, kinds.len());
        let mut cells: Vec<Cell> = (0..16).map(Cell::at).collect();
        cells.shuffle(rng);
        let mut cells = cells.into_iter();
        let mut objects = Vec::with_capacity(MAX_OBJECTS);
        for (kind, count) in kinds.into_iter().zip(counts) {
            let colour = Colour::ALL[rng.random_range(0..Colour::ALL.len())];
            let size = if rng.random_bool(0.5) {
                Size::Small
            } else {
                Size::Large
            };
            for cell in cells.by_ref().take(count) {
                objects.push(Object {
                    kind,
                    colour,
                    size,
                    cell,
                    offset: draw_offset(rng, size),
                    visibility: draw_visibility(rng, config),
                    cover: draw_cover(rng, config),
                });
            }
        }
        Self {
            id,
            image: format!("{id:012}.png"),
            split,
            theme,
            texture: rng.random(),
            noise: config.noise,
            clutter: config.clutter,
            objects,
        }
    }

    /// What the scene shows, independent of order, grain and jitter.
    #[must_use]
    pub fn content(&self) -> Content {
        let mut objects: Vec<_> = self
            .objects
            .iter()
            .map(|o| (o.kind, o.colour, o.size, o.cell))
            .collect();
        objects.sort_unstable();
        (self.theme, objects)
    }

    /// The distinct kinds that are there.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.objects.iter().map(|object| object.kind).collect()
    }

    /// The kinds that are not there.
    #[must_use]
    pub fn absent(&self) -> Vec<Kind> {
        let present = self.kinds();
        Kind::ALL
            .into_iter()
            .filter(|kind| !present.contains(kind))
            .collect()
    }

    /// How many of the kind there are.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.of(kind).count()
    }

    /// The objects of the kind.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |o| o.kind == kind)
    }

    /// The first object of the kind, which has the colour and size of all of them.
    #[must_use]
    pub fn first(&self, kind: Kind) -> Option<&Object> {
        self.objects.iter().find(|o| o.kind == kind)
    }
}

fn draw_kind_count(rng: &mut Stream) -> usize {
    let mut left: f64 = rng.random();
    for (index, chance) in KIND_COUNTS.iter().enumerate() {
        left -= chance;
        if left < 0.0 {
            return index + 2;
        }
    }
    MAX_OBJECTS
}

/// Systematic sampling of `n` distinct kinds; see the module.
fn draw_kinds(rng: &mut Stream, theme: Theme, n: usize) -> Vec<Kind> {
    let mut order = Kind::ALL;
    order.shuffle(rng);
    let mut next_tooth: f64 = rng.random();
    let mut end = 0.0;
    let mut kinds = Vec::with_capacity(n);
    for kind in order {
        end += n as f64 * theme.share(kind);
        if end > next_tooth && kinds.len() < n {
            kinds.push(kind);
            next_tooth += 1.0;
        }
    }
    kinds.shuffle(rng);
    kinds
}

/// One of each kind, and sometimes two or three of the first.
fn draw_counts(rng: &mut Stream, n_kinds: usize) -> Vec<usize> {
    let mut counts = vec![1; n_kinds];
    let room = MAX_OBJECTS - n_kinds;
    if room > 0 && rng.random_bool(MORE_OF_A_KIND) {
        counts[0] += 1 + usize::from(room > 1 && rng.random_bool(0.35));
    }
    counts
}

/// A shift that keeps the object inside its cell, in hundredths so that JSON holds it exactly.
fn draw_offset(rng: &mut Stream, size: Size) -> [f32; 2] {
    let most = ((1.0 - size.extent()) / 2.0 * 100.0) as i32;
    [(); 2].map(|()| rng.random_range(-most..=most) as f32 / 100.0)
}

fn draw_visibility(rng: &mut Stream, config: &WorldConfig) -> f32 {
    if rng.random_bool(config.faint) {
        let [least, most] = config.faint_opacity;
        f32::from(rng.random_range(least..=most)) / 100.0
    } else {
        1.0
    }
}

fn draw_cover(rng: &mut Stream, config: &WorldConfig) -> Option<Cover> {
    let [least, most] = config.cover;
    draw(config.covered, rng).then(|| Cover {
        from: [Edge::Left, Edge::Right, Edge::Top, Edge::Bottom][rng.random_range(0..4)],
        share: f32::from(rng.random_range(least..=most)) / 100.0,
    })
}
