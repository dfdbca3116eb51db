//! `config.json` in the words of each format, and `generation_config.json`.

use std::path::Path;

use candor_data::image::{Fit, ImageProcessor};
use serde_json::{Map, Value, json};
use tch::Kind;

use super::reading::{Reading, write_json};
use super::tensors::Tensors;
use super::{Export, TOWER};
use crate::generation_config::{GENERATION_CONFIG, eos_token_id};
use crate::{
    CheckpointFormat, FeatureSelect, LlavaConfig, LlavaKind, ModelConfig, ModelError,
    ProjectorKind, checkpoint_format,
};

const CONFIG: &str = "config.json";

/// Whether the format has words for the model.
pub(super) fn check(export: &Export, config: &ModelConfig) -> Result<(), ModelError> {
    let refuse = |problem: &str, remedy: &'static str| {
        Err(ModelError::Config {
            path: export.model.path().join(CONFIG),
            problem: problem.to_owned(),
            remedy,
        })
    };
    let original = "export it in the original format (--format llava)";
    let Some(config) = config.llava() else {
        return match export.checkpoint_format {
            CheckpointFormat::HuggingFace => Ok(()),
            CheckpointFormat::Original => refuse(
                &format!("is a {}, which is no LLaVA", config.family()),
                "export it for Hugging Face (--format hf)",
            ),
        };
    };
    let decoder = config.text_config.model_type.as_str();
    let others = [
        (
            config.kind() != LlavaKind::Plain,
            format!("is a {}", config.kind().name()),
        ),
        (decoder != "llama", format!("the decoder is a {decoder}")),
        (
            !config.vision_config.has_class_token(),
            "the tower is a SigLIP".to_owned(),
        ),
        (
            config.text_config.llama3().is_some(),
            "positions are stretched as Llama 3's".to_owned(),
        ),
        (
            config.vision_feature_layer.all().len() > 1,
            "several layers of the tower are read".to_owned(),
        ),
    ];
    let other = others.into_iter().find(|(other, _)| *other);
    match export.checkpoint_format {
        CheckpointFormat::Original if other.is_some() => refuse(
            &format!(
                "{}, for which the original LLaVA's first code has no words",
                other.map(|(_, what)| what).unwrap_or_default()
            ),
            "export it for Hugging Face (--format hf)",
        ),
        CheckpointFormat::HuggingFace if config.mm_projector_type == ProjectorKind::Linear => {
            let problem = "the projector is one linear layer, which Hugging Face's LLaVA has not";
            refuse(problem, original)
        }
        CheckpointFormat::HuggingFace if config.mm_use_im_start_end => refuse(
            "images stand between <im_start> and <im_end>, which Hugging Face's LLaVA has not",
            original,
        ),
        _ => Ok(()),
    }
}

/// Writes the configurations into `folder`.
pub(super) fn write(
    export: &Export,
    tensors: &Tensors<'_>,
    reading: &Reading,
    folder: &Path,
) -> Result<(), ModelError> {
    let from = export.model.path();
    let same =
        export.model.checkpoint_format() == export.checkpoint_format && !export.model.is_joined();
    let llava = tensors.config().llava().filter(|_| !same);
    let mut config = match (llava, export.checkpoint_format) {
        // What candor does not know of, others may.
        (None, _) => checkpoint_format::json(&from.join(CONFIG))?,
        (Some(llava), CheckpointFormat::HuggingFace) => hugging_face(llava, reading),
        (Some(llava), CheckpointFormat::Original) => original(llava, reading),
    };
    say_type(&mut config, tensors.only_kind());
    if tensors.n_new_rows() > 0 {
        say_words(&mut config, tensors.config().text().vocab_size);
    }
    if let (Some(llava), CheckpointFormat::Original) =
        (tensors.config().llava(), export.checkpoint_format)
    {
        config["mm_vision_tower"] = json!(TOWER);
        let mut tower = json!({"architectures": ["CLIPVisionModel"]});
        extend(&mut tower, &llava.vision_config);
        say_type(&mut tower, tensors.only_kind());
        write_json(&folder.join(TOWER).join(CONFIG), &tower)?;
    }
    if !tensors.config().tied() {
        for part in ["", "/text_config"] {
            let tie = config.pointer_mut(&format!("{part}/tie_word_embeddings"));
            if let Some(tie) = tie {
                *tie = json!(false);
            }
        }
    }
    write_json(&folder.join(CONFIG), &config)?;
    // What the model's folder has of it is copied with the files that it reads by.
    if from.join(GENERATION_CONFIG).is_file() {
        return Ok(());
    }
    write_json(&folder.join(GENERATION_CONFIG), &special_ids(reading))
}

fn special_ids(reading: &Reading) -> Value {
    let tokenizer = &reading.tokenizer;
    json!({
        "bos_token_id": tokenizer.bos,
        "eos_token_id": eos_token_id(tokenizer.ends),
        "pad_token_id": tokenizer.pad,
    })
}

/// `config.json` of a `LlavaForConditionalGeneration`.
fn hugging_face(model: &LlavaConfig, reading: &Reading) -> Value {
    let mut config = json!({"image_seq_length": model.n_view_rows()});
    extend(&mut config, model);
    extend(&mut config["text_config"], &special_ids(reading));
    config
}

/// `config.json` of a `LlavaLlamaForCausalLM`.
fn original(model: &LlavaConfig, reading: &Reading) -> Value {
    let projector = match model.mm_projector_type {
        ProjectorKind::Mlp => "mlp2x_gelu",
        ProjectorKind::Linear => "linear",
    };
    let select = match model.vision_feature_select_strategy {
        FeatureSelect::Default => "patch",
        FeatureSelect::Full => "cls_patch",
    };
    let aspect = match &reading.processor {
        ImageProcessor::Square(square) if square.fit == Fit::Pad => "pad",
        _ => "square",
    };
    let mut config = json!({});
    extend(&mut config, &model.text_config);
    extend(&mut config, &special_ids(reading));
    let own = json!({
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama",
        "hidden_act": "silu",
        "tie_word_embeddings": model.tied(),
        "rope_theta": model.text_config.rope_base(),
        "use_mm_proj": true,
        "mm_projector_type": projector,
        "mm_hidden_size": model.vision_config.hidden_size,
        "mm_vision_select_layer": model.vision_feature_layer,
        "mm_vision_select_feature": select,
        "mm_use_im_start_end": false,
        "mm_use_im_patch_token": false,
        "image_aspect_ratio": aspect,
    });
    extend(&mut config, &own);
    if let Some(fields) = config.as_object_mut() {
        // It says the base of the rotary frequencies as older versions of transformers do.
        fields.remove("rope_parameters");
    }
    config
}

/// Adds the fields of `part` to the object `whole`.
fn extend(whole: &mut Value, part: &impl serde::Serialize) {
    let fields = serde_json::to_value(part).ok();
    let fields: Option<Map<String, Value>> = fields.and_then(|v| v.as_object().cloned());
    if let (Some(whole), Some(fields)) = (whole.as_object_mut(), fields) {
        whole.extend(fields);
    }
}

/// Says how many rows the embedding has, where the file that was read says it of fewer.
fn say_words(config: &mut Value, n_words: i64) {
    for part in ["", "/text_config"] {
        let fields = config.pointer_mut(part).and_then(Value::as_object_mut);
        if let Some(fields) = fields
            && (!part.is_empty() || fields.contains_key("vocab_size"))
        {
            fields.insert("vocab_size".to_owned(), json!(n_words));
        }
    }
}

/// Says the type of the tensors under the name that the file has for it already.
fn say_type(config: &mut Value, kind: Option<Kind>) {
    let name = match kind {
        Some(Kind::BFloat16) => "bfloat16",
        Some(Kind::Half) => "float16",
        Some(Kind::Float) => "float32",
        _ => return,
    };
    for part in ["", "/text_config", "/vision_config"] {
        let Some(fields) = config.pointer_mut(part).and_then(Value::as_object_mut) else {
            continue;
        };
        let field = ["dtype", "torch_dtype"]
            .into_iter()
            .find(|field| fields.contains_key(*field));
        match field {
            Some(field) => fields.insert(field.to_owned(), json!(name)),
            // The older name is one that every version reads.
            None if part.is_empty() => fields.insert("torch_dtype".to_owned(), json!(name)),
            None => None,
        };
    }
}
