//! A picture becomes the normalised square that a CLIP tower takes.
//!
//! # Reference
//! Hugging Face's `CLIPImageProcessor` (resize the shortest edge, crop the centre) and, for the LLaVA models
//! of the paper, padding to a square with the mean colour before that. Resizing is Pillow's bicubic on
//! 8-bit samples: the intermediate image is rounded to bytes, and so is ours.

use std::path::Path;

use ::image::{Rgb, RgbImage, imageops};

use super::config;
use super::resize::{Part, bicubic, bicubic_part};
use crate::atomic;
use crate::error::DataError;

/// Mean colour that CLIP was trained with.
pub const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Standard deviation of colour that CLIP was trained with.
pub const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// How a picture that is not square becomes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Pad the shorter sides with the mean colour: nothing is lost. What the paper's models see.
    Pad,
    /// Resize the shortest edge and crop the centre: what CLIP itself was trained on.
    CenterCrop,
}

/// What is done to a picture between decoding and the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageProcessor {
    /// Side of the square, in pixels.
    pub size: u32,
    /// Mean per channel, of values in `[0, 1]`.
    pub mean: [f64; 3],
    /// Standard deviation per channel, of values in `[0, 1]`.
    pub std: [f64; 3],
    /// How the picture becomes a square.
    pub fit: Fit,
}

impl ImageProcessor {
    /// CLIP's colours at this size, padded as the paper pads.
    #[must_use]
    pub fn clip(size: u32) -> Self {
        Self {
            size,
            mean: CLIP_MEAN,
            std: CLIP_STD,
            fit: Fit::Pad,
        }
    }

    /// Reads a Hugging Face `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`DataError`] if it cannot be read or asks for something that this processor does not do.
    pub fn from_file(path: &Path) -> Result<Self, DataError> {
        config::read(path)
    }

    /// The `preprocessor_config.json` that transformers opens as the same processor.
    #[must_use]
    pub fn to_config(&self) -> String {
        config::render(self)
    }

    /// Writes [`ImageProcessor::to_config`] to `path`.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        atomic::write(path, self.to_config().as_bytes())
    }

    /// Bytes that one fitted picture takes: `3 × size × size`.
    #[must_use]
    pub fn n_bytes(&self) -> usize {
        3 * (self.size as usize) * (self.size as usize)
    }

    /// Fits the picture to the square without normalising it, so that it can be kept in a quarter of the
    /// memory.
    ///
    /// # Shapes
    /// Returns `[3, size, size]` bytes, channel first.
    #[must_use]
    pub fn fit_bytes(&self, picture: &RgbImage) -> Vec<u8> {
        let square = match self.fit {
            Fit::Pad => self.pad(picture),
            Fit::CenterCrop => self.crop(picture),
        };
        let plane = self.n_bytes() / 3;
        let mut channels = vec![0; self.n_bytes()];
        for (i, pixel) in square.pixels().enumerate() {
            for (channel, &sample) in pixel.0.iter().enumerate() {
                channels[channel * plane + i] = sample;
            }
        }
        channels
    }

    /// Rescales by 1/255 and normalises pictures that [`ImageProcessor::fit_bytes`] made.
    ///
    /// # Shapes
    /// `fitted`: `[n, 3, size, size]` bytes; returns the same shape as f32.
    ///
    /// # Panics
    /// If `fitted` does not hold whole pictures of this size.
    #[must_use]
    pub fn normalise(&self, fitted: &[u8]) -> Vec<f32> {
        assert_eq!(
            fitted.len() % self.n_bytes().max(1),
            0,
            "fitted pictures of another size"
        );
        // A byte has 256 values, so the arithmetic is done once for each of them.
        let tables: Vec<[f32; 256]> = (0..3)
            .map(|channel| {
                let (mean, std) = (self.mean[channel] as f32, self.std[channel] as f32);
                std::array::from_fn(|byte| ((byte as f64 / 255.0) as f32 - mean) / std)
            })
            .collect();
        let plane = self.n_bytes() / 3;
        fitted
            .iter()
            .enumerate()
            .map(|(i, &byte)| tables[(i / plane) % 3][usize::from(byte)])
            .collect()
    }

    /// Fits and normalises one picture.
    ///
    /// # Shapes
    /// Returns `[3, size, size]` f32, channel first.
    #[must_use]
    pub fn process(&self, picture: &RgbImage) -> Vec<f32> {
        self.normalise(&self.fit_bytes(picture))
    }

    fn pad(&self, picture: &RgbImage) -> RgbImage {
        let (width, height) = picture.dimensions();
        if width == height {
            return bicubic(picture, self.size, self.size);
        }
        let side = width.max(height);
        // The reference truncates, so 0.4815 becomes 122 and not 123.
        let colour = Rgb(self.mean.map(|mean| (mean * 255.0) as u8));
        let mut square = RgbImage::from_pixel(side, side, colour);
        let (left, top) = ((side - width) / 2, (side - height) / 2);
        imageops::replace(&mut square, picture, i64::from(left), i64::from(top));
        bicubic(&square, self.size, self.size)
    }

    fn crop(&self, picture: &RgbImage) -> RgbImage {
        let (width, height) = picture.dimensions();
        let (short, long) = (width.min(height), width.max(height));
        let scaled = |edge: u32| {
            if edge == short {
                self.size
            } else {
                // Hugging Face divides in floating point and truncates.
                (f64::from(self.size) * f64::from(long) / f64::from(short)) as u32
            }
        };
        let (width, height) = (scaled(width), scaled(height));
        let centre = Part {
            left: (width - self.size) / 2,
            top: (height - self.size) / 2,
            width: self.size,
            height: self.size,
        };
        bicubic_part(picture, width, height, &centre)
    }
}
