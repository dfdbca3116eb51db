//! CLIP's vision tower.

mod config;
mod defaults;
mod tower;

pub use config::VisionConfig;
pub(crate) use tower::LayerNorm;
pub use tower::VisionTower;
