//! An image becomes the square that a CLIP tower takes.
//!
//! # Reference
//! Hugging Face's `CLIPImageProcessor` (resize the shortest edge, crop the centre) and, for the LLaVA models
//! of the paper, padding to a square with the mean colour before that. Resizing is Pillow's bicubic on
//! 8-bit samples: the intermediate image is rounded to bytes, and so is ours.

use ::image::RgbImage;

use super::resize::{OnGround, Part, bicubic_on_ground, bicubic_part};
use super::{Colours, Fitted, ImageSize};

/// How an image that is not square becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Pad the shorter sides with the mean colour: nothing is lost. What the paper's models see.
    Pad,
    /// Resize the shortest edge and crop the centre: what CLIP itself was trained on.
    CenterCrop,
}

/// Fits every image to one square.
#[derive(Debug, Clone, PartialEq)]
pub struct SquareProcessor {
    /// Side of the square, in pixels.
    pub side: u32,
    /// How the image becomes a square.
    pub fit: Fit,
    /// Mean and spread of the colours.
    pub colours: Colours,
}

impl SquareProcessor {
    /// CLIP's colours at this size, padded as the paper pads.
    #[must_use]
    pub fn clip(side: u32) -> Self {
        Self {
            side,
            fit: Fit::Pad,
            colours: Colours::CLIP,
        }
    }

    pub(super) fn size(&self) -> ImageSize {
        ImageSize {
            width: self.side,
            height: self.side,
        }
    }

    pub(super) fn fit(&self, image: &RgbImage) -> Fitted {
        Fitted::of(&match self.fit {
            Fit::Pad => self.pad(image),
            Fit::CenterCrop => self.crop(image),
        })
    }

    fn pad(&self, image: &RgbImage) -> RgbImage {
        let (width, height) = image.dimensions();
        let side = width.max(height);
        let square = OnGround {
            image,
            width: side,
            height: side,
            left: (side - width) / 2,
            top: (side - height) / 2,
            // The reference truncates, so 0.4815 becomes 122 and not 123.
            colour: self.colours.mean.map(|mean| (mean * 255.0) as u8),
        };
        bicubic_on_ground(&square, self.side, self.side)
    }

    fn crop(&self, image: &RgbImage) -> RgbImage {
        let (width, height) = image.dimensions();
        let (short, long) = (width.min(height), width.max(height));
        let scaled = |edge: u32| {
            if edge == short {
                self.side
            } else {
                // Hugging Face divides in floating point and truncates.
                (f64::from(self.side) * f64::from(long) / f64::from(short)) as u32
            }
        };
        let (width, height) = (scaled(width), scaled(height));
        let centre = Part {
            left: (width - self.side) / 2,
            top: (height - self.side) / 2,
            width: self.side,
            height: self.side,
        };
        bicubic_part(image, width, height, &centre)
    }
}
