//! What an object can be: sixteen kinds, eight colours, two sizes.
//!
//! The names here are the only words the texts use for these things; the judge knows more words for them
//! (`judge::lexicon`), because a policy may find its own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an object is. Every kind has a silhouette of its own (`render::icons`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // The names say it all.
pub enum Kind {
    Ball,
    Bike,
    Bird,
    Boat,
    Book,
    Car,
    Cat,
    Chair,
    Clock,
    Cup,
    Dog,
    Fish,
    Kite,
    Lamp,
    Tree,
    Umbrella,
}

impl Kind {
    /// All kinds, in the order of their category ids (1-based) in the COCO files.
    pub const ALL: [Self; 16] = [
        Self::Ball,
        Self::Bike,
        Self::Bird,
        Self::Boat,
        Self::Book,
        Self::Car,
        Self::Cat,
        Self::Chair,
        Self::Clock,
        Self::Cup,
        Self::Dog,
        Self::Fish,
        Self::Kite,
        Self::Lamp,
        Self::Tree,
        Self::Umbrella,
    ];

    /// The position in [`Kind::ALL`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The noun, singular.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ball => "ball",
            Self::Bike => "bike",
            Self::Bird => "bird",
            Self::Boat => "boat",
            Self::Book => "book",
            Self::Car => "car",
            Self::Cat => "cat",
            Self::Chair => "chair",
            Self::Clock => "clock",
            Self::Cup => "cup",
            Self::Dog => "dog",
            Self::Fish => "fish",
            Self::Kite => "kite",
            Self::Lamp => "lamp",
            Self::Tree => "tree",
            Self::Umbrella => "umbrella",
        }
    }

    /// The noun, plural.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Ball => "balls",
            Self::Bike => "bikes",
            Self::Bird => "birds",
            Self::Boat => "boats",
            Self::Book => "books",
            Self::Car => "cars",
            Self::Cat => "cats",
            Self::Chair => "chairs",
            Self::Clock => "clocks",
            Self::Cup => "cups",
            Self::Dog => "dogs",
            Self::Fish => "fish",
            Self::Kite => "kites",
            Self::Lamp => "lamps",
            Self::Tree => "trees",
            Self::Umbrella => "umbrellas",
        }
    }

    /// The noun that agrees with a count.
    #[must_use]
    pub fn noun(self, count: usize) -> &'static str {
        if count == 1 {
            self.name()
        } else {
            self.plural()
        }
    }

    /// The group the kind belongs to, if any.
    #[must_use]
    pub fn group(self) -> Option<Group> {
        match self {
            Self::Bird | Self::Cat | Self::Dog | Self::Fish => Some(Group::Animal),
            Self::Bike | Self::Boat | Self::Car => Some(Group::Vehicle),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A family of kinds, for the questions that need a little knowledge besides sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Group {
    Animal,
    Vehicle,
}

impl Group {
    /// Both groups.
    pub const ALL: [Self; 2] = [Self::Animal, Self::Vehicle];

    /// The noun, singular.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Animal => "animal",
            Self::Vehicle => "vehicle",
        }
    }

    /// The noun, plural.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Animal => "animals",
            Self::Vehicle => "vehicles",
        }
    }
}

/// The colour of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Colour {
    Black,
    Blue,
    Green,
    Orange,
    Purple,
    Red,
    White,
    Yellow,
}

impl Colour {
    /// All colours.
    pub const ALL: [Self; 8] = [
        Self::Black,
        Self::Blue,
        Self::Green,
        Self::Orange,
        Self::Purple,
        Self::Red,
        Self::White,
        Self::Yellow,
    ];

    /// The adjective.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::Blue => "blue",
            Self::Green => "green",
            Self::Orange => "orange",
            Self::Purple => "purple",
            Self::Red => "red",
            Self::White => "white",
            Self::Yellow => "yellow",
        }
    }

    /// The paint, as sRGB.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Black => [34, 34, 38],
            Self::Blue => [38, 92, 224],
            Self::Green => [34, 152, 62],
            Self::Orange => [250, 134, 16],
            Self::Purple => [142, 56, 188],
            Self::Red => [222, 30, 36],
            Self::White => [248, 248, 248],
            Self::Yellow => [252, 220, 36],
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much of its cell an object fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Size {
    Small,
    Large,
}

impl Size {
    /// The adjective.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    /// The side of the object's box as a part of the cell's side.
    #[must_use]
    pub fn extent(self) -> f32 {
        match self {
            Self::Small => 0.62,
            Self::Large => 0.94,
        }
    }
}
