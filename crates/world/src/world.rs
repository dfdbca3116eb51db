//! A world: all scenes of all splits, none of them twice.

use std::collections::BTreeSet;

use crate::config::WorldConfig;
use crate::error::WorldError;
use crate::scene::{Scene, Split};

/// Redraws of a scene whose content exists already before the configuration is refused.
const MAX_ATTEMPTS: u64 = 64;

/// All scenes, in the order of their ids.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    config: WorldConfig,
    scenes: Vec<Scene>,
}

impl World {
    /// Draws all scenes. The same configuration gives the same world on every machine.
    ///
    /// # Errors
    /// [`WorldError::Config`] when a field cannot be met.
    pub fn generate(config: &WorldConfig) -> Result<Self, WorldError> {
        config.check()?;
        let sizes = [
            config.n_train,
            config.n_preference,
            config.n_rl,
            config.n_eval,
        ];
        let mut scenes = Vec::with_capacity(sizes.iter().sum());
        let mut seen = BTreeSet::new();
        for (split, size) in Split::ALL.into_iter().zip(sizes) {
            for _ in 0..size {
                let id = scenes.len() as u64 + 1;
                let scene = (0..MAX_ATTEMPTS)
                    .map(|attempt| Scene::draw(config, id, split, attempt))
                    .find(|scene| seen.insert(scene.content()))
                    .ok_or_else(|| WorldError::Config {
                        field: "n_train",
                        found: format!("too many scenes for all to differ (at scene {id})"),
                        remedy: "ask for fewer scenes",
                    })?;
                scenes.push(scene);
            }
        }
        Ok(Self {
            config: config.clone(),
            scenes,
        })
    }

    /// What the world was built from.
    #[must_use]
    pub fn config(&self) -> &WorldConfig {
        &self.config
    }

    /// All scenes.
    #[must_use]
    pub fn scenes(&self) -> &[Scene] {
        &self.scenes
    }

    /// The scenes of one split.
    #[must_use]
    pub fn split(&self, split: Split) -> &[Scene] {
        let start = self.scenes.partition_point(|scene| scene.split < split);
        let end = self.scenes.partition_point(|scene| scene.split <= split);
        &self.scenes[start..end]
    }
}
