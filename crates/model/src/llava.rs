//! LLaVA and LLaVA-1.5 (arXiv 2304.08485, 2310.03744): a CLIP tower, a projector of one or two layers and a LLaMA.

mod config;
mod defaults;
pub(crate) mod projector;

pub use config::{Activation, FeatureSelect, LlavaConfig, ProjectorKind};
