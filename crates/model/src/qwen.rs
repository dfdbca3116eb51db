//! Qwen2-VL (arXiv 2409.12191), Qwen2.5-VL (arXiv 2502.13923) and Qwen3-VL (arXiv 2511.21631): a tower that takes images
//! in their own size, a merger that makes one token of four patches, and a decoder with positions of three axes: Qwen2's,
//! which is a LLaMA whose queries, keys and values have biases, or Qwen3's, whose queries and keys have norms instead.

mod block;
mod config;
mod merger;
mod places;
mod tower;
mod windows;

pub use config::{Generation, QwenConfig, QwenSizes, QwenVisionConfig, TowerBlocks};
pub(crate) use merger::Mergers;
pub(crate) use tower::QwenTower;
