//! A model folder as a whole: weights, tokenizer, template and image processor belong together.
//!
//! Beside Hugging Face's own files (`config.json`, weights, `tokenizer.json`, `preprocessor_config.json`) stands `template.json`, which says how turns become text. A published checkpoint has
//! none: then its chat template or its name says it ([`Template::of_folder`]), and its tokenizer may be a
//! `tokenizer.model` ([`Tokenizer::open_folder`]).

use std::path::Path;

use candor_data::image::ImageProcessor;
use tch::Device;

use crate::precision::Precision;
use crate::sample::SampleRules;
use crate::{Llava, ModelError, ModelFolder, Template, Tokenizer};

/// The files of a model folder, besides configuration and weights, that decide what the model reads and sees. No
/// folder has all of them.
pub const READING_FILES: [&str; 10] = [
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
];

/// A model with everything it takes to talk to it.
#[derive(Debug)]
pub struct Bundle {
    /// The weights.
    pub model: Llava,
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

    /// Reads a model that was found, small files first: whatever is wrong with them is said before gigabytes are read.
    ///
    /// # Errors
    /// As [`Bundle::open`].
    pub fn load(
        folder: ModelFolder,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        let mut tokenizer = Tokenizer::open_folder(folder.path())?;
        if folder.config().mm_use_im_start_end {
            tokenizer.mark_images()?;
        }
        let template = Template::of_folder(folder.path())?;
        let processor = folder.processor()?;
        let folder = folder.with_image_token(tokenizer.image);
        check(&folder, &tokenizer, &processor)?;
        Ok(Self {
            model: Llava::load(&folder, device, precision)?,
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
        self.processor
            .write(&folder.join("preprocessor_config.json"))?;
        Ok(())
    }

    /// What tokenising a conversation needs to know.
    #[must_use]
    pub fn rules(&self, max_tokens: usize) -> SampleRules<'_> {
        SampleRules {
            tokenizer: &self.tokenizer,
            template: &self.template,
            n_image_tokens: self.model.config().n_image_tokens(),
            max_tokens,
        }
    }
}

/// Whether the parts fit together; what does not would otherwise show as nonsense much later.
fn check(
    folder: &ModelFolder,
    tokenizer: &Tokenizer,
    processor: &ImageProcessor,
) -> Result<(), ModelError> {
    let config = folder.config();
    let refuse = |file: &str, problem: String, remedy| {
        Err(ModelError::Config {
            path: folder.path().join(file),
            problem,
            remedy,
        })
    };
    let same_model = "use the tokenizer of the same model";
    let (rows, ids) = (config.text_config.vocab_size, tokenizer.n_embedded() as i64);
    if ids > rows {
        let problem = format!("{ids} token ids, but the embedding has {rows} rows");
        return refuse("tokenizer.json", problem, same_model);
    }
    if config.image_token_index != tokenizer.image {
        let problem = format!(
            "image_token_index is {}, but the tokenizer's `<image>` is {}",
            config.image_token_index, tokenizer.image
        );
        return refuse("config.json", problem, same_model);
    }
    let (side, pixels) = (config.vision_config.image_size, i64::from(processor.size));
    if side != pixels {
        let problem = format!(
            "images of {pixels} pixels, but the tower takes {side}, and its positions are not interpolated"
        );
        let remedy = "use the processor of the same tower";
        return refuse("preprocessor_config.json", problem, remedy);
    }
    Ok(())
}
