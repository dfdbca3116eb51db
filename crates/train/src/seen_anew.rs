//! Whether images are kept as what the tower gave of them, or seen anew by every pass.

use candor_model::Vlm;

/// What an adapter of the tower means for a run, as runs and plans say it.
pub const SEEN_ANEW: &str =
    "an adapter changes the tower, so images are kept as pixels and go through it in every pass";

/// Tells the person who started the run if an adapter changes the tower, because passes take longer then.
pub fn say_seen_anew(stage: &str, model: &Vlm) {
    if model.sees_anew() {
        tracing::info!("{stage}: {SEEN_ANEW}");
    }
}
