//! The decoder of LLaMA, and of Mistral and Qwen2, which are built like it.

pub(crate) mod attention;
mod block;
mod config;
pub(crate) mod decoder;
mod defaults;
pub(crate) mod layers;
pub(crate) mod rotary;

pub use attention::Visible;
pub(crate) use block::RmsNorm;
pub use config::{RopeParameters, RopeScaling, TextConfig};
pub use decoder::Decoder;
pub use layers::TARGETS;
pub use rotary::Rotary;
