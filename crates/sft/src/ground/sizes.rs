//! The sizes of a model that is made of nothing, as a recipe has them.

use candor_model::{
    DecoderSizes, LlavaConfig, ModelConfig, QwenConfig, QwenSizes, TowerBlocks, TowerSizes,
};
use candor_recipe::Reader;

use super::family::Family;

/// Patches of a token's side in every published Qwen-VL.
const MERGE_SIZE: i64 = 2;

fn size(recipe: &mut Reader, key: &str, meaning: &'static str) -> i64 {
    recipe.i64(key, meaning).within(1..=65536).required()
}

/// Asks for the sizes; the model of them, and the side of an image.
pub(super) fn read(recipe: &mut Reader, family: Family) -> (Result<ModelConfig, String>, i64) {
    let mut tower = TowerSizes {
        width: size(recipe, "model.vision.width", "Width of the tower."),
        mlp_width: size(recipe, "model.vision.mlp_width", "Inner width of its MLPs."),
        n_blocks: size(recipe, "model.vision.layers", "Its blocks."),
        n_heads: size(recipe, "model.vision.heads", "Its attention heads."),
        image_size: size(
            recipe,
            "model.vision.image_size",
            "Pixels of an image's side.",
        ),
        patch_size: size(
            recipe,
            "model.vision.patch_size",
            "Pixels of a patch's side.",
        ),
        feature_layer: 0,
    };
    let width = size(recipe, "model.text.width", "Width of the decoder.");
    let mlp_width = size(recipe, "model.text.mlp_width", "Inner width of its MLPs.");
    let n_blocks = size(recipe, "model.text.layers", "Its blocks.");
    let n_heads = size(recipe, "model.text.heads", "Its attention heads.");
    let decoder = DecoderSizes {
        width,
        mlp_width,
        n_blocks,
        n_heads,
        n_kv_heads: size(
            recipe,
            "model.text.kv_heads",
            "Heads of its keys and values.",
        ),
        head_width: width / n_heads.max(1),
        n_words: 1,
        n_positions: size(
            recipe,
            "model.text.max_positions",
            "Tokens that it can read.",
        ),
    };
    tower.feature_layer = recipe
        .i64(
            "model.vision.feature_layer",
            "The layer that features are taken from: -2 is the last but one. A Qwen-VL's is -1.",
        )
        .required();
    if family == Family::Llava {
        let config = LlavaConfig::of_sizes(&decoder, &tower);
        return (Ok(config.into()), tower.image_size);
    }
    let rope_theta = recipe
        .f64(
            "model.text.rope_theta",
            "Base of its rotary frequencies: a small one tells the rows and columns of a small image apart.",
        )
        .positive()
        .required();
    let blocks = if family == Family::Qwen3Vl {
        TowerBlocks::Deep(size(
            recipe,
            "model.vision.deep_blocks",
            "Blocks, evenly spread, whose outputs go into the decoder's first layers as well.",
        ))
    } else {
        TowerBlocks::Windows {
            side: size(
                recipe,
                "model.vision.window_size",
                "Pixels of the side of a window, which most blocks see in the place of the image.",
            ),
            whole_every: size(
                recipe,
                "model.vision.whole_every",
                "Every so many blocks, one sees the whole image.",
            ),
        }
    };
    let config = QwenConfig::of_sizes(&QwenSizes {
        decoder,
        tower,
        merge_size: MERGE_SIZE,
        rope_theta,
        blocks,
    });
    (config.map(ModelConfig::Qwen), tower.image_size)
}
