//! Pictures: from a file to the numbers that a vision tower takes.
//!
//! [`decode()`] reads a file within limits, [`ImageProcessor`] fits and normalises it as Hugging Face's CLIP
//! processor does, [`load_batch`] does the first half of that for many files at once.

mod batch;
mod config;
mod decode;
mod jpeg;
mod processor;
mod resize;

pub use self::batch::load_batch;
pub use self::decode::{ImageLimits, decode, decode_bytes};
pub use self::processor::{CLIP_MEAN, CLIP_STD, Fit, ImageProcessor};
