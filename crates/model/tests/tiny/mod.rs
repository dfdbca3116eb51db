//! A tiny model folder that was never trained.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use std::path::Path;

use candor_data::image::ImageProcessor;
use candor_model::{Bundle, LlavaConfig, Template, Tokenizer, Vlm};
use serde_json::json;
use tch::{Device, Kind};

/// Tokens of an image: 16 pixels in patches of 8.
pub const N_IMAGE_TOKENS: usize = 4;
/// Positions of the decoder.
pub const N_POSITIONS: usize = 640;

/// Writes the model folder.
pub fn write(folder: &Path) {
    let words = "USER: What is in the picture? ASSISTANT: A red bus. Is it moving? No. There is a dog, too.";
    let tokenizer = Tokenizer::train((0..20).map(|_| words.to_owned()), 400).unwrap();
    let config: LlavaConfig = serde_json::from_value(json!({
        "image_token_index": tokenizer.image,
        "vision_feature_layer": -1,
        "text_config": {
            "vocab_size": tokenizer.vocab_size(), "hidden_size": 24, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "max_position_embeddings": N_POSITIONS,
        },
        "vision_config": {
            "image_size": 16, "patch_size": 8, "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 2,
        },
    }))
    .unwrap();
    let bundle = Bundle {
        model: Vlm::fresh(config, 3, Device::Cpu).unwrap(),
        tokenizer,
        template: Template::VicunaV1 {
            system: "Be honest.".to_owned(),
        },
        processor: ImageProcessor::clip(16),
    };
    bundle.save(folder).unwrap();
}

/// Opens the folder in f32.
pub fn open(folder: &Path) -> Bundle {
    Bundle::open(folder, Device::Cpu, Kind::Float).unwrap()
}
