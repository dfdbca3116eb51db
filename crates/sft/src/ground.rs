//! Stage 0 for towers that have never seen anything: learn to see, patch by patch.
//!
//! The paper starts from a pretrained CLIP tower; the micro-world has none, and a tower trained only through
//! the decoder's loss does not learn to see in minutes. So every patch, of a Qwen-VL all patches of a token together, is
//! asked which kind of object has its centre there, if any, and with which attributes (colour, size). Afterwards the
//! probe is thrown away, and the tower is frozen as CLIP is. Users with real checkpoints never run this stage.

mod family;
mod labels;
mod model;
mod recipe;
mod run;
mod sizes;

pub use family::FreshModel;
pub use labels::{GroundTruth, PatchLabels};
pub use recipe::GroundRecipe;
pub use run::{GroundMetrics, run};
