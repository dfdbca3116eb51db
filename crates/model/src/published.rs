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

/// A published Qwen3-VL.
struct Qwen3 {
    name: &'static str,
    /// Width, inner width, blocks, heads and heads of keys and values.
    decoder: [i64; 5],
    /// Width, inner width and blocks.
    tower: [i64; 3],
    /// Blocks of the tower whose outputs the decoder's first layers are given.
    deep: [i64; 3],
    /// Whether the output layer is the embedding.
    is_tied: bool,
}

const QWEN3: [Qwen3; 3] = [
    Qwen3 {
        name: "Qwen/Qwen3-VL-2B-Instruct",
        decoder: [2048, 6144, 28, 16, 8],
        tower: [1024, 4096, 24],
        deep: [5, 11, 17],
        is_tied: true,
    },
    Qwen3 {
        name: "Qwen/Qwen3-VL-4B-Instruct",
        decoder: [2560, 9728, 36, 32, 8],
        tower: [1024, 4096, 24],
        deep: [5, 11, 17],
        is_tied: true,
    },
    Qwen3 {
        name: "Qwen/Qwen3-VL-8B-Instruct",
        decoder: [4096, 12_288, 36, 32, 8],
        tower: [1152, 4304, 27],
        deep: [8, 16, 24],
        is_tied: false,
    },
];

/// The sizes of a published Qwen3-VL.
fn qwen3(name: &Path) -> Option<ModelConfig> {
    let known = QWEN3.iter().find(|known| Path::new(known.name) == name)?;
    let [width, inner, blocks, heads, kv_heads] = known.decoder;
    let [tower_width, tower_inner, depth] = known.tower;
    let (deep, tied) = (known.deep, known.is_tied);
    let config = json!({
        "model_type": "qwen3_vl", "tie_word_embeddings": tied,
        "text_config": {
            "model_type": "qwen3_vl_text", "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": blocks,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": 128, "vocab_size": 151_936,
            "max_position_embeddings": 262_144, "rms_norm_eps": 1e-6, "rope_theta": 5e6, "tie_word_embeddings": tied,
            "rope_scaling": {"rope_type": "default", "mrope_interleaved": true, "mrope_section": [24, 20, 20]},
        },
        "vision_config": {
            "model_type": "qwen3_vl", "depth": depth, "hidden_size": tower_width, "intermediate_size": tower_inner,
            "num_heads": 16, "out_hidden_size": width, "patch_size": 16, "num_position_embeddings": 2304,
            "deepstack_visual_indexes": deep,
        },
    });
    ModelConfig::of_json(&config.to_string()).ok()
}

/// Published models of LLaVA-NeXT, and with a Qwen2 of LLaVA-OneVision: kind of the decoder, width, inner width, blocks, heads,
/// heads of keys and values, words, positions, and whether the output layer is the embedding.
const TILED: [(&str, &str, [i64; 7], bool); 5] = [
    (
        "llava-hf/llava-v1.6-vicuna-7b-hf",
        "llama",
        [4096, 11_008, 32, 32, 32, 32_064, 4096],
        false,
    ),
    (
        "llava-hf/llava-v1.6-vicuna-13b-hf",
        "llama",
        [5120, 13_824, 40, 40, 40, 32_064, 4096],
        false,
    ),
    (
        "llava-hf/llava-v1.6-mistral-7b-hf",
        "mistral",
        [4096, 14_336, 32, 32, 8, 32_064, 32_768],
        false,
    ),
    (
        "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        "qwen2",
        [896, 4864, 24, 14, 2, 152_000, 32_768],
        true,
    ),
    (
        "llava-hf/llava-onevision-qwen2-7b-ov-hf",
        "qwen2",
        [3584, 18_944, 28, 28, 4, 152_128, 32_768],
        false,
    ),
];

/// The sizes of a published LLaVA-NeXT or LLaVA-OneVision; all of a family have one tower.
fn tiled(name: &Path) -> Option<ModelConfig> {
    let known = TILED.iter().find(|(known, ..)| Path::new(known) == name);
    let (_, decoder, sizes, tied) = known?;
    let [width, inner, blocks, heads, kv_heads, words, positions] = sizes;
    let onevision = *decoder == "qwen2";
    let tower = if onevision {
        json!({
            "model_type": "siglip_vision_model", "vision_use_head": false, "hidden_size": 1152,
            "intermediate_size": 4304, "num_hidden_layers": 26, "num_attention_heads": 16, "image_size": 384,
            "patch_size": 14,
        })
    } else {
        json!({
            "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096,
            "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14,
        })
    };
    let config = json!({
        "model_type": if onevision { "llava_onevision" } else { "llava_next" },
        "tie_word_embeddings": tied,
        "text_config": {
            "model_type": decoder, "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": blocks,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": words,
            "max_position_embeddings": positions, "sliding_window": null,
        },
        "vision_config": tower,
    });
    ModelConfig::of_json(&config.to_string()).ok()
}

/// The sizes of a published model of this name.
#[must_use]
pub fn whole(name: &Path) -> Option<ModelConfig> {
    if let Some(config) = qwen(name).or_else(|| qwen3(name)).or_else(|| tiled(name)) {
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

    /// The numbers of parameters that the model cards give, and of LLaVA's that transformers' classes have in these sizes.
    #[test]
    fn published_models_have_the_parameters_of_their_cards() {
        for (name, expected) in [
            ("llava-hf/llava-v1.6-vicuna-7b-hf", 7_063_431_168),
            ("llava-hf/llava-v1.6-mistral-7b-hf", 7_566_747_648),
            ("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", 893_675_552),
            ("llava-hf/llava-onevision-qwen2-7b-ov-hf", 8_030_807_584),
            ("Qwen/Qwen2.5-VL-3B-Instruct", 3_754_622_976),
            ("Qwen/Qwen2.5-VL-7B-Instruct", 8_292_166_656),
            ("Qwen/Qwen3-VL-2B-Instruct", 2_127_532_032),
            ("Qwen/Qwen3-VL-4B-Instruct", 4_437_815_808),
            ("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696),
        ] {
            let config = whole(Path::new(name)).unwrap();
            assert_eq!(config.check(), Ok(()), "{name}");
            assert_eq!(n_parameters(&config), expected, "{name}");
        }
    }

    fn n_parameters(config: &ModelConfig) -> u64 {
        let specs = tensor_specs(config);
        specs.iter().map(crate::TensorSpec::n_elements).sum()
    }

    /// A `config.json` with the fields that a published one has.
    macro_rules! published {
        ($name:literal) => {
            (
                $name,
                include_str!(concat!("../tests/published/", $name, ".json")),
            )
        };
    }

    /// Name and text, family, parameters as the hub counts those of the weights' files, and tokens of an image of 640 × 480 pixels:
    /// of Qwen's in squares of 28 or of 32 pixels, of the others as transformers' processors count.
    #[rustfmt::skip] // A table, a name a line.
    const FILES: [((&str, &str), &str, u64, usize); 14] = [
        (published!("qwen2-vl-2b-instruct"), "Qwen2-VL", 2_208_985_600, 391),
        (published!("qwen2-vl-7b-instruct"), "Qwen2-VL", 8_291_375_616, 391),
        (published!("qwen2.5-vl-3b-instruct"), "Qwen2.5-VL", 3_754_622_976, 391),
        (published!("qwen2.5-vl-7b-instruct"), "Qwen2.5-VL", 8_292_166_656, 391),
        (published!("qwen3-vl-2b-instruct"), "Qwen3-VL", 2_127_532_032, 300),
        (published!("qwen3-vl-4b-instruct"), "Qwen3-VL", 4_437_815_808, 300),
        (published!("qwen3-vl-8b-instruct"), "Qwen3-VL", 8_767_123_696, 300),
        (published!("llava-1.5-7b-hf"), "LLaVA", 7_063_427_072, 576),
        (published!("llava-1.5-13b-hf"), "LLaVA", 13_351_494_656, 576),
        (published!("llava-v1.6-vicuna-7b-hf"), "LLaVA-NeXT", 7_063_431_168, 2340),
        (published!("llava-v1.6-vicuna-13b-hf"), "LLaVA-NeXT", 13_351_499_776, 2340),
        (published!("llava-v1.6-mistral-7b-hf"), "LLaVA-NeXT", 7_566_747_648, 2340),
        (published!("llava-onevision-qwen2-0.5b-ov-hf"), "LLaVA-OneVision", 893_675_552, 2929),
        (published!("llava-onevision-qwen2-7b-ov-hf"), "LLaVA-OneVision", 8_030_807_584, 2929),
    ];

    #[test]
    fn the_files_of_published_models_say_their_sizes() {
        for ((name, text), family, n, tokens) in FILES {
            let config = ModelConfig::of_json(text);
            let config = config.unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert_eq!(config.check(), Ok(()), "{name}");
            assert_eq!(config.family(), family, "{name}");
            assert_eq!(n_parameters(&config), n, "{name}");
            assert_eq!(config.n_image_tokens(crate::USUAL_IMAGE), tokens, "{name}");
        }
    }

    /// What transformers' processors count for images of 640 × 480, 336 × 336, 2000 × 2000 and 1000 × 4000 pixels.
    #[test]
    fn images_of_published_models_take_the_tokens_that_processors_count() {
        for (name, expected) in [
            ("llava-hf/llava-v1.6-vicuna-7b-hf", [2340, 1176, 2928, 1944]),
            (
                "llava-hf/llava-onevision-qwen2-7b-ov-hf",
                [2929, 1485, 7371, 7371],
            ),
        ] {
            let config = whole(Path::new(name)).unwrap();
            let sizes = [(640, 480), (336, 336), (2000, 2000), (1000, 4000)];
            let found = sizes.map(|(width, height)| {
                config.n_image_tokens(candor_data::image::ImageSize { width, height })
            });
            assert_eq!(found, expected, "{name}");
        }
    }
}
