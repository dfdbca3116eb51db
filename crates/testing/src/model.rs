//! A tiny model that was never trained.

use std::path::Path;

use candor_data::image::ImageProcessor;
use candor_model::{Bundle, LlavaConfig, Template, Tokenizer, Vlm};
use serde_json::json;
use tch::{Device, Kind};

/// Tokens of an image, whatever its pixels: two rows of two patches.
pub const N_IMAGE_TOKENS: usize = 4;

/// What a tiny model is made of: a decoder of two blocks with two heads, and a tower with as many, 16 wide.
#[derive(Debug, Clone)]
pub struct TinyModel {
    /// What its tokenizer is trained on.
    pub texts: Vec<String>,
    /// Tokens that the tokenizer has at most.
    pub max_vocab: usize,
    /// What the weights are drawn with.
    pub seed: u64,
    /// What the template begins with.
    pub system: &'static str,
    /// Width of the decoder.
    pub width: i64,
    /// Heads of keys and values, 1 or 2.
    pub n_kv_heads: i64,
    /// Positions of the decoder.
    pub n_positions: i64,
    /// Side of the images in pixels, an even number.
    pub image_px: u32,
    /// The layer of the tower that is read.
    pub feature_layer: i64,
}

impl Default for TinyModel {
    fn default() -> Self {
        Self {
            texts: Vec::new(),
            max_vocab: 400,
            seed: 3,
            system: "Be honest.",
            width: 24,
            n_kv_heads: 2,
            n_positions: 200,
            image_px: 16,
            feature_layer: -1,
        }
    }
}

impl TinyModel {
    /// One that knows the tokens of `words`.
    #[must_use]
    pub fn knowing(words: &str) -> Self {
        Self {
            texts: vec![words.to_owned(); 20],
            ..Self::default()
        }
    }

    /// The model.
    ///
    /// # Panics
    /// It cannot be made: no texts, or sizes that do not fit.
    #[must_use]
    pub fn bundle(self) -> Bundle {
        let tokenizer = Tokenizer::train(self.texts.into_iter(), self.max_vocab)
            .expect("texts that a tokenizer can be trained on");
        let config: LlavaConfig = serde_json::from_value(json!({
            "image_token_index": tokenizer.image,
            "vision_feature_layer": self.feature_layer,
            "text_config": {
                "vocab_size": tokenizer.vocab_size(), "hidden_size": self.width, "intermediate_size": 2 * self.width,
                "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": self.n_kv_heads,
                "max_position_embeddings": self.n_positions,
            },
            "vision_config": {
                "image_size": self.image_px, "patch_size": self.image_px / 2, "hidden_size": 16,
                "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            },
        }))
        .expect("a configuration");
        Bundle {
            model: Vlm::fresh(config, self.seed, Device::Cpu).expect("sizes that fit"),
            tokenizer,
            template: Template::VicunaV1 {
                system: self.system.to_owned(),
            },
            processor: ImageProcessor::clip(self.image_px),
        }
    }

    /// Writes the model into a folder.
    ///
    /// # Panics
    /// It cannot be made or written.
    pub fn write(self, folder: &Path) {
        let bundle = self.bundle();
        bundle.save(folder).expect("a folder that can be written");
    }
}

/// Positions of the decoder of [`write`].
pub const N_POSITIONS: usize = 640;

/// Writes a model that knows the words of a conversation about an image, and has one head of keys and values.
///
/// # Panics
/// As [`TinyModel::write`].
pub fn write(folder: &Path) {
    let words = "USER: What is in the picture? ASSISTANT: A red bus. Is it moving? No. There is a dog, too.";
    TinyModel {
        n_kv_heads: 1,
        n_positions: N_POSITIONS as i64,
        ..TinyModel::knowing(words)
    }
    .write(folder);
}

/// Opens a model folder in f32.
///
/// # Panics
/// It is none.
#[must_use]
pub fn open(folder: &Path) -> Bundle {
    Bundle::open(folder, Device::Cpu, Kind::Float).expect("a model folder")
}
