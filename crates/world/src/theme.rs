//! Where a scene plays, and which kinds are at home there: the documented prior a model can lean on
//! instead of looking.
//!
//! Each theme has five typical kinds. A scene with `n` distinct kinds is drawn so that every kind's chance
//! of being in it is *exactly* `n · share(theme, kind)` (systematic sampling, see `scene`), so over all
//! scenes `P(kind | theme) = 3.3 · share`, the table of `docs/micro-world.md`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kind::Kind;

/// Where a scene plays; decides the background and which kinds are likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Theme {
    Beach,
    Bedroom,
    Garden,
    Harbor,
    Kitchen,
    Office,
    Park,
    Street,
}

/// The share of a typical kind: five of them make 0.80.
const TYPICAL_SHARE: f64 = 0.16;
/// The share of each of the other eleven kinds: together 0.20.
const OTHER_SHARE: f64 = 0.20 / 11.0;

impl Theme {
    /// All themes.
    pub const ALL: [Self; 8] = [
        Self::Beach,
        Self::Bedroom,
        Self::Garden,
        Self::Harbor,
        Self::Kitchen,
        Self::Office,
        Self::Park,
        Self::Street,
    ];

    /// The noun.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Beach => "beach",
            Self::Bedroom => "bedroom",
            Self::Garden => "garden",
            Self::Harbor => "harbor",
            Self::Kitchen => "kitchen",
            Self::Office => "office",
            Self::Park => "park",
            Self::Street => "street",
        }
    }

    /// The noun with its article.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Beach => "a beach",
            Self::Bedroom => "a bedroom",
            Self::Garden => "a garden",
            Self::Harbor => "a harbor",
            Self::Kitchen => "a kitchen",
            Self::Office => "an office",
            Self::Park => "a park",
            Self::Street => "a street",
        }
    }

    /// Whether the scene is under the sky; MMHal-Bench calls it the question's topic.
    #[must_use]
    pub fn is_outdoor(self) -> bool {
        !matches!(self, Self::Bedroom | Self::Kitchen | Self::Office)
    }

    /// The five kinds that are at home here.
    #[must_use]
    pub fn typical(self) -> [Kind; 5] {
        use Kind::{
            Ball, Bike, Bird, Boat, Book, Car, Cat, Chair, Clock, Cup, Dog, Fish, Kite, Lamp, Tree,
            Umbrella,
        };
        match self {
            Self::Beach => [Ball, Bird, Boat, Kite, Umbrella],
            Self::Bedroom => [Ball, Book, Cat, Clock, Lamp],
            Self::Garden => [Bird, Cat, Chair, Fish, Tree],
            Self::Harbor => [Bird, Boat, Car, Fish, Umbrella],
            Self::Kitchen => [Cat, Chair, Clock, Cup, Fish],
            Self::Office => [Book, Chair, Clock, Cup, Lamp],
            Self::Park => [Ball, Bike, Dog, Kite, Tree],
            Self::Street => [Bike, Car, Dog, Lamp, Tree],
        }
    }

    /// The kind's share of this theme's objects; the shares of all kinds make 1.
    #[must_use]
    pub fn share(self, kind: Kind) -> f64 {
        if self.typical().contains(&kind) {
            TYPICAL_SHARE
        } else {
            OTHER_SHARE
        }
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_a_distribution() {
        for theme in Theme::ALL {
            let sum: f64 = Kind::ALL.iter().map(|&kind| theme.share(kind)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{theme}: {sum}");
            // Five distinct kinds can only be drawn when no share exceeds a fifth.
            assert!(Kind::ALL.iter().all(|&kind| theme.share(kind) <= 0.2));
        }
    }

    #[test]
    fn every_kind_is_at_home_in_two_themes_at_least() {
        for kind in Kind::ALL {
            let homes = Theme::ALL
                .iter()
                .filter(|theme| theme.typical().contains(&kind))
                .count();
            assert!(homes >= 2, "{kind} is at home in {homes} themes");
        }
    }
}
