//! `config.json` of Hugging Face's `Qwen2VLForConditionalGeneration`, `Qwen2_5_VLForConditionalGeneration` and
//! `Qwen3VLForConditionalGeneration`.
//!
//! The files of the hub have the decoder's fields outside before Qwen3-VL, newer exports have them in `text_config`. What
//! candor does not need is kept, and written again.

mod check;
mod fresh;
mod rope;
mod vision;

use std::path::Path;

use serde::{Deserialize as _, Serialize, Serializer};
use serde_json::{Value, json};

pub use self::fresh::{QwenSizes, TowerBlocks};
use self::rope::Rope;
pub use self::vision::QwenVisionConfig;
pub(super) use self::vision::THETA;
use self::vision::integer;
use crate::{ModelError, TextConfig};

/// Which Qwen it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Layer norms, and every block of the tower sees the whole image.
    Qwen2Vl,
    /// RMS norms, SwiGLU, and most blocks of the tower see windows.
    Qwen25Vl,
    /// Layer norms, a table of learned places, and outputs of several blocks of the tower in several layers of the decoder
    /// (`DeepStack`). The decoder is Qwen3's, which norms queries and keys.
    Qwen3Vl,
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
            Self::Qwen3Vl => "Qwen3-VL",
        }
    }

    /// Its class of transformers.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Qwen2Vl => "Qwen2VLForConditionalGeneration",
            Self::Qwen25Vl => "Qwen2_5_VLForConditionalGeneration",
            Self::Qwen3Vl => "Qwen3VLForConditionalGeneration",
        }
    }

    /// The generation of a `model_type`.
    pub(crate) fn of(model_type: &str) -> Option<Self> {
        match model_type {
            "qwen2_vl" => Some(Self::Qwen2Vl),
            "qwen2_5_vl" => Some(Self::Qwen25Vl),
            "qwen3_vl" => Some(Self::Qwen3Vl),
            _ => None,
        }
    }

    /// What fields of the decoder mean that a file leaves out.
    fn defaults(self) -> Value {
        match self {
            Self::Qwen2Vl | Self::Qwen25Vl => json!({
                "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "max_position_embeddings": 32_768
            }),
            Self::Qwen3Vl => json!({
                "num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 128_000
            }),
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
const ONLY: [(&str, &str); 3] = [
    ("hidden_act", "silu"),
    ("use_sliding_window", "false"),
    ("attention_bias", "false"),
];

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
        let fields = decoder_fields(generation, text_json);
        let mut text = TextConfig::deserialize(&fields).map_err(|e| e.to_string())?;
        let outer_tie = json["tie_word_embeddings"].as_bool().unwrap_or(false);
        text.tie_word_embeddings |= outer_tie;
        text.qk_norms = generation == Generation::Qwen3Vl;
        text.qkv_bias = !text.qk_norms;
        let rope = Rope::of(generation, text_json)?;
        text.rope_theta = Some(rope.theta);
        text.rope_axes = Some(rope.axes);
        let image_token_id = integer(&json, "image_token_id").unwrap_or(Ok(151_655))?;
        let vision = QwenVisionConfig::of(generation, &json["vision_config"])?;
        Ok(Self {
            json,
            generation,
            image_token_id,
            text,
            vision,
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

    /// Ids of the tokens that stand before and after every image, with their fields, where the file has them.
    pub(crate) fn image_marks(&self) -> [(&'static str, Option<i64>); 2] {
        ["vision_start_token_id", "vision_end_token_id"]
            .map(|field| (field, self.json[field].as_i64()))
    }

    /// Says that the output layer is not the embedding.
    pub(crate) fn untie(&mut self) {
        self.text.tie_word_embeddings = false;
        self.json["tie_word_embeddings"] = json!(false);
        if self.json["text_config"].is_object() {
            self.json["text_config"]["tie_word_embeddings"] = json!(false);
        }
    }
}

/// The decoder's fields, those that are left out as transformers has them, and without what [`Rope`] reads, which LLaMA's
/// reader would refuse.
fn decoder_fields(generation: Generation, text: &Value) -> Value {
    let mut all = generation.defaults();
    if let (Some(all), Some(given)) = (all.as_object_mut(), text.as_object()) {
        all.extend(given.clone());
        for field in ["rope_scaling", "rope_parameters", "rope_theta"] {
            all.remove(field);
        }
    }
    all
}
