//! Images: from a file to the numbers that a vision tower takes.
//!
//! [`decode()`] reads a file within limits and [`measure()`] only its size; [`ImageProcessor`] fits and normalises it as
//! Hugging Face's processors of CLIP, of LLaVA-NeXT and OneVision and of Qwen-VL do, [`load_batch`] does the first half of
//! that for many files at once.

mod anyres;
mod batch;
mod bounds;
mod colours;
mod config;
mod decode;
mod jpeg;
mod measure;
mod native;
mod processor;
mod resize;
mod square;

pub use self::anyres::{AnyresClass, AnyresProcessor, Pinpoints};
pub use self::batch::load_batch;
pub use self::bounds::PixelBounds;
pub use self::colours::{CLIP_MEAN, CLIP_STD, Colours};
pub use self::decode::{ImageLimits, decode, decode_bytes};
pub use self::measure::{measure, measure_bytes};
pub use self::native::NativeProcessor;
pub use self::processor::{Fitted, ImageProcessor, ImageSize, Misshapen};
pub use self::square::{Fit, SquareProcessor};
