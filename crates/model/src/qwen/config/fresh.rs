//! The configuration of a Qwen-VL that starts from nothing: its sizes become a `config.json` in the words of the published
//! ones, and everything that is no size is as there.
//!
//! A fresh model is small, and two things that follow from the size of the published ones have to follow from its own. Of the
//! frequencies of a head, rows and columns have the share that they have there. The blocks of the tower that see the whole image,
//! or are handed on, stand as evenly.

use serde_json::{Value, json};

use super::QwenConfig;
use crate::{DecoderSizes, Generation, Tokenizer, TowerSizes};

/// Sizes of a Qwen-VL that is made anew.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenSizes {
    /// The decoder. Its words are those of a tokenizer ([`crate::ModelConfig::with_words`]).
    pub decoder: DecoderSizes,
    /// The tower. It hands on its last layer, and the side of an image is what a table of places is made for.
    pub tower: TowerSizes,
    /// Patches of a token's side.
    pub merge_size: i64,
    /// Base of the decoder's rotary frequencies.
    pub rope_theta: f64,
    /// What blocks of the tower do besides.
    pub blocks: TowerBlocks,
}

/// In what the towers of the generations differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TowerBlocks {
    /// Qwen2.5-VL: blocks see windows, but for some.
    Windows {
        /// Pixels of a window's side.
        side: i64,
        /// Every so many blocks, one sees the whole image.
        whole_every: i64,
    },
    /// Qwen3-VL: the outputs of so many blocks go into the decoder as well.
    Deep(i64),
}

impl TowerBlocks {
    fn generation(self) -> Generation {
        match self {
            Self::Windows { .. } => Generation::Qwen25Vl,
            Self::Deep(_) => Generation::Qwen3Vl,
        }
    }
}

impl QwenConfig {
    /// A model of these sizes that knows no words yet.
    ///
    /// # Errors
    /// Sizes do not fit together.
    pub fn of_sizes(sizes: &QwenSizes) -> Result<Self, String> {
        let (t, v) = (&sizes.decoder, &sizes.tower);
        let token_side = v.patch_size * sizes.merge_size;
        if v.image_size < 1 || token_side < 1 || v.image_size % token_side != 0 {
            return Err(format!(
                "images of {} pixels a side are no whole number of tokens of {} × {} pixels each",
                v.image_size, sizes.merge_size, v.patch_size
            ));
        }
        if v.feature_layer != -1 {
            return Err(format!(
                "the layer that features are taken from is {}; a Qwen-VL's is the last, -1",
                v.feature_layer
            ));
        }
        let generation = sizes.blocks.generation();
        let vision = tower(sizes);
        let kind = match generation {
            Generation::Qwen2Vl => "qwen2_vl",
            Generation::Qwen25Vl => "qwen2_5_vl",
            Generation::Qwen3Vl => "qwen3_vl",
        };
        // Before Qwen3, a head is as wide as its share of the decoder.
        let own_head = generation == Generation::Qwen3Vl;
        let config = json!({
            "architectures": [generation.class()],
            "model_type": kind,
            "tie_word_embeddings": false,
            "text_config": {
                "model_type": format!("{kind}_text"), "vocab_size": t.n_words, "hidden_size": t.width,
                "intermediate_size": t.mlp_width, "num_hidden_layers": t.n_blocks, "num_attention_heads": t.n_heads,
                "num_key_value_heads": t.n_kv_heads, "head_dim": own_head.then_some(t.head_width), "hidden_act": "silu",
                "max_position_embeddings": t.n_positions, "rms_norm_eps": 1e-6, "tie_word_embeddings": false,
                "rope_theta": sizes.rope_theta, "rope_scaling": rope_scaling(generation, t.head_width / 2),
            },
            "vision_config": vision,
        });
        Self::of_json(&config.to_string())
    }

    /// The same with the words of a tokenizer, and the ids of those that stand for images and around them.
    #[must_use]
    pub(crate) fn with_words(mut self, tokenizer: &Tokenizer) -> Self {
        let n_words = tokenizer.vocab_size() as i64;
        self.text.vocab_size = n_words;
        self.image_token_id = tokenizer.image;
        self.json["text_config"]["vocab_size"] = json!(n_words);
        // What is not said is, to transformers, an id of the published words.
        self.json["text_config"]["bos_token_id"] = json!(tokenizer.bos);
        self.json["text_config"]["eos_token_id"] = json!(tokenizer.eos);
        self.json["image_token_id"] = json!(tokenizer.image);
        for (field, token) in [
            ("video_token_id", "<|video_pad|>"),
            ("vision_start_token_id", "<|vision_start|>"),
            ("vision_end_token_id", "<|vision_end|>"),
        ] {
            self.json[field] = json!(tokenizer.id(token));
        }
        self
    }
}

/// The tower's part of the file.
fn tower(sizes: &QwenSizes) -> Value {
    let v = &sizes.tower;
    let mut tower = json!({
        "depth": v.n_blocks, "hidden_size": v.width, "intermediate_size": v.mlp_width, "num_heads": v.n_heads,
        "out_hidden_size": sizes.decoder.width, "in_channels": 3, "patch_size": v.patch_size,
        "spatial_merge_size": sizes.merge_size, "temporal_patch_size": 2,
    });
    let own = match sizes.blocks {
        TowerBlocks::Windows { side, whole_every } => {
            let blocks = (0..v.n_blocks).filter(|at| (at + 1) % whole_every.max(1) == 0);
            json!({
                "model_type": "qwen2_5_vl", "hidden_act": "silu", "window_size": side,
                "fullatt_block_indexes": blocks.collect::<Vec<i64>>(),
            })
        }
        TowerBlocks::Deep(n) => {
            let blocks = (1..=n).map(|at| at * v.n_blocks / (n + 1) - 1);
            json!({
                "model_type": "qwen3_vl", "hidden_act": "gelu_pytorch_tanh",
                "num_position_embeddings": (v.image_size / v.patch_size).pow(2),
                "deepstack_visual_indexes": blocks.collect::<Vec<i64>>(),
            })
        }
    };
    if let (Some(tower), Value::Object(own)) = (tower.as_object_mut(), own) {
        tower.extend(own);
    }
    tower
}

/// How so many frequencies are shared out: of 64, published models give rows and columns 24 each, and Qwen3-VL 20 each.
fn rope_scaling(generation: Generation, n_frequencies: i64) -> Value {
    let interleaved = generation == Generation::Qwen3Vl;
    let share = if interleaved { 20 } else { 24 };
    let of_axis = n_frequencies * share / 64;
    let sections = [n_frequencies - 2 * of_axis, of_axis, of_axis];
    if interleaved {
        json!({"rope_type": "default", "mrope_interleaved": true, "mrope_section": sections})
    } else {
        json!({"rope_type": "default", "mrope_section": sections})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(blocks: TowerBlocks) -> QwenSizes {
        QwenSizes {
            decoder: DecoderSizes {
                width: 96,
                mlp_width: 288,
                n_blocks: 4,
                n_heads: 4,
                n_kv_heads: 4,
                head_width: 24,
                n_words: 600,
                n_positions: 1024,
            },
            tower: TowerSizes {
                width: 64,
                mlp_width: 128,
                n_blocks: 4,
                n_heads: 4,
                image_size: 64,
                patch_size: 8,
                feature_layer: -1,
            },
            merge_size: 2,
            rope_theta: 30.0,
            blocks,
        }
    }

    const WINDOWS: TowerBlocks = TowerBlocks::Windows {
        side: 32,
        whole_every: 2,
    };

    #[test]
    fn sizes_become_a_configuration_in_proportion() {
        let config = QwenConfig::of_sizes(&sizes(WINDOWS)).unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.vision.windows, Some((32, vec![1, 3])));
        assert_eq!(
            (config.vision.n_places, config.vision.deep.len()),
            (None, 0)
        );
        // Of 12 frequencies 4 each.
        let axes = [[0; 4], [1; 4], [2; 4]].concat();
        assert_eq!(config.text.rope_axes, Some(axes));
        assert_eq!(config.text.rope_theta, Some(30.0));

        let config = QwenConfig::of_sizes(&sizes(TowerBlocks::Deep(1))).unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.vision.deep, [1]);
        // A place for each of 8 × 8 patches.
        assert_eq!(
            (config.vision.n_places, &config.vision.windows),
            (Some(64), &None)
        );
        // 6, 3 and 3 in turns.
        let axes = vec![0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 0];
        assert_eq!(config.text.rope_axes, Some(axes));
    }

    fn refused(change: fn(&mut QwenSizes), words: &str) {
        let mut sizes = sizes(TowerBlocks::Deep(1));
        change(&mut sizes);
        let config = QwenConfig::of_sizes(&sizes);
        let problem = config.and_then(|config| config.check()).unwrap_err();
        assert!(problem.contains(words), "{problem}");
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        refused(|s| s.tower.image_size = 72, "images of 72 pixels a side");
        refused(|s| s.merge_size = 0, "tokens of 0 × 8 pixels");
        refused(|s| s.tower.feature_layer = -2, "taken from is -2");
        refused(|s| s.tower.n_heads = 32, "head of the tower is 2");
        // More than the tower has blocks: the first would stand before it.
        refused(
            |s| s.blocks = TowerBlocks::Deep(4),
            "not some of the tower's 4 blocks",
        );
    }
}
