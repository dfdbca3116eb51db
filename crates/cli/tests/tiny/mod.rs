//! A tiny model that was never trained.

use std::path::Path;

use candor_data::image::ImageProcessor;
use candor_model::{Bundle, LlavaConfig, Template, Tokenizer, Vlm};
use serde_json::json;
use tch::Device;

/// Writes the model, which knows the tokens of `words`, into a folder.
pub fn save(folder: &Path, words: &str) {
    let tokenizer = Tokenizer::train((0..20).map(|_| words.to_owned()), 400).unwrap();
    let config: LlavaConfig = serde_json::from_value(json!({
        "image_token_index": tokenizer.image,
        "vision_feature_layer": -1,
        "text_config": {
            "vocab_size": tokenizer.vocab_size(), "hidden_size": 24, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 200,
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
