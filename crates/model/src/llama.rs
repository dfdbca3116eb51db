//! A LLaMA decoder.

pub(crate) mod attention;
mod block;
mod config;
pub(crate) mod decoder;
mod defaults;
pub(crate) mod layers;
pub(crate) mod rotary;

pub use attention::Visible;
pub(crate) use block::RmsNorm;
pub use config::{RopeParameters, TextConfig};
pub use decoder::Decoder;
pub use layers::TARGETS;
pub use rotary::Rotary;
