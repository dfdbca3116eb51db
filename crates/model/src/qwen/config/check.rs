//! Whether the sizes of a configuration fit together.

use super::QwenConfig;
use crate::config::{FEW, LIMIT, check_limits, check_multiples};

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
        check_limits([
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
        ])?;
        // Where heads have a width of their own, nothing is divided.
        let n_shares = t.head_dim.map_or(t.num_attention_heads, |_| 1);
        check_multiples([
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
        ])?;
        let n_axes = t.rope_axes.as_ref().map_or(0, Vec::len) as i64;
        if n_axes * 2 != t.head_dim() {
            return Err(format!(
                "`mrope_section` adds up to {n_axes}, but half the width of a head is {}",
                t.head_dim() / 2
            ));
        }
        self.check_tower(window)
    }

    /// Whether the tower fits together, and to the decoder.
    fn check_tower(&self, window: i64) -> Result<(), String> {
        let (t, v) = (&self.text, &self.vision);
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_not_computed_or_does_not_fit_is_refused_by_name() {
        let config = include_str!("../../../tests/golden/qwen/qwen3_vl/config.json");
        let config: Value = serde_json::from_str(config).unwrap();
        let refused = |field: &str, value: Value| {
            let (parent, name) = field.rsplit_once('/').unwrap();
            let mut config = config.clone();
            config.pointer_mut(parent).unwrap()[name] = value;
            let read = QwenConfig::of_json(&config.to_string());
            read.and_then(|config| config.check()).unwrap_err()
        };
        for (field, value, words) in [
            (
                "deepstack_visual_indexes",
                json!([2, 0]),
                "is [2, 0], not some of the tower's 4 blocks",
            ),
            (
                "deepstack_visual_indexes",
                json!([0, 4]),
                "is [0, 4], not some of the tower's 4 blocks",
            ),
            (
                "deepstack_visual_indexes",
                json!([0, 1, 2, 3]),
                "names 4 blocks, but the decoder has 3 layers",
            ),
            (
                "num_position_embeddings",
                json!(0),
                "`vision_config.num_position_embeddings` is 0",
            ),
            (
                "hidden_act",
                json!("gelu"),
                "`vision_config.hidden_act` is `gelu`",
            ),
            (
                "rope_parameters/rope_theta",
                json!(1000.0),
                "rope_theta` is 1000; candor computes 10000",
            ),
        ] {
            let message = refused(&format!("/vision_config/{field}"), value);
            assert!(message.contains(words), "{message}");
        }
        for (field, value, words) in [
            ("head_dim", json!(0), "`head_dim` is 0"),
            (
                "attention_bias",
                json!(true),
                "`attention_bias` is true; candor computes false",
            ),
            (
                "rope_parameters/mrope_interleaved",
                json!(false),
                "is false; Qwen3-VL's is true",
            ),
            (
                "rope_parameters/mrope_section",
                json!([2, 2, 1]),
                "adds up to 5, but half the width of a head is 6",
            ),
        ] {
            let message = refused(&format!("/text_config/{field}"), value);
            assert!(message.contains(words), "{message}");
        }
    }

    /// Values that transformers' `Qwen3VLConfig()` has.
    #[test]
    fn fields_that_are_left_out_have_the_values_of_transformers() {
        let config = json!({
            "model_type": "qwen3_vl", "vision_config": {},
            "text_config": {
                "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3,
                "num_attention_heads": 4, "rope_parameters": {}
            }
        });
        let config = QwenConfig::of_json(&config.to_string()).unwrap();
        let (text, vision) = (&config.text, &config.vision);
        assert_eq!((text.n_kv_heads(), text.head_dim()), (32, 128));
        assert_eq!(text.max_position_embeddings, 128_000);
        assert_eq!((text.rms_norm_eps, text.rope_theta), (1e-6, Some(5e5)));
        assert_eq!(config.image_token_id, 151_655);
        assert_eq!(
            (vision.depth, vision.width, vision.mlp_width),
            (27, 1152, 4304)
        );
        assert_eq!((vision.n_heads, vision.out_width), (16, 3584));
        assert_eq!((vision.patch_size, vision.merge_size), (16, 2));
        assert_eq!(
            (vision.n_places, vision.deep.as_slice()),
            (Some(2304), &[8, 16, 24][..])
        );
    }
}
