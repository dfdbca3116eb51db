//! The decoder's part of a `config.json`: Hugging Face's `LlamaConfig`, field for field.

use serde::{Deserialize, Serialize};

use super::defaults;
use crate::DecoderSizes;

/// A LLaMA decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Always `llama`.
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
    /// Stretched positions of older exports; refused, because ignoring them would give other numbers.
    #[serde(default, skip_serializing)]
    pub rope_scaling: Option<serde_json::Value>,
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
    /// Base of the frequencies.
    #[serde(default = "defaults::rope_theta")]
    pub rope_theta: f64,
    /// `default` is the only kind LLaVA models use.
    #[serde(default = "defaults::rope_type")]
    pub rope_type: String,
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
        let newer = self.rope_parameters.as_ref().map(|r| r.rope_theta);
        newer
            .or(self.rope_theta)
            .unwrap_or_else(defaults::rope_theta)
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
