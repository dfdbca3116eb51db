//! `config.json` of Hugging Face's `LlavaForConditionalGeneration`, `LlavaNextForConditionalGeneration` and
//! `LlavaOnevisionForConditionalGeneration`, field for field.
//!
//! Fields that an export leaves out have the defaults that transformers gives them ([`defaults`]); fields that change nothing here are ignored.

use std::path::Path;

use candor_data::image::Pinpoints;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::defaults::{
    self, architectures, image_token_index, model_type, projector_hidden_act, vision_feature_layer,
    yes,
};
use crate::config::{FEW, LIMIT, check_limits, check_multiples};
use crate::{DecoderSizes, ModelError, TextConfig, TowerSizes, VisionConfig};

/// The whole model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LlavaConfig {
    /// The name of its class.
    #[serde(default = "architectures")]
    pub architectures: Vec<String>,
    /// Which LLaVA it is ([`LlavaKind`]).
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
    /// Hidden layers of the tower that are handed to the projector.
    #[serde(default = "vision_feature_layer")]
    pub vision_feature_layer: FeatureLayers,
    /// Whether the class token is dropped.
    #[serde(default)]
    pub vision_feature_select_strategy: FeatureSelect,
    /// Heights and widths in pixels that images are tiled at; none where an image is one view.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_grid_pinpoints: Option<Pinpoints>,
    /// `anyres_max_N`: an image's tiles give no more tokens than about N tiles have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision_aspect_ratio: Option<String>,
    /// Tie of the output layer to the embedding; older exports write it here, newer in `text_config`.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// The decoder.
    pub text_config: TextConfig,
    /// The tower.
    pub vision_config: VisionConfig,
}

/// Which LLaVA it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LlavaKind {
    /// LLaVA and LLaVA-1.5: an image is one view.
    Plain,
    /// LLaVA-NeXT (1.6): an image is a view of the whole and tiles.
    Next,
    /// LLaVA-OneVision: the same, and large images are brought to fewer tokens.
    Onevision,
}

impl LlavaKind {
    /// The kind of a `model_type`.
    pub(crate) fn of(model_type: &str) -> Option<Self> {
        match model_type {
            "llava" => Some(Self::Plain),
            "llava_next" => Some(Self::Next),
            "llava_onevision" => Some(Self::Onevision),
            _ => None,
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "LLaVA",
            Self::Next => "LLaVA-NeXT",
            Self::Onevision => "LLaVA-OneVision",
        }
    }

    /// Its class of transformers.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Plain => "LlavaForConditionalGeneration",
            Self::Next => "LlavaNextForConditionalGeneration",
            Self::Onevision => "LlavaOnevisionForConditionalGeneration",
        }
    }

    /// Its processor of transformers.
    pub(crate) fn processor_class(self) -> &'static str {
        match self {
            Self::Plain => "LlavaProcessor",
            Self::Next => "LlavaNextProcessor",
            Self::Onevision => "LlavaOnevisionProcessor",
        }
    }
}

/// Hidden layers of a tower, 0 being the embedding; −1 is the last, −2 the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the number of a hidden layer, or a list of numbers"
)]
pub enum FeatureLayers {
    /// One.
    One(i64),
    /// Several, whose outputs stand beside each other.
    Several(Vec<i64>),
}

impl FeatureLayers {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[i64] {
        match self {
            Self::One(layer) => std::slice::from_ref(layer),
            Self::Several(layers) => layers,
        }
    }
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
        // Named by line and column, as long as the text is what is read.
        let mut read: Self = serde_json::from_str(config).map_err(|e| e.to_string())?;
        if !defaults::are_others(&read) {
            return Ok(read);
        }
        let mut all: Value = serde_json::from_str(config).map_err(|e| e.to_string())?;
        defaults::fill(&mut all);
        read = serde_json::from_value(all).map_err(|e| e.to_string())?;
        read.text_config.qkv_bias = read.text_config.model_type == "qwen2";
        Ok(read)
    }

    /// Which LLaVA it is.
    #[must_use]
    pub fn kind(&self) -> LlavaKind {
        LlavaKind::of(&self.model_type).unwrap_or(LlavaKind::Plain)
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
            image_grid_pinpoints: None,
            vision_aspect_ratio: None,
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
        ])?;
        if v.image_size % v.patch_size != 0 && v.has_class_token() || v.patch_size > v.image_size {
            return Err(format!(
                "`vision_config.image_size` is {}, which `patch_size` = {} does not divide",
                v.image_size, v.patch_size
            ));
        }
        t.check()?;
        v.check()?;
        self.check_features()?;
        self.check_tiles()
    }

    /// Whether the tower has the layers that are handed on, and the token that is dropped.
    fn check_features(&self) -> Result<(), String> {
        let n = self.vision_config.num_hidden_layers;
        let layers = self.vision_feature_layer.all();
        if layers.is_empty() {
            return Err("`vision_feature_layer` is an empty list".to_owned());
        }
        if let Some(layer) = layers.iter().find(|layer| !(-n - 1..=n).contains(*layer)) {
            return Err(format!(
                "`vision_feature_layer` is {layer}, but the tower has {n} layers"
            ));
        }
        let drops = self.vision_feature_select_strategy == FeatureSelect::Default;
        let class_token = self.vision_config.has_class_token();
        if drops && !class_token {
            let problem = "`vision_feature_select_strategy` is `default`, which drops a class token, and a SigLIP has none";
            return Err(problem.to_owned());
        }
        if !drops && class_token && self.kind() != LlavaKind::Plain {
            let problem = "`vision_feature_select_strategy` is `full`, and class tokens have no place in rows of tiles";
            return Err(problem.to_owned());
        }
        Ok(())
    }

    /// Blocks of the tower before each layer that is handed on (hidden layer 0 is the embedding).
    #[must_use]
    pub fn feature_layers(&self) -> Vec<usize> {
        let n = self.vision_config.num_hidden_layers;
        let layers = self.vision_feature_layer.all().iter();
        let after = |&layer: &i64| if layer < 0 { n + 1 + layer } else { layer };
        layers
            .map(|layer| after(layer).clamp(0, n) as usize)
            .collect()
    }

    /// Numbers in a row of features: the outputs of all layers that are handed on.
    #[must_use]
    pub fn feature_width(&self) -> i64 {
        self.vision_config.hidden_size * self.vision_feature_layer.all().len() as i64
    }

    /// Rows of features of one view.
    #[must_use]
    pub fn n_view_rows(&self) -> i64 {
        let side = self.vision_config.patches_to_a_side();
        let full = self.vision_feature_select_strategy == FeatureSelect::Full;
        side * side + i64::from(full && self.vision_config.has_class_token())
    }

    /// A model of these sizes that knows no words yet ([`LlavaConfig::with_words`]): heads of `width / n_heads`, and
    /// everything that is no size as in the first LLaVA.
    #[must_use]
    pub fn of_sizes(decoder: &DecoderSizes, tower: &TowerSizes) -> Self {
        Self {
            vision_feature_layer: FeatureLayers::One(tower.feature_layer),
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
            feature_layer: self
                .vision_feature_layer
                .all()
                .last()
                .copied()
                .unwrap_or(-1),
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
