//! A model folder as a whole: weights, tokenizer, template and image processor belong together.
//!
//! Beside Hugging Face's own files (`config.json`, weights, `tokenizer.json`, `preprocessor_config.json`) stands `template.json`, which says how turns become text. A published checkpoint has
//! none: then its chat template or its name says it ([`Template::of_folder`]), and its tokenizer may be a
//! `tokenizer.model` ([`Tokenizer::open_folder`]).

use std::path::Path;

use candor_data::image::ImageProcessor;
use tch::Device;

use crate::image_tokens::{ImageSource, ImageTokens};
use crate::precision::Precision;
use crate::sample::SampleRules;
use crate::{
    ModelError, ModelFolder, Reading, Template, Tokenizer, Vlm, generation_config, preflight,
};

/// The files of a model folder, besides configuration and weights, that decide what the model reads and sees, and
/// where it ends. No folder has all of them.
pub const READING_FILES: [&str; 11] = [
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "template.json",
    "chat_template.jinja",
    "chat_template.json",
    "processor_config.json",
    "preprocessor_config.json",
    generation_config::GENERATION_CONFIG,
];

/// A model with everything it takes to talk to it.
#[derive(Debug)]
pub struct Bundle {
    /// The weights.
    pub model: Vlm,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Turns to text.
    pub template: Template,
    /// Files to pixels.
    pub processor: ImageProcessor,
}

impl Bundle {
    /// Opens a model folder, or `org/name` in the cache of Hugging Face.
    ///
    /// # Errors
    /// A file is missing or damaged, or two of them do not fit together.
    pub fn open(
        folder: &Path,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        Self::load(ModelFolder::find(folder)?, device, precision)
    }

    /// Reads a model that was found, once its parts are known to fit together ([`preflight`]): whatever is wrong with
    /// them is said before gigabytes are read.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn load(
        folder: ModelFolder,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        let reading = Reading::of(folder)?;
        preflight::check(&reading)?;
        let model = Vlm::load(&reading.folder, device, precision)?;
        let Reading {
            tokenizer,
            template,
            processor,
            ..
        } = reading;
        Ok(Self {
            model,
            tokenizer,
            template,
            processor,
        })
    }

    /// Writes the folder.
    ///
    /// # Errors
    /// A file cannot be written, or the model is quantised.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        // First, because it is what may be refused.
        self.model.save(folder)?;
        let path = folder.join("template.json");
        let json = serde_json::to_vec_pretty(&self.template).map_err(|e| ModelError::Config {
            path: path.clone(),
            problem: e.to_string(),
            remedy: "the template must be plain text",
        })?;
        candor_data::atomic::write(&path, &json)?;
        self.tokenizer.save_folder(folder)?;
        generation_config::write(folder, self.tokenizer.ends)?;
        self.processor
            .write(&folder.join("preprocessor_config.json"))?;
        Ok(())
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
            images: ImageTokens::new(self.model.config(), &self.processor, images.into()),
            max_tokens,
        }
    }
}
