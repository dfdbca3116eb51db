//! An image keeps nearly its own size and shape, as the towers of Qwen-VL take it.
//!
//! Both sides become multiples of what one token of the language model covers, and the number of pixels stays within
//! bounds. How many tokens an image takes follows from that.
//!
//! # Reference
//! Hugging Face's `Qwen2VLImageProcessorPil`: `smart_resize`, and Pillow's bicubic on 8-bit samples. Where torchvision is
//! installed, transformers resizes with that instead, and comes out up to 2/255 apart. Cutting the image into patches
//! is left to the tower.

use ::image::RgbImage;

use super::resize::bicubic;
use super::{Colours, Fitted, ImageSize, Misshapen};

/// One side may be so many times the other.
const LARGEST_RATIO: f64 = 200.0;

/// Fits every image to a size near its own.
#[derive(Debug, Clone, PartialEq)]
pub struct NativeProcessor {
    /// Side of a patch, in pixels.
    pub patch_size: u32,
    /// Patches of a token, along each side.
    pub merge_size: u32,
    /// Frames of a patch; an image is repeated for each of them.
    pub temporal_patch_size: u32,
    /// A fitted image has at least so many pixels.
    pub min_pixels: u32,
    /// A fitted image has at most so many pixels, unless it is one token high or wide.
    pub max_pixels: u32,
    /// Mean and spread of the colours.
    pub colours: Colours,
}

impl NativeProcessor {
    /// Side of what one token covers, in pixels.
    #[must_use]
    pub fn token_side(&self) -> u32 {
        self.patch_size * self.merge_size
    }

    /// The size that an image of this size is fitted to.
    ///
    /// # Errors
    /// [`Misshapen`].
    pub fn size_of(&self, image: ImageSize) -> Result<ImageSize, Misshapen> {
        let sides = [f64::from(image.width), f64::from(image.height)];
        let (short, long) = (sides[0].min(sides[1]), sides[0].max(sides[1]));
        if short < 1.0 || long / short > LARGEST_RATIO {
            return Err(Misshapen(image));
        }
        let token = f64::from(self.token_side());
        let (min, max) = (f64::from(self.min_pixels), f64::from(self.max_pixels));
        let n_pixels = short * long;
        // As Python rounds: halves to the even number. A side that rounds to nothing makes an area below the least.
        let rounded = sides.map(|side| (side / token).round_ties_even() * token);
        let area = rounded[0] * rounded[1];
        let fitted = if area > max {
            let shrink = (n_pixels / max).sqrt();
            sides.map(|side| ((side / shrink / token).floor() * token).max(token))
        } else if area < min {
            let grow = (min / n_pixels).sqrt();
            sides.map(|side| (side * grow / token).ceil() * token)
        } else {
            rounded
        };
        Ok(ImageSize {
            width: fitted[0] as u32,
            height: fitted[1] as u32,
        })
    }

    /// Pixels of the largest fitted image.
    pub(super) fn most_pixels(&self) -> usize {
        let token = self.token_side() as usize;
        // An image that is one token high has no bound but its shape.
        (self.max_pixels as usize).max(LARGEST_RATIO as usize * token * token)
    }

    pub(super) fn fit(&self, image: &RgbImage) -> Result<Fitted, Misshapen> {
        let ImageSize { width, height } = self.size_of(ImageSize::of(image))?;
        Ok(Fitted::of(&bicubic(image, width, height)))
    }
}
