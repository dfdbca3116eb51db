//! The decoder's part of a `config.json`: Hugging Face's `LlamaConfig`, field for field, and what `MistralConfig` and
//! `Qwen2Config` have beside.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::defaults;
use super::rotary::Llama3;
use crate::DecoderSizes;

/// A LLaMA decoder, or one built like it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// `llama`, `mistral` or `qwen2`; Qwen-VL has names of its own.
    #[serde(default = "defaults::model_type")]
    pub model_type: String,
    /// Rows of the embedding.
    #[serde(default = "defaults::vocab_size")]
    pub vocab_size: i64,
    /// Width.
    #[serde(default = "defaults::hidden_size")]
    pub hidden_size: i64,
    /// Width inside the MLP.
    #[serde(default = "defaults::intermediate_size")]
    pub intermediate_size: i64,
    /// Number of blocks.
    #[serde(default = "defaults::num_hidden_layers")]
    pub num_hidden_layers: i64,
    /// Query heads.
    #[serde(default = "defaults::num_attention_heads")]
    pub num_attention_heads: i64,
    /// Key and value heads; fewer than query heads is grouped-query attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<i64>,
    /// Width of a head when it is not `hidden_size / num_attention_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<i64>,
    /// Epsilon of the RMS norms.
    #[serde(default = "defaults::rms_norm_eps")]
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies; newer exports write it in `rope_parameters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// Newer form of `rope_theta`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// Stretched positions, as older exports write them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeScaling>,
    /// How far back a token of a Mistral sees, or null for as far as there is anything; refused where it is shorter than a
    /// sequence may be.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sliding_window: Option<Value>,
    /// Longest sequence.
    #[serde(default = "defaults::max_position_embeddings")]
    pub max_position_embeddings: i64,
    /// Whether the output layer is the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether queries, keys and values have biases, as Qwen2's have and no LLaMA's.
    #[serde(skip)]
    pub qkv_bias: bool,
    /// Whether each head of queries and keys has a norm before it is turned, as Qwen3's have.
    #[serde(skip)]
    pub qk_norms: bool,
    /// The axis of positions that each of the `head_dim / 2` rotary frequencies turns by; none where positions have one
    /// axis.
    #[serde(skip)]
    pub rope_axes: Option<Vec<i64>>,
}

/// `rope_parameters` of newer exports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    /// Base of the frequencies; where it is missing, the older form beside this one says it, as in transformers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_theta: Option<f64>,
    /// How positions are stretched.
    #[serde(flatten)]
    pub scaling: RopeScaling,
}

/// How the rotary frequencies differ from those of the first LLaMA.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeScaling {
    /// `default` for not at all, as where it is missing, or `llama3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_type: Option<String>,
    /// Its older name; files may have both.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub older_type: Option<String>,
    /// What slow frequencies are divided by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// Waves longer than the share of one by this of the older positions are slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_freq_factor: Option<f64>,
    /// Waves shorter than the share of one by this of the older positions stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_freq_factor: Option<f64>,
    /// Positions that the model was first trained with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_max_position_embeddings: Option<f64>,
}

/// A field that is there, be it null.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(field).map(Some)
}

impl RopeScaling {
    fn kind(&self) -> &str {
        let said = self.rope_type.as_deref().or(self.older_type.as_deref());
        said.unwrap_or("default")
    }
}

impl TextConfig {
    /// Key and value heads.
    #[must_use]
    pub fn n_kv_heads(&self) -> i64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of one head.
    #[must_use]
    pub fn head_dim(&self) -> i64 {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads)
    }

    /// Base of the rotary frequencies.
    #[must_use]
    pub fn rope_base(&self) -> f64 {
        let newer = self.rope_parameters.as_ref().and_then(|r| r.rope_theta);
        newer
            .or(self.rope_theta)
            .unwrap_or_else(defaults::rope_theta)
    }

    /// How its positions are stretched, if they are.
    fn scaling(&self) -> Option<&RopeScaling> {
        let newer = self.rope_parameters.as_ref().map(|rope| &rope.scaling);
        newer.or(self.rope_scaling.as_ref())
    }

    /// How Llama 3 stretches its positions; none where they are as in the first LLaMA, or not computed
    /// ([`TextConfig::check`]).
    pub(crate) fn llama3(&self) -> Option<Llama3> {
        let scaling = self.scaling().filter(|s| s.kind() == "llama3")?;
        Some(Llama3 {
            factor: scaling.factor?,
            low: scaling.low_freq_factor?,
            high: scaling.high_freq_factor?,
            positions: scaling.original_max_position_embeddings?,
        })
    }

    /// Whether nothing in it asks for what is not computed; the message names the field.
    ///
    /// # Errors
    /// Names the field and what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        let head = self.head_dim();
        if head % 2 != 0 || head < 1 {
            return Err(format!(
                "the width of a head is {head}, which rotary positions cannot halve"
            ));
        }
        let window = self.sliding_window.as_ref().and_then(Value::as_i64);
        if let Some(window) = window.filter(|_| self.model_type == "mistral")
            && window < self.max_position_embeddings
        {
            return Err(format!(
                "`sliding_window` is {window}, fewer than the {} positions; only a Mistral that sees all of them (null) is supported",
                self.max_position_embeddings
            ));
        }
        let Some(scaling) = self.scaling() else {
            return Ok(());
        };
        match (scaling.kind(), self.llama3()) {
            ("default", _) => Ok(()),
            ("llama3", Some(llama3)) => llama3.check(),
            ("llama3", None) => Err(
                "`rope_type` is `llama3`, which needs `factor`, `low_freq_factor`, `high_freq_factor` and \
                 `original_max_position_embeddings`"
                    .to_owned(),
            ),
            (other, _) => Err(format!(
                "`rope_type` is `{other}`; only `default` and `llama3` are supported"
            )),
        }
    }

    /// A decoder of these sizes, everything else as in the first LLaMA.
    pub(crate) fn of_sizes(sizes: &DecoderSizes) -> Self {
        let own_head_width = sizes.head_width * sizes.n_heads != sizes.width;
        Self {
            model_type: defaults::model_type(),
            vocab_size: sizes.n_words,
            hidden_size: sizes.width,
            intermediate_size: sizes.mlp_width,
            num_hidden_layers: sizes.n_blocks,
            num_attention_heads: sizes.n_heads,
            num_key_value_heads: Some(sizes.n_kv_heads),
            head_dim: own_head_width.then_some(sizes.head_width),
            rms_norm_eps: defaults::rms_norm_eps(),
            rope_theta: Some(defaults::rope_theta()),
            rope_parameters: None,
            rope_scaling: None,
            sliding_window: None,
            max_position_embeddings: sizes.n_positions,
            tie_word_embeddings: false,
            qkv_bias: false,
            qk_norms: false,
            rope_axes: None,
        }
    }

    /// Its sizes.
    pub(crate) fn sizes(&self) -> DecoderSizes {
        DecoderSizes {
            width: self.hidden_size,
            mlp_width: self.intermediate_size,
            n_blocks: self.num_hidden_layers,
            n_heads: self.num_attention_heads,
            n_kv_heads: self.n_kv_heads(),
            head_width: self.head_dim(),
            n_words: self.vocab_size,
            n_positions: self.max_position_embeddings,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_base_of_the_frequencies_is_said_in_one_of_two_places() {
        for (fields, base) in [
            (json!({}), 10_000.0),
            (json!({"rope_theta": 5e5}), 5e5),
            (
                json!({"rope_theta": 5e5, "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}),
                1e6,
            ),
            (
                json!({"rope_theta": 5e5, "rope_parameters": {"rope_type": "default"}}),
                5e5,
            ),
            (
                json!({"rope_parameters": {"rope_type": "default"}}),
                10_000.0,
            ),
        ] {
            let config: TextConfig = serde_json::from_value(fields.clone()).unwrap();
            assert_eq!(
                config.rope_base().to_string(),
                f64::to_string(&base),
                "{fields}"
            );
        }
    }
}
