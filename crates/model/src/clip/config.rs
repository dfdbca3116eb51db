//! The tower's part of a `config.json`: Hugging Face's `CLIPVisionConfig`, field for field, which `SiglipVisionConfig` has
//! as well.

use serde::{Deserialize, Serialize};

use super::defaults;
use crate::{Activation, TowerSizes};

/// A CLIP vision tower, or a SigLIP one, which has neither a class token nor a norm before its blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// `clip_vision_model` or `siglip_vision_model`.
    #[serde(default = "defaults::model_type")]
    pub model_type: String,
    /// Width.
    #[serde(default = "defaults::hidden_size")]
    pub hidden_size: i64,
    /// Width inside the MLP.
    #[serde(default = "defaults::intermediate_size")]
    pub intermediate_size: i64,
    /// Number of blocks.
    #[serde(default = "defaults::num_hidden_layers")]
    pub num_hidden_layers: i64,
    /// Heads.
    #[serde(default = "defaults::num_attention_heads")]
    pub num_attention_heads: i64,
    /// Side of the square input, in pixels.
    #[serde(default = "defaults::image_size")]
    pub image_size: i64,
    /// Side of a patch, in pixels.
    #[serde(default = "defaults::patch_size")]
    pub patch_size: i64,
    /// Epsilon of the layer norms.
    #[serde(default = "defaults::layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Activation of the MLP.
    #[serde(default = "defaults::hidden_act")]
    pub hidden_act: Activation,
    /// Width of the contrastive space, which only the text side of CLIP needs.
    #[serde(default = "defaults::projection_dim")]
    pub projection_dim: i64,
    /// Whether a SigLIP has a head that pools its features, which no LLaVA reads; refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision_use_head: Option<bool>,
}

impl VisionConfig {
    /// `OpenAI`'s ViT-L/14 for images of this size.
    pub(crate) fn clip_large_14(image_size: i64) -> Self {
        Self {
            model_type: defaults::model_type(),
            hidden_size: 1024,
            intermediate_size: 4096,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            image_size,
            patch_size: 14,
            layer_norm_eps: defaults::layer_norm_eps(),
            hidden_act: defaults::hidden_act(),
            projection_dim: 768,
            vision_use_head: None,
        }
    }

    /// A tower of these sizes, everything else as in `OpenAI`'s.
    pub(crate) fn of_sizes(sizes: &TowerSizes) -> Self {
        Self {
            model_type: defaults::model_type(),
            hidden_size: sizes.width,
            intermediate_size: sizes.mlp_width,
            num_hidden_layers: sizes.n_blocks,
            num_attention_heads: sizes.n_heads,
            image_size: sizes.image_size,
            patch_size: sizes.patch_size,
            layer_norm_eps: defaults::layer_norm_eps(),
            hidden_act: defaults::hidden_act(),
            projection_dim: defaults::projection_dim(),
            vision_use_head: None,
        }
    }

    /// Whether a token stands before those of the patches.
    #[must_use]
    pub fn has_class_token(&self) -> bool {
        self.model_type != "siglip_vision_model"
    }

    /// Patches along a side of the image. What is left over at the right and below is not seen.
    #[must_use]
    pub fn patches_to_a_side(&self) -> i64 {
        self.image_size / self.patch_size
    }

    /// Whether nothing in it asks for what is not computed.
    ///
    /// # Errors
    /// Names the field.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.vision_use_head == Some(true) {
            let problem = "`vision_config.vision_use_head` is true, which a SigLIP has where the field is missing, too; only \
                           false is supported";
            return Err(problem.to_owned());
        }
        Ok(())
    }

    /// Its sizes, handed on after the last layer.
    pub(crate) fn sizes(&self) -> TowerSizes {
        TowerSizes {
            width: self.hidden_size,
            mlp_width: self.intermediate_size,
            n_blocks: self.num_hidden_layers,
            n_heads: self.num_attention_heads,
            image_size: self.image_size,
            patch_size: self.patch_size,
            feature_layer: -1,
        }
    }
}
