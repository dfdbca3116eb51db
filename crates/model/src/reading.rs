//! All of a model but its weights' values: what it takes to say what a model is, to render and tokenise for it, and to
//! tell whether its parts fit together, at once and in little memory.

use std::path::Path;

use candor_data::image::ImageProcessor;

use crate::image_tokens::{ImageSource, ImageTokens};
use crate::sample::SampleRules;
use crate::{ModelConfig, ModelError, ModelFolder, Template, Tokenizer};

/// A model folder with what its model reads and sees through.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The folder, its format and the sizes.
    pub folder: ModelFolder,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Turns to text.
    pub template: Template,
    /// Files to pixels.
    pub processor: ImageProcessor,
}

impl Reading {
    /// Reads a model folder, or `org/name` in the cache of Hugging Face; no weights.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn open(name: &Path) -> Result<Self, ModelError> {
        Self::of(ModelFolder::find(name)?)
    }

    /// Reads a folder that was found.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn of(folder: ModelFolder) -> Result<Self, ModelError> {
        let mut tokenizer = Tokenizer::open_folder(folder.path())?;
        if folder
            .config()
            .llava()
            .is_some_and(|c| c.mm_use_im_start_end)
        {
            tokenizer.mark_images()?;
        }
        let template = folder.template()?;
        let processor = folder.processor()?;
        Ok(Self {
            folder: folder.with_image_token(tokenizer.image),
            tokenizer,
            template,
            processor,
        })
    }

    /// The sizes.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        self.folder.config()
    }

    /// Tokens that one sequence may have.
    #[must_use]
    pub fn n_positions(&self) -> usize {
        self.config().n_positions()
    }

    /// What tokenising a conversation needs to know; `images` are where its image is.
    #[must_use]
    pub fn rules<'a>(
        &'a self,
        max_tokens: usize,
        images: impl Into<ImageSource<'a>>,
    ) -> SampleRules<'a> {
        SampleRules {
            tokenizer: &self.tokenizer,
            template: &self.template,
            images: ImageTokens::new(self.config(), &self.processor, images.into()),
            max_tokens,
        }
    }
}
