//! The evaluation sets.

/// Fewest evaluation scenes the sets can be drawn from.
pub const MIN_SCENES: usize = 150;
