//! Sizes of published models, as their `config.json` has them, so that recipes can be planned before anything is
//! downloaded.

use std::path::Path;

use crate::{LlavaConfig, ModelConfig};
use serde_json::json;

/// Width, inner width, blocks and heads of a published LLaMA; all read 4096 positions and have 32,000 words.
const DECODERS: [(&str, [i64; 4]); 2] = [
    ("lmsys/vicuna-7b-v1.5", [4096, 11_008, 32, 32]),
    ("lmsys/vicuna-13b-v1.5", [5120, 13_824, 40, 40]),
];

/// Pixels of a published CLIP ViT-L/14, which is 1024 wide and has 24 blocks.
const TOWERS: [(&str, i64); 2] = [
    ("openai/clip-vit-large-patch14", 224),
    ("openai/clip-vit-large-patch14-336", 336),
];

/// Published models, and what they are put together from.
const WHOLE: [(&str, &str, &str); 4] = [
    ("llava-hf/llava-1.5-7b-hf", DECODERS[0].0, TOWERS[1].0),
    ("llava-hf/llava-1.5-13b-hf", DECODERS[1].0, TOWERS[1].0),
    ("liuhaotian/llava-v1.5-7b", DECODERS[0].0, TOWERS[1].0),
    ("liuhaotian/llava-v1.5-13b", DECODERS[1].0, TOWERS[1].0),
];

/// The sizes of a published model of this name.
#[must_use]
pub fn whole(name: &Path) -> Option<ModelConfig> {
    let (_, decoder, tower) = WHOLE.iter().find(|(known, ..)| Path::new(known) == name)?;
    joined(decoder, tower)
}

/// The sizes of a published decoder and a published tower with a projector of two layers between them.
#[must_use]
pub fn joined(decoder: &str, tower: &str) -> Option<ModelConfig> {
    let (_, [width, inner, blocks, heads]) = DECODERS.iter().find(|(name, _)| *name == decoder)?;
    let (_, pixels) = TOWERS.iter().find(|(name, _)| *name == tower)?;
    let config: Option<LlavaConfig> = serde_json::from_value(json!({
        "image_token_index": 32_000,
        "text_config": {
            "vocab_size": 32_000, "hidden_size": width, "intermediate_size": inner,
            "num_hidden_layers": blocks, "num_attention_heads": heads, "max_position_embeddings": 4096,
        },
        "vision_config": {
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
            "image_size": pixels, "patch_size": 14,
        },
    }))
    .ok();
    config.map(ModelConfig::Llava)
}

/// The names that [`joined`] knows.
#[must_use]
pub fn parts() -> String {
    let names = DECODERS.iter().map(|(name, _)| *name);
    names
        .chain(TOWERS.iter().map(|(name, _)| *name))
        .collect::<Vec<_>>()
        .join(", ")
}
