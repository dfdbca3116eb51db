//! Qwen2-VL (arXiv 2409.12191) and Qwen2.5-VL (arXiv 2502.13923): a tower that takes images in their own size, a merger
//! that makes one token of four patches, and a Qwen2 decoder, which is a LLaMA whose queries, keys and values have biases,
//! with positions of three axes.

mod config;
mod merger;
mod tower;
mod windows;

pub use config::{Generation, QwenConfig, QwenVisionConfig};
pub(crate) use merger::Merger;
pub(crate) use tower::QwenTower;
