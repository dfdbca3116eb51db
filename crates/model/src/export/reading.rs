//! The files that stand beside weights and say how text and images are read.
//!
//! What the model's folder has is copied byte for byte. What the other format leaves to its code and this one has in
//! files is written: a chat template, the placeholder in the vocabulary, the settings of the processor.

use std::path::Path;

use candor_data::atomic;
use candor_data::image::{Fit, ImageProcessor};
use serde_json::{Value, json};

use super::{Export, TOWER};
use crate::{
    CheckpointFormat, FeatureSelect, IMAGE, LlavaConfig, LlavaKind, ModelConfig, ModelError,
    READING_FILES, Template, Tokenizer,
};

/// Files that only the processor of Hugging Face's format has.
const PROCESSOR: &str = "processor_config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";
/// The chat template of newer versions of transformers.
const CHAT_TEMPLATE: &str = "chat_template.jinja";
const TEMPLATE: &str = "template.json";
/// Files that say how turns become text.
const TEMPLATES: [&str; 3] = [TEMPLATE, CHAT_TEMPLATE, "chat_template.json"];
/// Files that make a tokenizer.
const TOKENIZER: [&str; 5] = [
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// What a model reads with.
#[derive(Debug)]
pub(super) struct Reading {
    pub tokenizer: Tokenizer,
    template: Template,
    pub processor: ImageProcessor,
    config: ModelConfig,
}

impl Reading {
    pub(super) fn of(model: crate::Reading) -> Self {
        Self {
            config: model.config().clone(),
            template: model.template,
            processor: model.processor,
            tokenizer: model.tokenizer,
        }
    }

    /// The model's configuration, with the placeholder's id.
    pub(super) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Writes or copies the files.
    pub(super) fn write(&self, export: &Export, folder: &Path) -> Result<(), ModelError> {
        let from = export.model.path();
        let hugging_face = export.checkpoint_format == CheckpointFormat::HuggingFace;
        // The vocabulary of an original LLaVA has no placeholder, and Hugging Face's processor looks for it there.
        let new_tokenizer = hugging_face && self.tokenizer.images_apart();
        for name in READING_FILES {
            let skipped = match name {
                _ if TOKENIZER.contains(&name) => new_tokenizer,
                // The original reads CLIP's, which stands in the tower's folder.
                PROCESSOR | PREPROCESSOR => !hugging_face,
                // What a decoder says of itself is not the template that it is joined with.
                _ if TEMPLATES.contains(&name) => export.model.is_joined(),
                _ => false,
            };
            if !skipped && from.join(name).is_file() {
                copy(&from.join(name), &folder.join(name))?;
            }
        }
        if new_tokenizer {
            self.tokenizer.save_folder(folder)?;
        }
        self.write_template(folder, new_tokenizer)?;
        let Some(config) = self.config.llava() else {
            return Ok(());
        };
        if hugging_face {
            self.write_processor(config, folder)
        } else {
            let square = self.processor.clone().with_fit(Fit::CenterCrop);
            Ok(square.write(&folder.join(TOWER).join(PREPROCESSOR))?)
        }
    }

    /// Writes LLaVA's formats in both languages: as candor's, because a folder's name may no longer say which it is,
    /// and as Jinja. A checkpoint's own template, which a trained model's folder has in candor's file alone, is written as
    /// Jinja for others as well.
    fn write_template(&self, folder: &Path, new_tokenizer: bool) -> Result<(), ModelError> {
        let template = folder.join(TEMPLATE);
        let is_candors = template.exists() && !folder.join("chat_template.json").exists();
        // The settings that a Jinja template runs with are the tokenizer's.
        let says_itself = matches!(self.template, Template::Jinja(_)) && !new_tokenizer;
        if !template.exists() && !says_itself {
            let text = serde_json::to_value(&self.template).unwrap_or_default();
            write_json(&template, &text)?;
        }
        let chat = folder.join(CHAT_TEMPLATE);
        // What candor does when it tokenises, others can only do with a space in the text.
        let space = if self.tokenizer.spaces_before_parts() {
            " "
        } else {
            ""
        };
        let jinja = match &self.template {
            Template::Jinja(own) => own.alone().filter(|_| is_candors).map(str::to_owned),
            other => other.as_jinja(space),
        };
        match jinja {
            Some(jinja) if !chat.exists() => Ok(atomic::write(&chat, jinja.as_bytes())?),
            _ => Ok(()),
        }
    }

    fn write_processor(&self, config: &LlavaConfig, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join(PREPROCESSOR);
        if !path.exists() && !folder.join(PROCESSOR).exists() {
            self.processor.write(&path)?;
        }
        let path = folder.join(PROCESSOR);
        if path.exists() {
            return Ok(());
        }
        let select = match config.vision_feature_select_strategy {
            FeatureSelect::Default => "default",
            FeatureSelect::Full => "full",
        };
        let kind = config.kind();
        let mut processor = json!({
            "processor_class": kind.processor_class(),
            "image_token": IMAGE,
            "vision_feature_select_strategy": select,
        });
        if kind == LlavaKind::Onevision {
            processor["num_image_tokens"] = json!(config.n_view_rows());
            processor["vision_aspect_ratio"] = json!(config.vision_aspect_ratio);
        } else {
            processor["patch_size"] = json!(config.vision_config.patch_size);
            processor["num_additional_image_tokens"] =
                json!(i64::from(config.vision_config.has_class_token()));
        }
        write_json(&path, &processor)
    }
}

pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    Ok(atomic::write(path, format!("{value:#}\n").as_bytes())?)
}

fn copy(from: &Path, to: &Path) -> Result<(), ModelError> {
    let copied = std::fs::copy(from, to).map(|_| ());
    copied.map_err(ModelError::io("copy", from))
}
