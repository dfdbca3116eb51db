//! What kind of model a `config.json` describes, and that nothing in it asks for what candor does not compute.

use std::path::Path;

use candor_data::bounded::{self, Bound};
use serde_json::Value;

use crate::ModelError;
use crate::qwen::Generation;

pub(crate) mod original;

const BOUND: Bound = Bound {
    max_bytes: 4 << 20,
    action: "read the configuration",
    unreadable: "give the folder of a model; check that it holds a config.json that may be read",
    too_large: "a configuration has a few kilobytes; download the file again",
};

/// How a checkpoint is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointFormat {
    /// `LlavaForConditionalGeneration` of transformers and its younger classes: everything in one folder. What candor
    /// writes, too.
    HuggingFace,
    /// `LlavaLlamaForCausalLM` of the original code: the tower is a CLIP in a folder of its own.
    Original,
}

/// Fields on which the arithmetic depends, each with the values that candor computes. A field that is missing has the first
/// in transformers, too.
const ONLY: [(&str, &[&str]); 11] = [
    ("/text_config/model_type", &["llama", "mistral", "qwen2"]),
    ("/text_config/hidden_act", &["silu"]),
    ("/text_config/attention_bias", &["false"]),
    ("/text_config/mlp_bias", &["false"]),
    ("/text_config/use_sliding_window", &["false"]),
    (
        "/vision_config/model_type",
        &["clip_vision_model", "siglip_vision_model"],
    ),
    ("/vision_config/num_channels", &["3"]),
    // The original's text fields stand outside, and it is always a LLaMA.
    ("/hidden_act", &["silu"]),
    ("/attention_bias", &["false"]),
    ("/mlp_bias", &["false"]),
    ("/rope_scaling", &["null"]),
];

impl CheckpointFormat {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HuggingFace => "Hugging Face transformers",
            Self::Original => "original LLaVA (LlavaLlamaForCausalLM)",
        }
    }

    /// The format of a configuration of a LLaVA.
    fn of(config: &Value) -> Result<Self, String> {
        let text = |field: &str| config[field].as_str().unwrap_or_default();
        let class = config["architectures"][0].as_str().unwrap_or_default();
        let model_type = text("model_type");
        match (class, model_type) {
            ("LlavaForConditionalGeneration", "llava" | "")
            | ("LlavaNextForConditionalGeneration" | "", "llava_next")
            | ("LlavaOnevisionForConditionalGeneration" | "", "llava_onevision")
            | ("", "llava")
                if config["text_config"].is_object() =>
            {
                Ok(Self::HuggingFace)
            }
            ("LlavaLlamaForCausalLM", "llava" | "llava_llama" | "") => Ok(Self::Original),
            ("", "llava" | "llava_llama") if config["mm_vision_tower"].is_string() => {
                Ok(Self::Original)
            }
            _ => Err(format!(
                "describes {class:?} of type {model_type:?}, which is no LLaVA, LLaVA-NeXT, LLaVA-OneVision, Qwen2-VL, Qwen2.5-VL or Qwen3-VL"
            )),
        }
    }
}

/// A configuration's format, and its text: read again from it, a field of the wrong type is named by line and column.
///
/// # Errors
/// The file cannot be read, is no JSON, describes another kind of model, or asks for what candor does not compute.
pub(crate) fn read(path: &Path) -> Result<(CheckpointFormat, String), ModelError> {
    let text = text(path)?;
    let config: Value = parse(path, &text)?;
    let model_type = config["model_type"].as_str().unwrap_or_default();
    if Generation::of(model_type).is_some() {
        return Ok((CheckpointFormat::HuggingFace, text));
    }
    if model_type == "qwen3_vl_moe" {
        let problem =
            "describes a Qwen3-VL of experts (qwen3_vl_moe), and candor computes dense ones"
                .to_owned();
        return Err(refused(path, problem, "use a dense Qwen3-VL"));
    }
    let checkpoint_format = CheckpointFormat::of(&config).map_err(|problem| {
        let remedy = "give a LlavaForConditionalGeneration, LlavaNextForConditionalGeneration, \
                      LlavaOnevisionForConditionalGeneration, Qwen2VLForConditionalGeneration, \
                      Qwen2_5_VLForConditionalGeneration or Qwen3VLForConditionalGeneration of transformers, or a LlavaLlamaForCausalLM of LLaVA; \
                      adapters and towers are given beside it";
        refused(path, problem, remedy)
    })?;
    check_only(&config).map_err(|problem| {
        refused(
            path,
            problem,
            "use a LLaVA whose decoder is a LLaMA, Mistral or Qwen2 and whose tower is a CLIP or SigLIP",
        )
    })?;
    Ok((checkpoint_format, text))
}

/// The text of a configuration that describes a LLaMA and nothing that it sees with.
///
/// # Errors
/// The file cannot be read, is no JSON, describes another kind of model, or asks for what candor does not compute.
pub(crate) fn decoder(path: &Path) -> Result<String, ModelError> {
    let text = text(path)?;
    let config: Value = parse(path, &text)?;
    let model_type = config["model_type"].as_str().unwrap_or_default();
    if model_type != "llama" {
        let problem = format!("describes a model of type {model_type:?}, and no LLaMA");
        let remedy = "give the folder of a LLaMA or Vicuna; a LLaVA has its parts already";
        return Err(refused(path, problem, remedy));
    }
    check_only(&config)
        .map_err(|problem| refused(path, problem, "use a LLaMA or Vicuna without such fields"))?;
    Ok(text)
}

/// That each of [`ONLY`] has its value, where it is there.
fn check_only(config: &Value) -> Result<(), String> {
    for (pointer, only) in ONLY {
        let found = match config.pointer(pointer) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        if !only.contains(&found.as_str()) {
            let only: Vec<String> = only.iter().map(|value| format!("{value:?}")).collect();
            return Err(format!(
                "`{}` is {found:?}, only {} is supported",
                &pointer[1..],
                only.join(" or ")
            ));
        }
    }
    Ok(())
}

/// A JSON file of bounded size.
pub(crate) fn json(path: &Path) -> Result<Value, ModelError> {
    parse(path, &text(path)?)
}

fn text(path: &Path) -> Result<String, ModelError> {
    String::from_utf8(bounded::read(path, &BOUND)?)
        .map_err(|e| refused(path, e.to_string(), "convert the file to UTF-8"))
}

fn parse(path: &Path, text: &str) -> Result<Value, ModelError> {
    serde_json::from_str(text)
        .map_err(|e| refused(path, e.to_string(), "expected the config.json of a model"))
}

fn refused(path: &Path, problem: String, remedy: &'static str) -> ModelError {
    ModelError::Config {
        path: path.to_owned(),
        problem,
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dialects_are_told_by_class_and_type() {
        let of = |config: Value| CheckpointFormat::of(&config);
        let text = json!({"hidden_size": 8});
        let hf = json!({"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "text_config": text});
        assert_eq!(of(hf), Ok(CheckpointFormat::HuggingFace));
        for model_type in ["llava", "llava_next", "llava_onevision"] {
            let bare = json!({"model_type": model_type, "text_config": text});
            assert_eq!(of(bare), Ok(CheckpointFormat::HuggingFace));
        }
        for model_type in ["llava", "llava_llama"] {
            let original =
                json!({"architectures": ["LlavaLlamaForCausalLM"], "model_type": model_type});
            assert_eq!(of(original), Ok(CheckpointFormat::Original));
        }
        let original =
            json!({"model_type": "llava", "mm_vision_tower": "openai/clip-vit-large-patch14"});
        assert_eq!(of(original), Ok(CheckpointFormat::Original));
        for (class, model_type) in [
            ("LlamaForCausalLM", "llama"),
            ("LlavaMptForCausalLM", "llava_mpt"),
            ("LlavaNextVideoForConditionalGeneration", "llava_next_video"),
            ("LlavaNextForConditionalGeneration", "llava"),
            ("CLIPModel", "clip"),
            ("", ""),
        ] {
            let other =
                json!({"architectures": [class], "model_type": model_type, "text_config": text});
            let message = of(other).unwrap_err();
            assert!(
                message.contains(class) && message.contains(model_type),
                "{message}"
            );
        }
        assert!(of(json!([1, 2])).is_err());
    }

    #[test]
    fn what_is_computed_otherwise_is_refused_by_field() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let mut config = json!({"model_type": "llava", "text_config": {"model_type": "llama"}, "vision_config": {}});
        std::fs::write(&path, config.to_string()).unwrap();
        assert_eq!(read(&path).unwrap().0, CheckpointFormat::HuggingFace);
        for (part, field, value) in [
            ("text_config", "model_type", json!("gemma")),
            ("text_config", "attention_bias", json!(true)),
            ("text_config", "use_sliding_window", json!(true)),
            ("vision_config", "model_type", json!("siglip2_vision_model")),
        ] {
            let before = config[part][field].take();
            config[part][field] = value;
            std::fs::write(&path, config.to_string()).unwrap();
            let message = read(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("{part}/{field}")), "{message}");
            config[part][field] = before;
        }
    }
}
