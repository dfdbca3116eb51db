//! LLaVA and LLaVA-1.5 (arXiv 2304.08485, 2310.03744): a CLIP tower, a projector of one or two layers and a LLaMA; LLaVA-NeXT
//! (1.6), which sees an image as a whole and in tiles; and LLaVA-OneVision (arXiv 2408.03326), the same with a SigLIP tower.

mod config;
mod defaults;
pub(crate) mod projector;
pub(crate) mod tiles;

pub use config::{Activation, FeatureLayers, FeatureSelect, LlavaConfig, LlavaKind, ProjectorKind};
