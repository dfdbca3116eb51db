//! The original LLaVA's `config.json` as the one that candor works with.
//!
//! It is a LLaMA's with fields that begin with `mm_` beside those of the decoder. The tower is described by its own
//! folder, which only `mm_vision_tower` names.

use serde::Deserialize;
use serde_json::Value;

use crate::{FeatureLayers, FeatureSelect, LlavaConfig, ProjectorKind, TextConfig, VisionConfig};

/// The fields that say how the decoder sees.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Original {
    /// Name or folder of the CLIP.
    pub(crate) mm_vision_tower: Option<String>,
    /// `pad` is to a square; without it the centre is cropped.
    image_aspect_ratio: Option<String>,
    mm_projector_type: Option<String>,
    mm_resampler_type: Option<String>,
    mm_hidden_size: Option<i64>,
    mm_vision_select_layer: Option<i64>,
    mm_vision_select_feature: Option<String>,
    #[serde(default)]
    mm_use_im_start_end: bool,
}

impl Original {
    /// # Errors
    /// A field has another type than it should.
    pub(crate) fn of(config: &str) -> Result<Self, String> {
        serde_json::from_str(config).map_err(|e| e.to_string())
    }

    /// Whether images are padded to a square.
    pub(crate) fn pads(&self) -> Result<bool, String> {
        match self.image_aspect_ratio.as_deref() {
            None | Some("square") => Ok(false),
            Some("pad") => Ok(true),
            Some(other) => Err(only("image_aspect_ratio", other, "`pad` and `square`")),
        }
    }

    /// The whole model with this tower. `image_token_index` is the first id that the embedding has no row for: the
    /// original's −200 is no id of a vocabulary.
    ///
    /// # Errors
    /// A field asks for what candor does not compute, or does not fit the tower.
    pub(crate) fn with_tower(
        &self,
        config: &str,
        tower: VisionConfig,
    ) -> Result<LlavaConfig, String> {
        let mut text: TextConfig = serde_json::from_str(config).map_err(|e| e.to_string())?;
        "llama".clone_into(&mut text.model_type);
        if let Some(width) = self.mm_hidden_size
            && width != tower.hidden_size
        {
            return Err(format!(
                "`mm_hidden_size` is {width}, but the tower's `hidden_size` is {}",
                tower.hidden_size
            ));
        }
        if let Some(resampler) = self.mm_resampler_type.as_deref() {
            return Err(only("mm_resampler_type", resampler, "null"));
        }
        let projector = match self.mm_projector_type.as_deref() {
            None | Some("linear") => ProjectorKind::Linear,
            Some("mlp2x_gelu") => ProjectorKind::Mlp,
            Some(other) => {
                return Err(only(
                    "mm_projector_type",
                    other,
                    "`linear` and `mlp2x_gelu`",
                ));
            }
        };
        let select = match self.mm_vision_select_feature.as_deref() {
            None | Some("patch") => FeatureSelect::Default,
            Some("cls_patch") => FeatureSelect::Full,
            Some(other) => {
                return Err(only(
                    "mm_vision_select_feature",
                    other,
                    "`patch` and `cls_patch`",
                ));
            }
        };
        let tied = text.tie_word_embeddings;
        let mut config = LlavaConfig::of_parts(text, tower);
        config.mm_projector_type = projector;
        config.vision_feature_select_strategy = select;
        config.tie_word_embeddings = tied;
        config.mm_use_im_start_end = self.mm_use_im_start_end;
        if let Some(layer) = self.mm_vision_select_layer {
            config.vision_feature_layer = FeatureLayers::One(layer);
        }
        Ok(config)
    }
}

fn only(field: &str, found: &str, supported: &str) -> String {
    format!("`{field}` is {found:?}, only {supported} are supported")
}

/// OpenAI's CLIP ViT-L/14, by the last part of its name: every published LLaVA v1 and v1.5 has one of these, and its
/// checkpoint may hold the weights without describing them.
pub(crate) fn known_tower(name: &str) -> Option<VisionConfig> {
    let image_size = match name.rsplit('/').next()? {
        "clip-vit-large-patch14" => 224,
        "clip-vit-large-patch14-336" => 336,
        _ => return None,
    };
    Some(VisionConfig::clip_large_14(image_size))
}

/// The tower that a CLIP's own `config.json` describes, be it of the whole CLIP or of the half that sees.
///
/// # Errors
/// It is another model's.
pub(crate) fn tower(config: &Value) -> Result<VisionConfig, String> {
    let part = match config["model_type"].as_str() {
        Some("clip") => &config["vision_config"],
        Some("clip_vision_model") => config,
        other => {
            return Err(format!(
                "`model_type` is {:?}, not a CLIP",
                other.unwrap_or_default()
            ));
        }
    };
    VisionConfig::deserialize(part).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn llava_1_5() -> Value {
        json!({
            "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava", "vocab_size": 32000,
            "hidden_size": 4096, "rms_norm_eps": 1e-5, "rope_scaling": null, "mm_hidden_size": 1024,
            "mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_projector_type": "mlp2x_gelu",
            "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch", "mm_resampler_type": null,
            "mm_use_im_start_end": false, "image_aspect_ratio": "pad",
        })
    }

    fn read(config: &Value) -> Result<LlavaConfig, String> {
        let config = &config.to_string();
        let original = Original::of(config)?;
        original.pads()?;
        let tower = known_tower(original.mm_vision_tower.as_deref().unwrap()).unwrap();
        original.with_tower(config, tower)
    }

    #[test]
    fn llava_1_5_is_a_llama_that_sees_336_pixels() {
        let config = read(&llava_1_5()).unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(
            (config.n_view_rows(), config.feature_layers()),
            (576, vec![23])
        );
        assert_eq!(config.image_token_index, 32000);
        assert_eq!(config.mm_projector_type, ProjectorKind::Mlp);
        assert_eq!(config.text_config.rms_norm_eps.to_string(), "0.00001");
        assert_eq!(config.vision_config.hidden_size, 1024);
        assert!(!config.mm_use_im_start_end && !config.tied());
        assert_eq!(
            Original::of(&llava_1_5().to_string()).unwrap().pads(),
            Ok(true)
        );
    }

    #[test]
    fn version_1_has_a_linear_projector_and_says_little() {
        let config = json!({
            "model_type": "llava", "vocab_size": 32003, "mm_vision_tower": "openai/clip-vit-large-patch14",
            "mm_use_im_start_end": true,
        });
        let read = read(&config).unwrap();
        assert_eq!(read.mm_projector_type, ProjectorKind::Linear);
        assert_eq!((read.n_view_rows(), read.image_token_index), (256, 32003));
        assert!(read.mm_use_im_start_end);
        assert_eq!(Original::of(&config.to_string()).unwrap().pads(), Ok(false));
    }

    #[test]
    fn what_is_computed_otherwise_is_refused_by_field() {
        for (field, value) in [
            ("mm_projector_type", json!("mlp3x_gelu")),
            ("mm_resampler_type", json!("perceiver")),
            ("mm_vision_select_feature", json!("cls")),
            ("mm_hidden_size", json!(768)),
            ("image_aspect_ratio", json!("anyres")),
        ] {
            let mut config = llava_1_5();
            config[field] = value;
            let message = read(&config).unwrap_err();
            assert!(message.contains(field), "{message}");
        }
    }
}
