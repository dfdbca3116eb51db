//! The evaluation sets, all on scenes that occur nowhere else, all worded like the training data.

pub mod chair;
pub mod llava_bench;
pub mod mmhal;
pub mod pope;
pub mod reward_pairs;

/// Fewest evaluation scenes the sets can be drawn from.
pub const MIN_SCENES: usize = 150;
