//! CLIP's vision tower.

mod config;
mod defaults;
mod tower;

pub use config::VisionConfig;
pub use tower::VisionTower;
