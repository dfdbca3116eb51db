//! Adapters written anew, and merged into their base.

use std::fs;
use std::path::Path;

use candor_model::export::{Export, Exported, export_adapter};
use candor_model::{Adapter, Bundle, CheckpointFormat, ModelError, tensor_file};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::against::{Golden, assert_absolute, golden_folder, open_model};
use crate::{assert_same, checkpoint_formats, export, exported, json_of, renamed, stored};

/// The checkpoint that most adapters belong to, with what a model folder needs to be read with.
fn base() -> tempfile::TempDir {
    base_of("llava_mha")
}

/// A golden checkpoint whose placeholder is the last word, with what a model folder needs to be read with.
pub fn base_of(case: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = golden_folder(case);
    let config = json_of(&golden.join("config.json"));
    let image = config["image_token_index"].as_i64().unwrap();
    let side = &config["vision_config"]["image_size"];
    for name in ["config.json", "model.safetensors"] {
        fs::copy(golden.join(name), dir.path().join(name)).expect("a golden file");
    }
    let special = |id: i64, content: &str| {
        json!({"id": id, "content": content, "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false})
    };
    let mut vocabulary = json!({"<pad>": 0, "<s>": 1, "</s>": 2, "<image>": image});
    for id in 3..image {
        vocabulary[format!("w{id}")] = json!(id);
    }
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "post_processor": null, "decoder": null,
        "added_tokens": [special(0, "<pad>"), special(1, "<s>"), special(2, "</s>"), special(image, "<image>")],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w3"},
    });
    let write = |name: &str, value: &Value| {
        fs::write(dir.path().join(name), value.to_string()).expect("a file");
    };
    write("tokenizer.json", &tokenizer);
    write("template.json", &json!({"kind": "vicuna_v1", "system": ""}));
    let third = [0.3, 0.3, 0.3];
    write(
        "preprocessor_config.json",
        &json!({"size": {"shortest_edge": side}, "crop_size": side, "image_mean": third, "image_std": third}),
    );
    dir
}

pub fn merge(base: &Path, adapter: &Path) -> Export {
    Export {
        adapter: Some(adapter.to_owned()),
        ..export(base, CheckpointFormat::HuggingFace)
    }
}

#[test]
fn merged_models_compute_what_peft_does() {
    let base = base();
    for name in [
        "patterns",
        "earlier",
        "llama",
        "blocks",
        "everything",
        "norms",
        "tables",
    ] {
        let adapter = golden_folder("adapters").join(name);
        let golden = Golden::open(&adapter, "expected.safetensors");
        let (_dir, out, report) = exported(&merge(base.path(), &adapter));
        let found = logits(&out, golden.get("input_ids"), golden.find("pixel_values"));
        assert_absolute("merged", name, &found, golden.get("logits"));
        assert_unmerged(name, report);
    }
}

/// The model with the adapter beside it says the same.
pub fn assert_unmerged(name: &str, report: Exported) {
    let difference = report.difference.expect("it was compared");
    assert!(
        difference.largest < 1e-4 && difference.logit > 0.5,
        "{name}: {difference:?}"
    );
}

/// Logits of a batch without padding by the model in `folder`.
pub fn logits(folder: &Path, ids: &Tensor, pixels: Option<&Tensor>) -> Tensor {
    let bundle = Bundle::open(folder, Device::Cpu, Kind::Float).expect("it opens");
    let model = &bundle.model;
    let features = pixels.map(|pixels| model.image_features(pixels));
    let hidden = model.hidden(&model.embed(ids, features.as_ref(), None), None);
    model.decoder().logits(&hidden)
}

/// `W + s · B A` by hand, and what rounding it to bf16 does.
#[test]
fn merging_rounds_once() {
    let base = base();
    let adapter = golden_folder("adapters/patterns");
    let mut export = merge(base.path(), &adapter);
    export.kind = Some(Kind::BFloat16);
    let (_dir, out, report) = exported(&export);
    let read = |path: &Path| tensor_file::read(path).unwrap();
    let weights = read(&base.path().join("model.safetensors"));
    let halves = read(&adapter.join("adapter_model.safetensors"));
    let layer = "layers.1.mlp.down_proj";
    let half = |half: &str| {
        let name = format!("base_model.model.model.language_model.{layer}.lora_{half}.weight");
        halves[&name].to_kind(Kind::Double)
    };
    // Rank 6 by pattern and alpha 6, with the square root.
    let change = half("B").matmul(&half("A")) * (6.0 / 6_f64.sqrt());
    let name = format!("language_model.model.{layer}.weight");
    let expected = (weights[&name].to_kind(Kind::Double) + change).to_kind(Kind::Float);
    let merged = &read(&out.join("model.safetensors"))[&name];
    assert_eq!(merged.kind(), Kind::BFloat16);
    let off = (merged.to_kind(Kind::Float) - &expected).abs();
    // Half a unit in the last of eight bits.
    assert!(bool::try_from(off.le_tensor(&(expected.abs() * 0.00393)).all()).unwrap());
    let difference = report.difference.unwrap();
    assert_eq!(difference.kind, Kind::BFloat16);
    assert!(
        difference.largest > 1e-3 && difference.largest < 0.5,
        "{difference:?}"
    );
}

#[test]
fn peft_tensors_come_out_as_they_went_in() {
    let model = open_model("llava_mha");
    let base = model.config();
    let today = "base_model.model.model.language_model.layers.";
    let llama = "base_model.model.model.layers.";
    for (name, file, prefix) in [
        ("patterns", "adapter_model.safetensors", today),
        ("blocks", "adapter_model.safetensors", today),
        ("llama", "adapter_model.safetensors", llama),
        (
            "earlier",
            "adapter_model.bin",
            "base_model.model.language_model.model.layers.",
        ),
    ] {
        let source = golden_folder("adapters").join(name);
        let original = stored(&source.join(file));
        for (checkpoint_format, spelled) in [
            (CheckpointFormat::HuggingFace, today),
            (CheckpointFormat::Original, llama),
        ] {
            let expected = renamed(&original, |tensor| {
                let tensor = tensor.replace(".default.", ".");
                Some(format!("{spelled}{}", tensor.strip_prefix(prefix)?))
            });
            assert_eq!(expected.len(), original.len());
            let dir = tempfile::tempdir().unwrap();
            let out = dir.path().join("adapter");
            export_adapter(
                &source,
                base,
                Some("org/base"),
                checkpoint_format,
                None,
                &out,
            )
            .unwrap();
            assert_same(
                &stored(&out.join("adapter_model.safetensors")),
                &expected,
                name,
            );
            let config = json_of(&out.join("adapter_config.json"));
            assert_eq!(config["base_model_name_or_path"], "org/base");
            let open = |folder: &Path| {
                let mut config = Adapter::open(folder, &model).unwrap().config().clone();
                config.base_model_name_or_path = None;
                config
            };
            assert_eq!(open(&out), open(&source), "{name}");
        }
    }
}

fn refused(export: &Export) -> String {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("exported");
    let error: ModelError = export.write(&out, Device::Cpu).unwrap_err();
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing is left"
    );
    error.to_string()
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let base = base();
    let patterns = golden_folder("adapters/patterns");
    // Other widths.
    let message = refused(&merge(&checkpoint_formats("hf_published_336"), &patterns));
    assert!(
        message.contains("width") && message.contains("adapter_model"),
        "{message}"
    );
    // Whole tensors that the base has no place for.
    let copy = tempfile::tempdir().unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(patterns.join(name), copy.path().join(name)).unwrap();
    }
    let beside = copy.path().join("non_lora_trainables.safetensors");
    let name = "base_model.model.model.multi_modal_projector.linear_1.bias";
    let projector = Tensor::zeros([33], (Kind::Float, Device::Cpu));
    tensor_file::write(&beside, [(name, &projector)], None).unwrap();
    let message = refused(&merge(base.path(), copy.path()));
    assert!(
        message.contains("non_lora_trainables.safetensors") && message.contains("[33]"),
        "{message}"
    );
    // And one that it has.
    let projector = Tensor::full([32], 0.5, (Kind::Float, Device::Cpu));
    tensor_file::write(&beside, [(name, &projector)], None).unwrap();
    let (_dir, out, report) = exported(&merge(base.path(), copy.path()));
    let tensors = tensor_file::read(&out.join("model.safetensors")).unwrap();
    assert_eq!(tensors["multi_modal_projector.linear_1.bias"], projector);
    assert_unmerged("projector", report);
}

/// What the original LLaVA writes where the adapter is all that was trained.
#[test]
fn an_empty_file_beside_an_adapter_replaces_nothing() {
    let base = base();
    let patterns = golden_folder("adapters/patterns");
    let copy = tempfile::tempdir().unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(patterns.join(name), copy.path().join(name)).unwrap();
    }
    let empty = golden_folder("adapters/empty.bin");
    fs::copy(empty, copy.path().join("non_lora_trainables.bin")).unwrap();
    let (_dir, out, report) = exported(&merge(base.path(), copy.path()));
    let (_dir, expected, _) = exported(&merge(base.path(), &patterns));
    let [found, expected] = [out, expected].map(|out| stored(&out.join("model.safetensors")));
    assert_same(&found, &expected, "merged");
    assert!(report.difference.is_some());
}

#[test]
fn a_damaged_base_leaves_nothing_behind() {
    let base = base();
    let path = base.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let export = export(base.path(), CheckpointFormat::HuggingFace);
    fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    let message = refused(&export);
    assert!(message.contains("model.safetensors"), "{message}");
    fs::write(&path, bytes).unwrap();
    fs::remove_file(base.path().join("tokenizer.json")).unwrap();
    assert!(refused(&export).contains("tokenizer"));
}
