//! How many tokens an image takes, known before it is decoded: tokenising comes first, and many images are never shown.

use std::collections::HashMap;
use std::path::Path;

use candor_data::image::{ImageLimits, ImageProcessor, ImageSize, measure, measure_bytes};

use crate::image_features::{ImageFeatures, path_in};
use crate::{ModelConfig, ModelError};

/// Where images can be measured whose sizes decide their numbers of tokens.
#[derive(Debug, Clone, Copy)]
pub enum ImageSource<'a> {
    /// Their files are in this folder.
    Folder(&'a Path),
    /// They have been encoded ([`ImageFeatures::n_tokens`]).
    Encoded(&'a HashMap<String, usize>),
}

impl<'a> From<&'a Path> for ImageSource<'a> {
    fn from(folder: &'a Path) -> Self {
        Self::Folder(folder)
    }
}

impl<'a> From<&'a ImageFeatures> for ImageSource<'a> {
    fn from(features: &'a ImageFeatures) -> Self {
        Self::Encoded(features.n_tokens())
    }
}

/// How many tokens images take.
#[derive(Debug, Clone, Copy)]
pub enum ImageTokens<'a> {
    /// All of them so many.
    Each(usize),
    /// As many as their sizes ask for.
    Measured(Measure<'a>, ImageSource<'a>),
}

/// What makes a number of tokens of a size.
#[derive(Debug, Clone, Copy)]
pub struct Measure<'a> {
    config: &'a ModelConfig,
    processor: &'a ImageProcessor,
}

impl<'a> ImageTokens<'a> {
    /// Of a model's images.
    pub(crate) fn new(
        config: &'a ModelConfig,
        processor: &'a ImageProcessor,
        source: ImageSource<'a>,
    ) -> Self {
        match config.n_tokens_of_all() {
            Some(n) => Self::Each(n),
            None => Self::Measured(Measure { config, processor }, source),
        }
    }

    /// Of the one image that these bytes are, which errors call `name`.
    ///
    /// # Errors
    /// They are no image, or one of a size that the model does not take.
    pub fn held(self, name: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        match self {
            Self::Each(_) => Ok(self),
            Self::Measured(by, _) => {
                let size = measure_bytes(name, bytes, &ImageLimits::default())?;
                by.tokens(name, size).map(Self::Each)
            }
        }
    }

    /// Whether an image that is one of several is seen otherwise than alone, which these numbers do not know.
    pub(crate) fn differ_among_several(self) -> bool {
        match self {
            Self::Each(_) => false,
            Self::Measured(by, _) => by.processor.sees_several_otherwise(),
        }
    }

    /// Tokens of the image with this file name.
    ///
    /// # Errors
    /// Its file is missing or no image, its size is one that the model does not take, or it was never encoded.
    pub fn of(self, name: &str) -> Result<usize, ModelError> {
        match self {
            Self::Each(n) => Ok(n),
            Self::Measured(by, ImageSource::Folder(folder)) => {
                let path = path_in(folder, name)?;
                by.tokens(&path, measure(&path, &ImageLimits::default())?)
            }
            Self::Measured(_, ImageSource::Encoded(n_tokens)) => {
                let found = n_tokens.get(name).copied();
                found.ok_or_else(|| ModelError::Prompt {
                    sample: name.to_owned(),
                    problem: "the image was not encoded".to_owned(),
                    remedy: "encode the images of all rows first",
                })
            }
        }
    }
}

impl Measure<'_> {
    /// Tokens of an image of this size, which errors call `name`.
    fn tokens(self, name: &Path, size: ImageSize) -> Result<usize, ModelError> {
        let fitted = self.processor.size_of(size);
        let fitted = fitted.map_err(|misshapen| misshapen.at(name))?;
        Ok(self.config.n_image_tokens(fitted))
    }
}
