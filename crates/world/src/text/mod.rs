//! What is said about scenes: small words, one grammar, the colour always right before its noun.
//!
//! A [`Mention`] is one noun phrase about one kind, true or invented; every text is made of mentions.

pub mod answer;
pub mod caption;
pub mod checklist;
pub mod choice;
pub mod describe;
pub mod reading;
pub mod verify;
pub mod vqa;

use candor_data::random::Stream;
use rand::RngExt as _;

use crate::kind::{Colour, Kind, Size};
use crate::place::{Cell, Place};
use crate::scene::Scene;
use crate::theme::Theme;

/// Number words, from zero.
pub const NUMBERS: [&str; 6] = ["no", "one", "two", "three", "four", "five"];

/// Chance that a mention says the place.
const SAYS_PLACE: f64 = 0.1;
/// Chance that a mention says the size.
const SAYS_SIZE: f64 = 0.1;

/// The phrase with "a" or "an" before it.
#[must_use]
pub fn with_article(phrase: &str) -> String {
    let article = if phrase.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {phrase}")
}

/// The sentence with a capital letter and a full stop.
#[must_use]
pub fn sentence(phrase: &str) -> String {
    let mut letters = phrase.chars();
    let first = letters.next().map(char::to_uppercase);
    first.map_or_else(String::new, |first| {
        first.chain(letters).chain(['.']).collect()
    })
}

/// The phrases as a list: "one, two and three".
#[must_use]
pub fn list(phrases: &[String]) -> String {
    match phrases {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// One noun phrase about the objects of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// What it names.
    pub kind: Kind,
    /// How many.
    pub count: usize,
    /// Their colour.
    pub colour: Colour,
    /// Their size, if said.
    pub size: Option<Size>,
    /// Their place, if said.
    pub place: Option<Place>,
}

impl Mention {
    /// A true mention, with place and size said at random; nothing where the kind is not there.
    #[must_use]
    pub fn of(scene: &Scene, kind: Kind, rng: &mut Stream) -> Option<Self> {
        let object = scene.first(kind)?;
        let says_size = rng.random_bool(SAYS_SIZE);
        let says_place = rng.random_bool(SAYS_PLACE);
        let place = draw_place(rng, object.cell);
        let holds = scene.of(kind).all(|object| place.contains(object.cell));
        Some(Self {
            kind,
            count: scene.count(kind),
            colour: object.colour,
            size: says_size.then_some(object.size),
            place: (says_place && holds).then_some(place),
        })
    }

    /// A mention of a kind that is not there, in every other way like a true one.
    #[must_use]
    pub fn invent(kind: Kind, rng: &mut Stream) -> Self {
        let count = if rng.random_bool(0.12) { 2 } else { 1 };
        let cell = Cell::at(rng.random_range(0..16));
        let place = draw_place(rng, cell);
        Self {
            kind,
            count,
            colour: Colour::ALL[rng.random_range(0..Colour::ALL.len())],
            size: rng
                .random_bool(SAYS_SIZE)
                .then(|| [Size::Small, Size::Large][rng.random_range(0..2)]),
            place: (count == 1 && rng.random_bool(SAYS_PLACE)).then_some(place),
        }
    }

    /// "a small red cup", "two blue chairs".
    #[must_use]
    pub fn phrase(&self) -> String {
        let size = self
            .size
            .map_or(String::new(), |size| format!("{} ", size.name()));
        let noun = format!("{size}{} {}", self.colour, self.kind.noun(self.count));
        match self.count {
            0 | 1 => with_article(&noun),
            count => format!("{} {noun}", NUMBERS[count.min(5)]),
        }
    }

    /// "There is a small red cup on the left."
    #[must_use]
    pub fn there(&self) -> String {
        self.there_with("")
    }

    /// The same with something right after the noun.
    #[must_use]
    pub fn there_with(&self, after_noun: &str) -> String {
        let verb = if self.count == 1 { "is" } else { "are" };
        let place = self
            .place
            .map_or(String::new(), |place| format!(" {}", place.phrase()));
        format!("There {verb} {}{after_noun}{place}.", self.phrase())
    }
}

/// A place that holds the cell: its quadrant or one of the two halves.
fn draw_place(rng: &mut Stream, cell: Cell) -> Place {
    let quadrant = cell.place();
    match rng.random_range(0..4_u8) {
        0 => Place {
            vertical: None,
            ..quadrant
        },
        1 => Place {
            horizontal: None,
            ..quadrant
        },
        _ => quadrant,
    }
}

/// A kind that is not there, drawn by the theme's prior; `taken` are not there and not wanted.
#[must_use]
pub fn draw_plausible(scene: &Scene, taken: &[Kind], rng: &mut Stream) -> Option<Kind> {
    let absent = absent_but(scene, taken);
    draw_by_share(scene.theme, &absent, rng)
}

/// A kind that is not there: half by the theme's prior, half evenly.
#[must_use]
pub fn draw_negative(scene: &Scene, taken: &[Kind], rng: &mut Stream) -> Option<Kind> {
    let absent = absent_but(scene, taken);
    if rng.random_bool(0.5) {
        draw_by_share(scene.theme, &absent, rng)
    } else if absent.is_empty() {
        None
    } else {
        Some(absent[rng.random_range(0..absent.len())])
    }
}

fn absent_but(scene: &Scene, taken: &[Kind]) -> Vec<Kind> {
    let mut absent = scene.absent();
    absent.retain(|kind| !taken.contains(kind));
    absent
}

fn draw_by_share(theme: Theme, kinds: &[Kind], rng: &mut Stream) -> Option<Kind> {
    let total: f64 = kinds.iter().map(|&kind| theme.share(kind)).sum();
    let mut left = rng.random::<f64>() * total;
    for &kind in kinds {
        left -= theme.share(kind);
        if left < 0.0 {
            return Some(kind);
        }
    }
    kinds.last().copied()
}
