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

/// Published models of Qwen2.5-VL: width, inner width, blocks, heads, heads of keys and values, words, and whether the
/// output layer is the embedding.
const QWEN: [(&str, [i64; 6], bool); 2] = [
    (
        "Qwen/Qwen2.5-VL-3B-Instruct",
        [2048, 11_008, 36, 16, 2, 151_936],
        true,
    ),
    (
        "Qwen/Qwen2.5-VL-7B-Instruct",
        [3584, 18_944, 28, 28, 4, 152_064],
        false,
    ),
];

/// The sizes of a published Qwen2.5-VL, whose towers are alike.
fn qwen(name: &Path) -> Option<ModelConfig> {
    let (_, sizes, tied) = QWEN.iter().find(|(known, ..)| Path::new(known) == name)?;
    let [width, inner, blocks, heads, kv_heads, words] = sizes;
    let config = json!({
        "model_type": "qwen2_5_vl", "tie_word_embeddings": tied,
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": blocks,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": words,
        "max_position_embeddings": 128_000, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "vision_config": {
            "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": width,
        },
    });
    ModelConfig::of_json(&config.to_string()).ok()
}

/// The sizes of a published model of this name.
#[must_use]
pub fn whole(name: &Path) -> Option<ModelConfig> {
    if let Some(config) = qwen(name) {
        return Some(config);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor_specs;

    /// The numbers of parameters that the model cards give.
    #[test]
    fn published_models_have_the_parameters_of_their_cards() {
        for (name, expected) in [
            ("Qwen/Qwen2.5-VL-3B-Instruct", 3_754_622_976),
            ("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656),
        ] {
            let config = whole(Path::new(name)).unwrap();
            assert_eq!(config.check(), Ok(()), "{name}");
            let found: u64 = tensor_specs(&config)
                .iter()
                .map(crate::TensorSpec::n_elements)
                .sum();
            assert_eq!(found, expected, "{name}");
        }
    }
}
