//! What occurs with what, counted over the training scenes: the prior a model may pick up, and the ground of
//! POPE's popular and adversarial questions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::scene::Scene;
use crate::theme::Theme;

/// Counts over scenes; a kind counts once per scene however many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Scenes counted.
    pub n_scenes: usize,
    /// Scenes of each theme.
    pub theme_scenes: BTreeMap<Theme, usize>,
    /// Scenes of each theme that have the kind.
    pub theme_kind_scenes: BTreeMap<Theme, BTreeMap<Kind, usize>>,
    /// Scenes that have both kinds; on the diagonal, that have the kind.
    pub pair_scenes: BTreeMap<Kind, BTreeMap<Kind, usize>>,
}

impl Statistics {
    /// Counts the scenes.
    #[must_use]
    pub fn count(scenes: &[Scene]) -> Self {
        let none: BTreeMap<Kind, usize> = Kind::ALL.into_iter().map(|kind| (kind, 0)).collect();
        let mut all = Self {
            n_scenes: scenes.len(),
            theme_scenes: Theme::ALL.into_iter().map(|theme| (theme, 0)).collect(),
            theme_kind_scenes: Theme::ALL.into_iter().map(|t| (t, none.clone())).collect(),
            pair_scenes: Kind::ALL.into_iter().map(|k| (k, none.clone())).collect(),
        };
        for scene in scenes {
            *all.theme_scenes.entry(scene.theme).or_default() += 1;
            let kinds = scene.kinds();
            for &kind in &kinds {
                let of_theme = all.theme_kind_scenes.entry(scene.theme).or_default();
                *of_theme.entry(kind).or_default() += 1;
                for &other in &kinds {
                    let of_kind = all.pair_scenes.entry(kind).or_default();
                    *of_kind.entry(other).or_default() += 1;
                }
            }
        }
        all
    }

    /// Scenes that have both kinds.
    #[must_use]
    pub fn pair(&self, a: Kind, b: Kind) -> usize {
        let of_kind = self.pair_scenes.get(&a);
        of_kind
            .and_then(|counts| counts.get(&b))
            .copied()
            .unwrap_or(0)
    }

    /// Scenes that have the kind.
    #[must_use]
    pub fn scenes_with(&self, kind: Kind) -> usize {
        self.pair(kind, kind)
    }

    /// The part of the theme's scenes that have the kind.
    #[must_use]
    pub fn chance(&self, theme: Theme, kind: Kind) -> f64 {
        let of_theme = self.theme_kind_scenes.get(&theme);
        let with = of_theme
            .and_then(|counts| counts.get(&kind))
            .copied()
            .unwrap_or(0);
        let total = self.theme_scenes.get(&theme).copied().unwrap_or(0).max(1);
        with as f64 / total as f64
    }
}
