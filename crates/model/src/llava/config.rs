//! `config.json` of Hugging Face's `LlavaForConditionalGeneration`, field for field.
//!
//! Fields that an export leaves out have the defaults that transformers gives them (`LlamaConfig`,
//! `CLIPVisionConfig`, `LlavaConfig`); fields that change nothing here are ignored.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::ModelError;
use defaults::{
    architectures, clip, clip_model_type, image_token_index, llama, llama_model_type,
    llava_model_type, projector_hidden_act, vision_feature_layer, yes,
};

mod defaults;

/// The largest size of anything: far above any model, it keeps a hostile file from asking for terabytes or
/// overflowing products.
const LIMIT: i64 = 1 << 24;
/// The most blocks, and the longest side of a picture.
const FEW: i64 = 1 << 12;

/// The whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlavaConfig {
    /// Always `["LlavaForConditionalGeneration"]`.
    #[serde(default = "architectures")]
    pub architectures: Vec<String>,
    /// Always `llava`.
    #[serde(default = "llava_model_type")]
    pub model_type: String,
    /// Id of the placeholder token that stands for one image patch.
    #[serde(default = "image_token_index", alias = "image_token_id")]
    pub image_token_index: i64,
    /// Activation between the projector's layers.
    #[serde(default = "projector_hidden_act")]
    pub projector_hidden_act: Activation,
    /// One or two layers; Hugging Face's own class always has two.
    #[serde(default, skip_serializing_if = "ProjectorKind::is_default")]
    pub mm_projector_type: ProjectorKind,
    /// Whether an image stands between `<im_start>` and `<im_end>`, as in the first version of LLaVA; Hugging Face's
    /// own class leaves that to the template.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mm_use_im_start_end: bool,
    /// Whether the projector's layers have a bias.
    #[serde(default = "yes")]
    pub multimodal_projector_bias: bool,
    /// Hidden layer of the tower that is handed to the projector; −1 is the last, −2 the one before.
    #[serde(default = "vision_feature_layer")]
    pub vision_feature_layer: i64,
    /// Whether the class token is dropped.
    #[serde(default)]
    pub vision_feature_select_strategy: FeatureSelect,
    /// Tie of the output layer to the embedding; older exports write it here, newer in `text_config`.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// The decoder.
    pub text_config: TextConfig,
    /// The tower.
    pub vision_config: VisionConfig,
}

/// Activation functions that exported LLaVA checkpoints use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Exact GELU.
    Gelu,
    /// x · σ(1.702 x), which OpenAI's CLIP was trained with.
    QuickGelu,
    /// x · σ(x).
    Silu,
}

/// What stands between tower and decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectorKind {
    /// LLaVA v1.5: linear, GELU, linear.
    #[default]
    #[serde(alias = "mlp2x_gelu")]
    Mlp,
    /// LLaVA v1: one linear layer.
    Linear,
}

impl ProjectorKind {
    #[allow(clippy::trivially_copy_pass_by_ref)] // Serde's `skip_serializing_if` asks for a reference.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // Serde's `skip_serializing_if` asks for a reference.
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Which of the tower's tokens the decoder sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureSelect {
    /// Patches only.
    #[default]
    Default,
    /// The class token and the patches.
    Full,
}

/// A LLaMA decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Always `llama`.
    #[serde(default = "llama_model_type")]
    pub model_type: String,
    /// Rows of the embedding.
    #[serde(default = "llama::vocab_size")]
    pub vocab_size: i64,
    /// Width.
    #[serde(default = "llama::hidden_size")]
    pub hidden_size: i64,
    /// Width inside the MLP.
    #[serde(default = "llama::intermediate_size")]
    pub intermediate_size: i64,
    /// Number of blocks.
    #[serde(default = "llama::num_hidden_layers")]
    pub num_hidden_layers: i64,
    /// Query heads.
    #[serde(default = "llama::num_attention_heads")]
    pub num_attention_heads: i64,
    /// Key and value heads; fewer than query heads is grouped-query attention.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<i64>,
    /// Width of a head when it is not `hidden_size / num_attention_heads`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<i64>,
    /// Epsilon of the RMS norms.
    #[serde(default = "llama::rms_norm_eps")]
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
    #[serde(default = "llama::max_position_embeddings")]
    pub max_position_embeddings: i64,
    /// Whether the output layer is the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
}

/// `rope_parameters` of newer exports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    /// Base of the frequencies.
    #[serde(default = "llama::rope_theta")]
    pub rope_theta: f64,
    /// `default` is the only kind LLaVA models use.
    #[serde(default = "llama::rope_type")]
    pub rope_type: String,
}

/// A CLIP vision tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Always `clip_vision_model`.
    #[serde(default = "clip_model_type")]
    pub model_type: String,
    /// Width.
    #[serde(default = "clip::hidden_size")]
    pub hidden_size: i64,
    /// Width inside the MLP.
    #[serde(default = "clip::intermediate_size")]
    pub intermediate_size: i64,
    /// Number of blocks.
    #[serde(default = "clip::num_hidden_layers")]
    pub num_hidden_layers: i64,
    /// Heads.
    #[serde(default = "clip::num_attention_heads")]
    pub num_attention_heads: i64,
    /// Side of the square input, in pixels.
    #[serde(default = "clip::image_size")]
    pub image_size: i64,
    /// Side of a patch, in pixels.
    #[serde(default = "clip::patch_size")]
    pub patch_size: i64,
    /// Epsilon of the layer norms.
    #[serde(default = "clip::layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Activation of the MLP.
    #[serde(default = "clip::hidden_act")]
    pub hidden_act: Activation,
    /// Width of the contrastive space, which only the text side of CLIP needs.
    #[serde(default = "clip::projection_dim")]
    pub projection_dim: i64,
}

impl LlavaConfig {
    /// The model that the `config.json` of a Hugging Face folder describes.
    ///
    /// # Errors
    /// A field is missing or has another type than it should.
    pub(crate) fn of_json(config: &str) -> Result<Self, String> {
        serde_json::from_str(config).map_err(|e| e.to_string())
    }

    /// A decoder that sees through a tower, everything else as in Hugging Face's class; the placeholder's id comes
    /// after the embedding's last row.
    pub(crate) fn of_parts(text_config: TextConfig, vision_config: VisionConfig) -> Self {
        Self {
            architectures: architectures(),
            model_type: llava_model_type(),
            image_token_index: text_config.vocab_size,
            projector_hidden_act: projector_hidden_act(),
            mm_projector_type: ProjectorKind::default(),
            mm_use_im_start_end: false,
            multimodal_projector_bias: true,
            vision_feature_layer: vision_feature_layer(),
            vision_feature_select_strategy: FeatureSelect::default(),
            tie_word_embeddings: false,
            text_config,
            vision_config,
        }
    }

    /// Writes `config.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ModelError> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| ModelError::Config {
            path: path.to_owned(),
            problem: e.to_string(),
            remedy: "numbers must be finite",
        })?;
        Ok(candor_data::atomic::write(path, &json)?)
    }

    /// Whether the sizes fit together; the message says which do not.
    ///
    /// # Errors
    /// Names the fields and what is wrong between them.
    pub fn check(&self) -> Result<(), String> {
        let (t, v) = (&self.text_config, &self.vision_config);
        let positive = [
            ("text_config.vocab_size", t.vocab_size),
            ("text_config.hidden_size", t.hidden_size),
            ("text_config.intermediate_size", t.intermediate_size),
            ("text_config.num_hidden_layers", t.num_hidden_layers),
            ("text_config.num_attention_heads", t.num_attention_heads),
            ("text_config.num_key_value_heads", t.n_kv_heads()),
            ("vision_config.hidden_size", v.hidden_size),
            ("vision_config.intermediate_size", v.intermediate_size),
            ("vision_config.num_hidden_layers", v.num_hidden_layers),
            ("vision_config.num_attention_heads", v.num_attention_heads),
            ("vision_config.image_size", v.image_size),
            ("vision_config.patch_size", v.patch_size),
        ];
        for (field, value) in positive {
            let few = field.ends_with("num_hidden_layers") || field.ends_with("image_size");
            let limit = if few { FEW } else { LIMIT };
            if !(1..=limit).contains(&value) {
                return Err(format!(
                    "`{field}` is {value}, which is not between 1 and {limit}"
                ));
            }
        }
        let divides = [
            (
                "text_config.num_attention_heads",
                t.num_attention_heads,
                "num_key_value_heads",
                t.n_kv_heads(),
            ),
            (
                "vision_config.hidden_size",
                v.hidden_size,
                "num_attention_heads",
                v.num_attention_heads,
            ),
            (
                "vision_config.image_size",
                v.image_size,
                "patch_size",
                v.patch_size,
            ),
        ];
        for (field, whole, part_field, part) in divides {
            if whole % part != 0 {
                return Err(format!(
                    "`{field}` is {whole}, which `{part_field}` = {part} does not divide"
                ));
            }
        }
        if t.head_dim() % 2 != 0 || t.head_dim() < 1 {
            return Err(format!(
                "the width of a head is {}, which rotary positions cannot halve",
                t.head_dim()
            ));
        }
        if let Some(scaling) = &t.rope_scaling {
            return Err(format!(
                "`rope_scaling` is {scaling}; only models without it are supported"
            ));
        }
        if let Some(rope) = &t.rope_parameters
            && rope.rope_type != "default"
        {
            return Err(format!(
                "`rope_type` is `{}`; only `default` is supported",
                rope.rope_type
            ));
        }
        self.n_tower_blocks().map(|_| ())
    }

    /// Blocks of the tower that the chosen hidden layer needs (hidden layer 0 is the embedding).
    fn n_tower_blocks(&self) -> Result<i64, String> {
        let n = self.vision_config.num_hidden_layers;
        let layer = self.vision_feature_layer;
        let resolved = if layer < 0 { n + 1 + layer } else { layer };
        if (0..=n).contains(&resolved) {
            Ok(resolved)
        } else {
            Err(format!(
                "`vision_feature_layer` is {layer}, but the tower has {n} layers"
            ))
        }
    }

    /// Index of the chosen hidden state, 0 being the embedding.
    #[must_use]
    pub fn feature_layer(&self) -> i64 {
        self.n_tower_blocks()
            .unwrap_or(self.vision_config.num_hidden_layers)
    }

    /// Tokens that one image takes in the sequence.
    #[must_use]
    pub fn n_image_tokens(&self) -> usize {
        let side = self.vision_config.image_size / self.vision_config.patch_size;
        let class_token = i64::from(self.vision_feature_select_strategy == FeatureSelect::Full);
        (side * side + class_token) as usize
    }

    /// Says that the output layer is not the embedding.
    pub(crate) fn untie(&mut self) {
        self.tie_word_embeddings = false;
        self.text_config.tie_word_embeddings = false;
    }

    /// Whether the output layer is the embedding, wherever the export wrote it.
    #[must_use]
    pub fn tied(&self) -> bool {
        self.tie_word_embeddings || self.text_config.tie_word_embeddings
    }
}

impl VisionConfig {
    /// `OpenAI`'s ViT-L/14 for pictures of this size.
    pub(crate) fn clip_large_14(image_size: i64) -> Self {
        Self {
            model_type: clip_model_type(),
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            image_size,
            patch_size: 14,
            layer_norm_eps: clip::layer_norm_eps(),
            hidden_act: clip::hidden_act(),
            projection_dim: 768,
        }
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
        let newer = self.rope_parameters.as_ref().map(|r| r.rope_theta);
        newer.or(self.rope_theta).unwrap_or_else(llama::rope_theta)
    }
}
