//! `config.json` of Hugging Face's `Qwen2VLForConditionalGeneration` and `Qwen2_5_VLForConditionalGeneration`.
//!
//! The files of the hub have the decoder's fields outside, newer exports have them in `text_config`. What candor does not
//! need is kept, and written again.

use std::path::Path;

use serde::{Deserialize as _, Serialize, Serializer};
use serde_json::{Value, json};

use crate::config::{FEW, LIMIT};
use crate::{Activation, ModelError, TextConfig, TowerSizes};

/// Which Qwen it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Layer norms, and every block of the tower sees the whole image.
    Qwen2Vl,
    /// RMS norms, SwiGLU, and most blocks of the tower see windows.
    Qwen25Vl,
}

/// A whole model.
#[derive(Debug, Clone, PartialEq)]
pub struct QwenConfig {
    /// The file as it was read.
    json: Value,
    /// Which Qwen it is.
    pub generation: Generation,
    /// Id of the placeholder that stands for each token of an image.
    pub image_token_id: i64,
    /// The decoder.
    pub text: TextConfig,
    /// The tower.
    pub vision: QwenVisionConfig,
}

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
    /// Pictures of a film that a patch takes together; a still image is taken that many times.
    pub temporal_patch_size: i64,
    /// Width of the decoder, which the merger gives.
    pub out_width: i64,
    /// Pixels of a window's side, and the blocks that see the whole image nevertheless; none where all do.
    pub windows: Option<(i64, Vec<i64>)>,
    /// Activation of the MLP.
    pub activation: Activation,
}

impl Serialize for QwenConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl Generation {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Qwen2Vl => "Qwen2-VL",
            Self::Qwen25Vl => "Qwen2.5-VL",
        }
    }

    /// The generation of a `model_type`.
    pub(crate) fn of(model_type: &str) -> Option<Self> {
        match model_type {
            "qwen2_vl" => Some(Self::Qwen2Vl),
            "qwen2_5_vl" => Some(Self::Qwen25Vl),
            _ => None,
        }
    }
}

/// Fields of the decoder without which there is no model.
const SIZES: [&str; 5] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
];

/// Fields on which the arithmetic depends, each with the only value that candor computes, which a missing field has in
/// transformers, too.
const ONLY: [(&str, &str); 2] = [("hidden_act", "silu"), ("use_sliding_window", "false")];

impl QwenConfig {
    /// The model that a `config.json` describes.
    ///
    /// # Errors
    /// A field is missing, has another type than it should, or asks for what candor does not compute.
    pub(crate) fn of_json(config: &str) -> Result<Self, String> {
        let json: Value = serde_json::from_str(config).map_err(|e| e.to_string())?;
        let model_type = json["model_type"].as_str().unwrap_or_default();
        let generation =
            Generation::of(model_type).ok_or_else(|| format!("`model_type` is `{model_type}`"))?;
        // The hub's files have the decoder's fields outside.
        let nested = json["text_config"].is_object();
        let text_json = if nested { &json["text_config"] } else { &json };
        for (field, only) in ONLY {
            let found = &text_json[field];
            let spelled = found
                .as_str()
                .map_or_else(|| found.to_string(), ToOwned::to_owned);
            if !found.is_null() && spelled != only {
                return Err(format!("`{field}` is {found}; candor computes {only}"));
            }
        }
        if let Some(missing) = SIZES.iter().find(|field| text_json[**field].is_null()) {
            return Err(format!("missing field `{missing}` of the decoder"));
        }
        let fields = decoder_fields(text_json);
        let mut text = TextConfig::deserialize(&fields).map_err(|e| e.to_string())?;
        let outer_tie = json["tie_word_embeddings"].as_bool().unwrap_or(false);
        text.tie_word_embeddings |= outer_tie;
        text.qkv_bias = true;
        let rope = rope(text_json)?;
        text.rope_theta = Some(rope.theta);
        text.rope_axes = Some(rope.axes);
        let image_token_id = integer(&json, "image_token_id").unwrap_or(Ok(151_655))?;
        let vision = QwenVisionConfig::of(generation, &json["vision_config"])?;
        Ok(Self {
            generation,
            image_token_id,
            text,
            vision,
            json,
        })
    }

    /// Writes `config.json`: what was read, but for the type of the weights, which the weights say themselves.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ModelError> {
        let mut json = self.json.clone();
        for part in ["", "/text_config", "/vision_config"] {
            if let Some(fields) = json.pointer_mut(part).and_then(Value::as_object_mut) {
                fields.remove("dtype");
                fields.remove("torch_dtype");
            }
        }
        let json = serde_json::to_vec_pretty(&json).map_err(|e| ModelError::Config {
            path: path.to_owned(),
            problem: e.to_string(),
            remedy: "numbers must be finite",
        })?;
        Ok(candor_data::atomic::write(path, &json)?)
    }

    /// Says that the output layer is not the embedding.
    pub(crate) fn untie(&mut self) {
        self.text.tie_word_embeddings = false;
        self.json["tie_word_embeddings"] = json!(false);
        if self.json["text_config"].is_object() {
            self.json["text_config"]["tie_word_embeddings"] = json!(false);
        }
    }

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
        ];
        for (field, value, limit) in positive {
            if !(1..=limit).contains(&value) {
                return Err(format!(
                    "`{field}` is {value}, which is not between 1 and {limit}"
                ));
            }
        }
        let divides = [
            (
                "hidden_size",
                t.hidden_size,
                "num_attention_heads",
                t.num_attention_heads,
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
        if v.out_width != t.hidden_size {
            return Err(format!(
                "the tower gives tokens of width {}, but the decoder's `hidden_size` is {}",
                v.out_width, t.hidden_size
            ));
        }
        Ok(())
    }
}

/// The decoder's fields, those that are left out as transformers has them, and without what [`rope`] reads, which LLaMA's
/// reader would refuse.
fn decoder_fields(text: &Value) -> Value {
    let mut text = text.clone();
    if let Some(fields) = text.as_object_mut() {
        for field in ["rope_scaling", "rope_parameters", "rope_theta"] {
            fields.remove(field);
        }
        let defaults = [
            ("num_key_value_heads", json!(8)),
            ("rms_norm_eps", json!(1e-5)),
            ("max_position_embeddings", json!(32_768)),
        ];
        for (field, default) in defaults {
            fields.entry(field).or_insert(default);
        }
    }
    text
}

struct Rope {
    theta: f64,
    /// The axis of each frequency.
    axes: Vec<i64>,
}

/// Base and sections, in the spelling of the hub (`rope_theta` and `rope_scaling`) or of today (`rope_parameters`).
fn rope(text: &Value) -> Result<Rope, String> {
    let fields = [&text["rope_parameters"], &text["rope_scaling"]]
        .into_iter()
        .find(|fields| fields.is_object())
        .ok_or("neither `rope_parameters` nor `rope_scaling` says how positions turn")?;
    let kind = ["rope_type", "type"].map(|field| fields[field].as_str());
    for kind in kind.into_iter().flatten() {
        if !["default", "mrope"].contains(&kind) {
            return Err(format!(
                "`rope_type` is `{kind}`; only `default` and `mrope` are supported"
            ));
        }
    }
    let theta = fields["rope_theta"]
        .as_f64()
        .or(text["rope_theta"].as_f64());
    let sections = &fields["mrope_section"];
    let sections: Vec<i64> = if sections.is_null() {
        vec![16, 24, 24]
    } else {
        let problem = |e: serde_json::Error| format!("`mrope_section`: {e}");
        Vec::deserialize(sections).map_err(problem)?
    };
    if sections.len() != 3 || sections.iter().any(|n| !(0..=FEW).contains(n)) {
        return Err(format!(
            "`mrope_section` is {sections:?}, not three numbers of frequencies"
        ));
    }
    let axes = sections.iter().zip(0..);
    Ok(Rope {
        theta: theta.unwrap_or(1e6),
        axes: axes
            .flat_map(|(&n, axis)| std::iter::repeat_n(axis, n as usize))
            .collect(),
    })
}

/// An integer field, where it is there.
fn integer(json: &Value, field: &str) -> Option<Result<i64, String>> {
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
    fn of(generation: Generation, json: &Value) -> Result<Self, String> {
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
        let shared = Self {
            generation,
            depth: number("depth", 32)?,
            width: 0,
            mlp_width: 0,
            n_heads: number("num_heads", 16)?,
            patch_size: number("patch_size", 14)?,
            merge_size: number("spatial_merge_size", 2)?,
            temporal_patch_size: number("temporal_patch_size", 2)?,
            out_width: 0,
            windows: None,
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
                let whole = &json["fullatt_block_indexes"];
                let whole: Vec<i64> = if whole.is_null() {
                    vec![7, 15, 23, 31]
                } else {
                    let problem = |e: serde_json::Error| {
                        format!("`vision_config.fullatt_block_indexes`: {e}")
                    };
                    Vec::deserialize(whole).map_err(problem)?
                };
                Self {
                    width: number("hidden_size", 3584)?,
                    mlp_width: number("intermediate_size", 3420)?,
                    out_width: number("out_hidden_size", 3584)?,
                    windows: Some((number("window_size", 112)?, whole)),
                    ..shared
                }
            }
        })
    }

    /// Pixels of a token's side.
    #[must_use]
    pub fn token_side(&self) -> i64 {
        self.patch_size * self.merge_size
    }

    /// Rows and columns of tokens of an image of this height and width.
    pub(crate) fn grid(&self, size: [i64; 2]) -> [i64; 2] {
        size.map(|side| side / self.token_side())
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
