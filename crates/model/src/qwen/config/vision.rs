//! The tower's part of a configuration.

use serde::Deserialize as _;
use serde_json::Value;

use super::Generation;
use crate::{Activation, TowerSizes};

/// Base of the tower's rotary frequencies.
pub(in crate::qwen) const THETA: f64 = 10_000.0;

/// A tower.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenVisionConfig {
    /// Which Qwen's it is.
    pub generation: Generation,
    /// Blocks.
    pub depth: i64,
    /// Width.
    pub width: i64,
    /// Width inside the MLP.
    pub mlp_width: i64,
    /// Heads.
    pub n_heads: i64,
    /// Pixels of a patch's side.
    pub patch_size: i64,
    /// Patches of a token's side.
    pub merge_size: i64,
    /// Images of a film that a patch takes together; a still image is taken that many times.
    pub temporal_patch_size: i64,
    /// Width of the decoder, which the merger gives.
    pub out_width: i64,
    /// Pixels of a window's side, and the blocks that see the whole image nevertheless; none where all do.
    pub windows: Option<(i64, Vec<i64>)>,
    /// Rows of the table of learned places, of which the largest square is used; none where there is no table.
    pub n_places: Option<i64>,
    /// The blocks whose outputs go into the decoder as well, after as many of its first layers.
    pub deep: Vec<i64>,
    /// Activation of the MLP.
    pub activation: Activation,
}

/// An integer field, where it is there.
pub(super) fn integer(json: &Value, field: &str) -> Option<Result<i64, String>> {
    let found = &json[field];
    (!found.is_null()).then(|| {
        // Versions differ in whether both sides of a patch are written.
        let one = found.as_array().and_then(|sides| {
            let first = sides.first()?;
            sides.iter().all(|side| side == first).then_some(first)
        });
        let number = one.unwrap_or(found).as_i64();
        number.ok_or_else(|| format!("`{field}` is {found}, not an integer"))
    })
}

impl QwenVisionConfig {
    pub(super) fn of(generation: Generation, json: &Value) -> Result<Self, String> {
        if !json.is_object() {
            return Err("missing field `vision_config`".to_owned());
        }
        let number = |field: &str, default: i64| {
            integer(json, field)
                .unwrap_or(Ok(default))
                .map_err(|problem| format!("vision_config: {problem}"))
        };
        let only = |field: &str, only: &str| match json[field].as_str() {
            Some(found) if found != only => Err(format!(
                "`vision_config.{field}` is `{found}`; candor computes `{only}`"
            )),
            _ => Ok(()),
        };
        if number("in_channels", 3)? != 3 {
            return Err("`vision_config.in_channels` is not 3".to_owned());
        }
        if let Some(theta) = json["rope_parameters"]["rope_theta"].as_f64()
            && theta.to_bits() != THETA.to_bits()
        {
            return Err(format!(
                "`vision_config.rope_parameters.rope_theta` is {theta}; candor computes {THETA}"
            ));
        }
        let blocks = |field: &str, default: &[i64]| match &json[field] {
            Value::Null => Ok(default.to_vec()),
            found => Vec::<i64>::deserialize(found)
                .map_err(|problem| format!("`vision_config.{field}`: {problem}")),
        };
        let (depth, patch_size) = match generation {
            Generation::Qwen2Vl | Generation::Qwen25Vl => (32, 14),
            Generation::Qwen3Vl => (27, 16),
        };
        let shared = Self {
            generation,
            depth: number("depth", depth)?,
            width: 0,
            mlp_width: 0,
            n_heads: number("num_heads", 16)?,
            patch_size: number("patch_size", patch_size)?,
            merge_size: number("spatial_merge_size", 2)?,
            temporal_patch_size: number("temporal_patch_size", 2)?,
            out_width: 0,
            windows: None,
            n_places: None,
            deep: Vec::new(),
            activation: Activation::Silu,
        };
        Ok(match generation {
            Generation::Qwen2Vl => {
                only("hidden_act", "quick_gelu")?;
                let width = number("embed_dim", 1280)?;
                let ratio = json["mlp_ratio"].as_f64().unwrap_or(4.0);
                Self {
                    width,
                    mlp_width: (width as f64 * ratio) as i64,
                    out_width: number("hidden_size", 3584)?,
                    activation: Activation::QuickGelu,
                    ..shared
                }
            }
            Generation::Qwen25Vl => {
                only("hidden_act", "silu")?;
                let whole = blocks("fullatt_block_indexes", &[7, 15, 23, 31])?;
                Self {
                    width: number("hidden_size", 3584)?,
                    mlp_width: number("intermediate_size", 3420)?,
                    out_width: number("out_hidden_size", 3584)?,
                    windows: Some((number("window_size", 112)?, whole)),
                    ..shared
                }
            }
            Generation::Qwen3Vl => {
                only("hidden_act", "gelu_pytorch_tanh")?;
                Self {
                    width: number("hidden_size", 1152)?,
                    mlp_width: number("intermediate_size", 4304)?,
                    out_width: number("out_hidden_size", 3584)?,
                    n_places: Some(number("num_position_embeddings", 2304)?),
                    deep: blocks("deepstack_visual_indexes", &[8, 16, 24])?,
                    activation: Activation::GeluTanh,
                    ..shared
                }
            }
        })
    }

    /// Numbers of a patch's features: the last block's output, and beside it those that go into the decoder as well.
    #[must_use]
    pub fn feature_width(&self) -> i64 {
        self.width * (1 + self.deep.len() as i64)
    }

    /// Pixels of a token's side.
    #[must_use]
    pub fn token_side(&self) -> i64 {
        self.patch_size * self.merge_size
    }

    /// Rows and columns of tokens of an image of this height and width; near enough for one that is not fitted yet.
    pub(crate) fn grid(&self, size: [i64; 2]) -> [i64; 2] {
        let token = self.token_side();
        size.map(|side| ((side + token / 2) / token).max(1))
    }

    /// Sizes; the side of an image is a window's, or a token's, because images have their own.
    pub(crate) fn sizes(&self) -> TowerSizes {
        TowerSizes {
            width: self.width,
            mlp_width: self.mlp_width,
            n_blocks: self.depth,
            n_heads: self.n_heads,
            image_size: self.token_side(),
            patch_size: self.patch_size,
            feature_layer: -1,
        }
    }
}
