//! How many pixels a fitted image may have, where a model sees images near their own size.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::config::MAX_PIXELS;
use super::{ImageProcessor, NativeProcessor};

/// Bounds of a fitted image's pixels that take the place of those in the model's folder, as transformers' processors take
/// `min_pixels` and `max_pixels`; none leaves what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelBounds {
    /// The least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// The most, unless the image is one token high or wide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

impl PixelBounds {
    /// The largest bound that is no mistake.
    pub const MOST: u32 = MAX_PIXELS as u32;

    /// Those of a processor; none where it fits all images to the same size.
    #[must_use]
    pub fn of(processor: &ImageProcessor) -> Self {
        match processor {
            ImageProcessor::Native(native) => Self {
                min: Some(native.min_pixels),
                max: Some(native.max_pixels),
            },
            ImageProcessor::Square(_) | ImageProcessor::Anyres(_) => Self::default(),
        }
    }

    /// Whether nothing is bounded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for PixelBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |bound: Option<u32>| bound.map_or("any".to_owned(), |n| n.to_string());
        write!(f, "{} to {} pixels", told(self.min), told(self.max))
    }
}

impl ImageProcessor {
    /// The same within other bounds.
    ///
    /// # Errors
    /// Says why not: it fits all images to the same size, or the least is more than the most.
    pub fn within(self, bounds: PixelBounds) -> Result<Self, String> {
        let native = match self {
            other if bounds.is_none() => return Ok(other),
            Self::Native(native) => native,
            Self::Square(square) => {
                let side = square.side;
                return Err(format!(
                    "images are brought to squares of {side} pixels whatever their size, so `min_pixels` and `max_pixels` bound nothing"
                ));
            }
            Self::Anyres(anyres) => {
                let side = anyres.side;
                return Err(format!(
                    "images are seen in tiles of {side} pixels, so `min_pixels` and `max_pixels` bound nothing"
                ));
            }
        };
        let min_pixels = bounds.min.unwrap_or(native.min_pixels);
        let max_pixels = bounds.max.unwrap_or(native.max_pixels);
        if min_pixels > max_pixels {
            return Err(format!(
                "`min_pixels` is {min_pixels} and `max_pixels` {max_pixels}, of which what is not given is the folder's own"
            ));
        }
        Ok(Self::Native(NativeProcessor {
            min_pixels,
            max_pixels,
            ..native
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Colours, ImageSize};

    fn native() -> ImageProcessor {
        ImageProcessor::Native(NativeProcessor {
            patch_size: 14,
            merge_size: 2,
            temporal_patch_size: 2,
            min_pixels: 3136,
            max_pixels: 1_003_520,
            colours: Colours::CLIP,
        })
    }

    fn fitted(bounds: PixelBounds, width: u32, height: u32) -> (u32, u32) {
        let processor = native().within(bounds).unwrap();
        let size = processor.size_of(ImageSize { width, height }).unwrap();
        (size.width, size.height)
    }

    /// By `smart_resize` of transformers' `Qwen2VLImageProcessor`, worked out by hand: sides are multiples of 28.
    #[test]
    fn images_come_out_within_the_bounds_that_are_given() {
        let own = PixelBounds::default();
        assert_eq!(fitted(own, 640, 480), (644, 476));
        // Shrunk by √(640 · 480 / 50176) = 2.474…: 258.6 and 194.0, rounded down.
        let max = PixelBounds {
            max: Some(64 * 784),
            ..own
        };
        assert_eq!(fitted(max, 640, 480), (252, 168));
        // Grown by √(200704 / 20000) = 3.167…: 633.6 and 316.8, rounded up.
        let min = PixelBounds {
            min: Some(256 * 784),
            ..own
        };
        assert_eq!(fitted(min, 200, 100), (644, 336));
    }

    #[test]
    fn bounds_that_bound_nothing_are_refused() {
        let bounds = PixelBounds {
            min: None,
            max: Some(50_000),
        };
        let message = ImageProcessor::clip(336).within(bounds).unwrap_err();
        assert!(message.contains("squares of 336 pixels"), "{message}");
        assert!(
            ImageProcessor::clip(336)
                .within(PixelBounds::default())
                .is_ok()
        );
        let crossed = PixelBounds {
            min: Some(50_001),
            ..bounds
        };
        let message = native().within(crossed).unwrap_err();
        assert!(
            message.contains("50001") && message.contains("50000"),
            "{message}"
        );
        // One of them beside the folder's own.
        let above = PixelBounds {
            min: Some(2_000_000),
            max: None,
        };
        let message = native().within(above).unwrap_err();
        assert!(message.contains("1003520"), "{message}");
    }
}
