//! What fields mean that a `config.json` leaves out: the defaults of transformers' `LlavaConfig`, `LlavaNextConfig` and
//! `LlavaOnevisionConfig`, and of the configurations of their parts where these are no LLaMA and no CLIP.

use candor_data::image::Pinpoints;
use serde_json::{Value, json};

use super::config::{FeatureLayers, LlavaConfig, LlavaKind};
use crate::Activation;

pub(super) fn architectures() -> Vec<String> {
    vec!["LlavaForConditionalGeneration".to_owned()]
}
pub(super) fn model_type() -> String {
    "llava".to_owned()
}
pub(super) fn image_token_index() -> i64 {
    32000
}
pub(super) fn projector_hidden_act() -> Activation {
    Activation::Gelu
}
pub(super) fn vision_feature_layer() -> FeatureLayers {
    FeatureLayers::One(-2)
}
pub(super) fn yes() -> bool {
    true
}

/// Whether fields that are left out mean something else than in a LLaVA-1.5 of CLIP and LLaMA.
pub(super) fn are_others(config: &LlavaConfig) -> bool {
    config.kind() != LlavaKind::Plain
        || config.text_config.model_type != "llama"
        || config.vision_config.model_type != "clip_vision_model"
}

/// Writes down what is left out.
pub(super) fn fill(config: &mut Value) {
    let kind = LlavaKind::of(config["model_type"].as_str().unwrap_or_default());
    if let Some(fields) = config.as_object_mut() {
        let null = |field: &str| fields.get(field).is_some_and(Value::is_null);
        if null("image_grid_pinpoints") || kind == Some(LlavaKind::Plain) {
            fields.remove("image_grid_pinpoints");
        }
    }
    match kind {
        Some(kind @ LlavaKind::Next) => add(
            config,
            &json!({"architectures": [kind.class()], "image_grid_pinpoints": Pinpoints::next()}),
        ),
        Some(kind @ LlavaKind::Onevision) => {
            let token = config.get("image_token_id").cloned();
            add(
                config,
                &json!({
                    "architectures": [kind.class()],
                    "image_token_index": token.unwrap_or_else(|| json!(151_646)),
                    "image_grid_pinpoints": Pinpoints::onevision(),
                    "vision_aspect_ratio": "anyres_max_9",
                    "vision_feature_select_strategy": "full",
                    "vision_feature_layer": -1,
                }),
            );
            if let Some(fields) = config.as_object_mut() {
                fields.remove("image_token_id");
            }
            let parts = [
                ("text_config", "qwen2"),
                ("vision_config", "siglip_vision_model"),
            ];
            for (part, model_type) in parts {
                add(&mut config[part], &json!({"model_type": model_type}));
            }
        }
        _ => {}
    }
    let text = &mut config["text_config"];
    match text["model_type"].as_str() {
        Some("mistral") => add(
            text,
            &json!({
                "intermediate_size": 14_336, "num_key_value_heads": 8, "max_position_embeddings": 131_072,
                "sliding_window": 4096,
            }),
        ),
        Some("qwen2") => add(
            text,
            &json!({
                "vocab_size": 151_936, "intermediate_size": 22_016, "num_key_value_heads": 32,
                "max_position_embeddings": 32_768,
            }),
        ),
        _ => {}
    }
    let vision = &mut config["vision_config"];
    if vision["model_type"] == "siglip_vision_model" {
        add(
            vision,
            &json!({
                "patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "vision_use_head": true,
            }),
        );
    }
}

/// Adds the fields of `defaults` that an object has not.
fn add(object: &mut Value, defaults: &Value) {
    let (Some(object), Some(defaults)) = (object.as_object_mut(), defaults.as_object()) else {
        return;
    };
    for (field, value) in defaults {
        if !object.contains_key(field) {
            object.insert(field.clone(), value.clone());
        }
    }
}
