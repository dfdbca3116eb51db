//! Whether the sizes of a configuration fit together.

use super::QwenConfig;
use crate::config::{FEW, LIMIT};

impl QwenConfig {
    /// Whether the sizes fit together; the message says which do not.
    ///
    /// # Errors
    /// Names the fields and what is wrong between them.
    pub fn check(&self) -> Result<(), String> {
        let (t, v) = (&self.text, &self.vision);
        let window = v
            .windows
            .as_ref()
            .map_or(v.patch_size * v.merge_size, |w| w.0);
        let positive = [
            ("vocab_size", t.vocab_size, LIMIT),
            ("hidden_size", t.hidden_size, LIMIT),
            ("intermediate_size", t.intermediate_size, LIMIT),
            ("num_hidden_layers", t.num_hidden_layers, FEW),
            ("num_attention_heads", t.num_attention_heads, LIMIT),
            ("num_key_value_heads", t.n_kv_heads(), LIMIT),
            ("vision_config.depth", v.depth, FEW),
            ("vision_config width", v.width, LIMIT),
            ("vision_config.intermediate_size", v.mlp_width, LIMIT),
            ("vision_config.num_heads", v.n_heads, LIMIT),
            ("vision_config.patch_size", v.patch_size, FEW),
            ("vision_config.spatial_merge_size", v.merge_size, 64),
            (
                "vision_config.temporal_patch_size",
                v.temporal_patch_size,
                64,
            ),
            ("vision_config.window_size", window, FEW),
            ("head_dim", t.head_dim.unwrap_or(1), LIMIT),
            (
                "vision_config.num_position_embeddings",
                v.n_places.unwrap_or(1),
                LIMIT,
            ),
        ];
        for (field, value, limit) in positive {
            if !(1..=limit).contains(&value) {
                return Err(format!(
                    "`{field}` is {value}, which is not between 1 and {limit}"
                ));
            }
        }
        // Where heads have a width of their own, nothing is divided.
        let n_shares = t.head_dim.map_or(t.num_attention_heads, |_| 1);
        let divides = [
            (
                "hidden_size",
                t.hidden_size,
                "num_attention_heads",
                n_shares,
            ),
            (
                "num_attention_heads",
                t.num_attention_heads,
                "num_key_value_heads",
                t.n_kv_heads(),
            ),
            (
                "vision_config width",
                v.width,
                "vision_config.num_heads",
                v.n_heads,
            ),
        ];
        for (field, whole, part_field, part) in divides {
            if whole % part != 0 {
                return Err(format!(
                    "`{field}` is {whole}, which `{part_field}` = {part} does not divide"
                ));
            }
        }
        if (v.width / v.n_heads) % 4 != 0 {
            return Err(format!(
                "the width of a head of the tower is {}, which rotary positions of rows and columns cannot quarter",
                v.width / v.n_heads
            ));
        }
        if window < v.patch_size * v.merge_size {
            return Err(format!(
                "`vision_config.window_size` is {window} pixels, less than a token's side"
            ));
        }
        let n_axes = t.rope_axes.as_ref().map_or(0, Vec::len) as i64;
        if n_axes * 2 != t.head_dim() {
            return Err(format!(
                "`mrope_section` adds up to {n_axes}, but half the width of a head is {}",
                t.head_dim() / 2
            ));
        }
        let rising = v.deep.is_sorted_by(|left, right| left < right);
        if !rising || v.deep.iter().any(|at| !(0..v.depth).contains(at)) {
            return Err(format!(
                "`vision_config.deepstack_visual_indexes` is {:?}, not some of the tower's {} blocks in their order",
                v.deep, v.depth
            ));
        }
        if v.deep.len() as i64 > t.num_hidden_layers {
            return Err(format!(
                "`vision_config.deepstack_visual_indexes` names {} blocks, but the decoder has {} layers to add them after",
                v.deep.len(),
                t.num_hidden_layers
            ));
        }
        if v.out_width != t.hidden_size {
            return Err(format!(
                "the tower gives tokens of width {}, but the decoder's `hidden_size` is {}",
                v.out_width, t.hidden_size
            ));
        }
        Ok(())
    }
}
