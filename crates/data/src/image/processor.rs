//! What is done to an image between decoding and the vision tower.
//!
//! There are three ways, and a model's configuration says which is its own: to a square of one size
//! ([`SquareProcessor`]), to a size near the image's own ([`NativeProcessor`]), or to a square and tiles of the same size
//! ([`AnyresProcessor`]).

use std::path::Path;

use ::image::RgbImage;

use super::{
    AnyresClass, AnyresProcessor, Colours, Fit, ImageLimits, NativeProcessor, SquareProcessor,
    config, decode,
};
use crate::atomic;
use crate::error::DataError;

/// Width and height of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageSize {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl ImageSize {
    /// Of an image.
    #[must_use]
    pub fn of(image: &RgbImage) -> Self {
        let (width, height) = image.dimensions();
        Self { width, height }
    }

    /// Columns times rows.
    #[must_use]
    pub fn n_pixels(self) -> usize {
        self.width as usize * self.height as usize
    }
}

/// An image in the size that the tower takes, not normalised yet, so that it can be kept in a quarter of the memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fitted {
    /// Its size.
    pub size: ImageSize,
    /// Where it is seen in several views, its own size before; the views are squares and stand one below another.
    pub own: Option<ImageSize>,
    /// `[3, height, width]`, channel first.
    pub bytes: Vec<u8>,
}

impl Fitted {
    pub(super) fn of(image: &RgbImage) -> Self {
        let size = ImageSize::of(image);
        let plane = size.n_pixels();
        let mut bytes = vec![0; 3 * plane];
        for (i, pixel) in image.pixels().enumerate() {
            for (channel, &sample) in pixel.0.iter().enumerate() {
                bytes[channel * plane + i] = sample;
            }
        }
        Self {
            size,
            own: None,
            bytes,
        }
    }
}

/// An image that no tower sees anything in: one side is more than 200 times the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} x {} pixels, expected one side to be at most 200 times the other",
    .0.width,
    .0.height
)]
pub struct Misshapen(pub ImageSize);

impl Misshapen {
    /// The error of the image at `path`.
    #[must_use]
    pub fn at(self, path: &Path) -> DataError {
        DataError::Image {
            path: path.to_path_buf(),
            found: self.to_string(),
            remedy: "crop the image, or remove the rows that name it".into(),
        }
    }
}

/// How a model's images are fitted and normalised.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageProcessor {
    /// To a square, as CLIP and LLaVA take it.
    Square(SquareProcessor),
    /// To a size near its own, as Qwen-VL takes it.
    Native(NativeProcessor),
    /// To a square and to tiles, as LLaVA-NeXT and LLaVA-OneVision take it.
    Anyres(AnyresProcessor),
}

impl ImageProcessor {
    /// Squares of this size with CLIP's colours, padded as the paper pads.
    #[must_use]
    pub fn clip(size: u32) -> Self {
        Self::Square(SquareProcessor::clip(size))
    }

    /// Reads a Hugging Face `preprocessor_config.json`, or the `image_processor` of a `processor_config.json`.
    ///
    /// # Errors
    /// [`DataError`] if it cannot be read or asks for something that no way does.
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

    /// The same, but how an image becomes a square; where it does not become one, the same.
    #[must_use]
    pub fn with_fit(self, fit: Fit) -> Self {
        match self {
            Self::Square(square) => Self::Square(SquareProcessor { fit, ..square }),
            other @ (Self::Native(_) | Self::Anyres(_)) => other,
        }
    }

    /// The size that decides how many tokens an image of this size takes: that which it is fitted to, or its own where
    /// it is cut into tiles.
    ///
    /// # Errors
    /// [`Misshapen`], where the size follows the image's own.
    pub fn size_of(&self, image: ImageSize) -> Result<ImageSize, Misshapen> {
        match self {
            Self::Square(square) => Ok(square.size()),
            Self::Native(native) => native.size_of(image),
            Self::Anyres(_) => Ok(image),
        }
    }

    /// Bytes of all that [`ImageProcessor::fit`] and [`ImageProcessor::fit_among`] make of an image of this size.
    ///
    /// # Errors
    /// As [`ImageProcessor::size_of`].
    pub fn fitted_bytes(&self, image: ImageSize) -> Result<usize, Misshapen> {
        Ok(match self {
            Self::Square(_) | Self::Native(_) => 3 * self.size_of(image)?.n_pixels(),
            Self::Anyres(anyres) => anyres.fitted_bytes(image),
        })
    }

    /// The same of an image whose size is not known: of the one of which most is made.
    #[must_use]
    pub fn most_fitted_bytes(&self) -> usize {
        match self {
            Self::Square(square) => 3 * square.size().n_pixels(),
            Self::Native(native) => 3 * native.most_pixels(),
            Self::Anyres(anyres) => anyres.most_fitted_bytes(),
        }
    }

    /// Brings an image to the size that the tower takes.
    ///
    /// # Errors
    /// As [`ImageProcessor::size_of`].
    pub fn fit(&self, image: &RgbImage) -> Result<Fitted, Misshapen> {
        match self {
            Self::Square(square) => Ok(square.fit(image)),
            Self::Native(native) => native.fit(image),
            Self::Anyres(anyres) => Ok(anyres.fit(image)),
        }
    }

    /// The same for an image that is one of several in a text, where that makes another of it: LLaVA-OneVision sees each
    /// of them in one view, padded to a square.
    #[must_use]
    pub fn fit_among(&self, image: &RgbImage) -> Option<Fitted> {
        match self {
            Self::Anyres(anyres) => anyres.fit_among(image),
            Self::Square(_) | Self::Native(_) => None,
        }
    }

    /// Whether [`ImageProcessor::fit_among`] makes another image.
    #[must_use]
    pub fn sees_several_otherwise(&self) -> bool {
        match self {
            Self::Anyres(anyres) => anyres.class == AnyresClass::Onevision,
            Self::Square(_) | Self::Native(_) => false,
        }
    }

    /// Decodes the image at `path` and fits it.
    ///
    /// # Errors
    /// As [`decode()`], and [`DataError::Image`] if it is [`Misshapen`].
    pub fn load(&self, path: &Path, limits: &ImageLimits) -> Result<Fitted, DataError> {
        let image = decode(path, limits)?;
        self.fit(&image).map_err(|misshapen| misshapen.at(path))
    }

    /// Rescales a fitted image by 1/255 and normalises it.
    ///
    /// # Shapes
    /// Returns `[3, height, width]` f32, channel first.
    #[must_use]
    pub fn normalise(&self, fitted: &Fitted) -> Vec<f32> {
        self.colours().normalise(fitted)
    }

    /// Mean and spread of the colours.
    #[must_use]
    pub fn colours(&self) -> &Colours {
        match self {
            Self::Square(square) => &square.colours,
            Self::Native(native) => &native.colours,
            Self::Anyres(anyres) => &anyres.colours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Pinpoints;

    #[test]
    fn what_an_image_takes_is_known_from_its_size() {
        let native = NativeProcessor {
            patch_size: 2,
            merge_size: 2,
            temporal_patch_size: 2,
            min_pixels: 16,
            max_pixels: 900,
            colours: Colours::CLIP,
        };
        let anyres = |class| {
            ImageProcessor::Anyres(AnyresProcessor {
                side: 8,
                pinpoints: Pinpoints::new(vec![[8, 16], [16, 16]]),
                colours: Colours::CLIP,
                class,
            })
        };
        let image = RgbImage::new(40, 20);
        // A square; 40 by 20 pixels; two tiles of 8 by 8 and a view of the whole; and besides a view among several.
        for (processor, bytes) in [
            (ImageProcessor::clip(16), 3 * 256),
            (ImageProcessor::Native(native), 3 * 800),
            (anyres(AnyresClass::Next), 3 * (128 + 64)),
            (anyres(AnyresClass::Onevision), 3 * (128 + 2 * 64)),
        ] {
            let alone = processor.fit(&image).unwrap();
            let among = processor.fit_among(&image);
            let made = alone.bytes.len() + among.map_or(0, |among| among.bytes.len());
            assert_eq!(made, bytes);
            let size = ImageSize::of(&image);
            assert_eq!(processor.fitted_bytes(size).unwrap(), bytes);
            assert!(processor.most_fitted_bytes() >= bytes);
        }
    }
}
