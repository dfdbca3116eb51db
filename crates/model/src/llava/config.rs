//! `config.json` of Hugging Face's `LlavaForConditionalGeneration`, field for field.
//!
//! Fields that an export leaves out have the defaults that transformers gives them (`LlavaConfig`); fields that change nothing here are ignored.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::defaults::{
    architectures, image_token_index, model_type, projector_hidden_act, vision_feature_layer, yes,
};
use crate::config::{FEW, LIMIT, check_limits, check_multiples};
use crate::{DecoderSizes, ModelError, TextConfig, TowerSizes, VisionConfig};

/// The whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlavaConfig {
    /// Always `["LlavaForConditionalGeneration"]`.
    #[serde(default = "architectures")]
    pub architectures: Vec<String>,
    /// Always `llava`.
    #[serde(default = "model_type")]
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
    /// GELU by a hyperbolic tangent.
    #[serde(rename = "gelu_pytorch_tanh")]
    GeluTanh,
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
            model_type: model_type(),
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
        check_limits(positive.map(|(field, value)| {
            let few = field.ends_with("num_hidden_layers") || field.ends_with("image_size");
            (field, value, if few { FEW } else { LIMIT })
        }))?;
        check_multiples([
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
        ])?;
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

    /// A model of these sizes that knows no words yet ([`LlavaConfig::with_words`]): heads of `width / n_heads`, and
    /// everything that is no size as in the first LLaVA.
    #[must_use]
    pub fn of_sizes(decoder: &DecoderSizes, tower: &TowerSizes) -> Self {
        Self {
            vision_feature_layer: tower.feature_layer,
            ..Self::of_parts(TextConfig::of_sizes(decoder), VisionConfig::of_sizes(tower))
        }
    }

    /// The same with so many words, one of which stands for an image.
    #[must_use]
    pub fn with_words(mut self, n_words: i64, image: i64) -> Self {
        self.text_config.vocab_size = n_words;
        self.image_token_index = image;
        self
    }

    /// Sizes of the tower.
    #[must_use]
    pub fn tower_sizes(&self) -> TowerSizes {
        TowerSizes {
            feature_layer: self.vision_feature_layer,
            ..self.vision_config.sizes()
        }
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
