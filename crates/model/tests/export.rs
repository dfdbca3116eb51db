//! Exported folders: every bit of the tensors, names that the other dialect's code knows, merged weights, damage.
//!
//! Expected bytes are those of the files that transformers and torch wrote (`parity/fixtures`), expected logits those
//! that transformers and PEFT computed. `parity/run exports` opens exported folders with both.

mod against;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use against::{Golden, assert_absolute, golden_folder};
use candor_checkpoint::{Checkpoint, Dtype};
use candor_model::export::{Export, Exported, export_adapter};
use candor_model::{Adapter, Bundle, Dialect, ModelError, ModelFolder, tensor_file};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// What a file holds: type, shape and bytes by name.
type Stored = BTreeMap<String, (Dtype, Vec<u64>, Vec<u8>)>;

fn stored(path: &Path) -> Stored {
    let checkpoint = Checkpoint::open(path).expect("a checkpoint");
    let tensor = |(name, entry): (&str, &candor_checkpoint::Entry)| {
        let mut bytes = Vec::new();
        checkpoint.read(name, &mut bytes).expect("a tensor");
        (
            name.to_owned(),
            (entry.dtype(), entry.shape().to_vec(), bytes),
        )
    };
    checkpoint.iter().map(tensor).collect()
}

fn dialects(case: &str) -> PathBuf {
    golden_folder("dialects").join(case)
}

fn export(model: &Path, dialect: Dialect) -> Export {
    Export {
        model: ModelFolder::find(model).expect("a model"),
        adapter: None,
        dialect,
        kind: None,
    }
}

/// Exports into a new folder.
fn exported(export: &Export) -> (tempfile::TempDir, PathBuf, Exported) {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("exported");
    let exported = export.write(&out, Device::Cpu).expect("it is exported");
    (dir, out, exported)
}

fn renamed(tensors: &Stored, name: impl Fn(&str) -> Option<String>) -> Stored {
    let renamed = tensors
        .iter()
        .filter_map(|(old, tensor)| Some((name(old)?, tensor.clone())));
    renamed.collect()
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

#[test]
fn transformers_tensors_come_out_as_they_went_in() {
    for case in ["hf_published_336", "hf_current_224"] {
        let source = dialects(case);
        // Buffers that follow from the configuration are left out.
        let expected = renamed(&stored(&source), |name| {
            let buffer = name.ends_with("inv_freq") || name.ends_with("position_ids");
            (!buffer).then(|| name.to_owned())
        });
        let (_dir, out, report) = exported(&export(&source, Dialect::HuggingFace));
        assert_eq!(stored(&out), expected, "{case}");
        assert_eq!(report.n_tensors, expected.len());
        assert!(report.difference.is_none());
        // Through the other dialect and back.
        let (_dir2, other, _) = exported(&export(&out, Dialect::Original));
        let (_dir3, again, _) = exported(&export(&other, Dialect::HuggingFace));
        assert_eq!(stored(&again), expected, "{case}, there and back");
        assert_eq!(json_of(&again.join("config.json"))["model_type"], "llava");
    }
}

#[test]
fn the_originals_tensors_come_out_as_they_went_in() {
    for (case, clip) in [
        ("original_mlp_336", Some("clip-vit-tiny-patch14-336")),
        ("original_linear_224", None),
    ] {
        let source = dialects(case);
        let inner = "model.vision_tower.vision_tower.";
        let expected = renamed(&stored(&source), |name| {
            (!name.starts_with(inner)).then(|| name.to_owned())
        });
        // The tower that was trained along counts before the one of the CLIP folder.
        let tower = match clip {
            Some(clip) => renamed(&stored(&dialects(clip)), |name| {
                let buffer = name.ends_with("position_ids");
                (name.starts_with("vision_model.") && !buffer).then(|| name.to_owned())
            }),
            None => renamed(&stored(&source), |name| {
                Some(name.strip_prefix(inner)?.to_owned())
            }),
        };
        let (_dir, out, _) = exported(&export(&source, Dialect::Original));
        assert_eq!(stored(&out), expected, "{case}");
        assert_eq!(stored(&out.join("vision_tower")), tower, "{case}");
        let config = json_of(&out.join("config.json"));
        assert_eq!(config["mm_vision_tower"], "vision_tower");
    }
}

/// The picture's size does not matter here: features of the tower are taken from the golden file of the same case.
fn logits(bundle: &Bundle, ids: &Tensor, pixels: &Tensor) -> Tensor {
    tch::no_grad(|| {
        let features = bundle.model.image_features(pixels);
        let embedded = bundle.model.embed(ids, Some(&features));
        let hidden = bundle.model.hidden(&embedded, None);
        bundle.model.decoder().logits(&hidden)
    })
}

#[test]
fn an_original_becomes_hugging_faces_with_a_row_for_the_placeholder() {
    let source = dialects("original_mlp_336");
    let (_dir, out, _) = exported(&export(&source, Dialect::HuggingFace));
    let config = json_of(&out.join("config.json"));
    assert_eq!(
        config["architectures"],
        json!(["LlavaForConditionalGeneration"])
    );
    assert_eq!(config["image_token_index"], 640);
    assert_eq!(config["text_config"]["vocab_size"], 641);
    let (old, new) = (stored(&source), stored(&out));
    for (there, here) in [
        (
            "model.embed_tokens.weight",
            "language_model.model.embed_tokens.weight",
        ),
        ("lm_head.weight", "language_model.lm_head.weight"),
    ] {
        let ((_, old_shape, old), (_, new_shape, new)) = (&old[there], &new[here]);
        assert_eq!(new_shape, &[old_shape[0] + 1, old_shape[1]]);
        assert_eq!(&new[..old.len()], &old[..]);
    }
    assert_eq!(
        old["model.mm_projector.2.bias"],
        new["multi_modal_projector.linear_2.bias"]
    );
    // Asked the same, it says the same, whatever the vocabulary's new row is.
    let golden = Golden::open(&golden_folder("dialects"), "original_mlp_336.safetensors");
    let ids = golden.get("input_ids");
    let pixels = Tensor::randn([1, 3, 336, 336], (Kind::Float, Device::Cpu));
    let open = |folder: &Path| Bundle::open(folder, Device::Cpu, Kind::Float).expect("it opens");
    let (before, after) = (open(&source), open(&out));
    let expected = logits(&before, ids, &pixels);
    let found = logits(&after, ids, &pixels);
    assert_eq!(found.narrow(-1, 0, 640), expected);
    let mean = expected.mean_dim([-1].as_slice(), false, Kind::Float);
    assert_absolute(
        "export",
        "logits of the new row",
        &found.select(-1, 640),
        &mean,
    );
    // The tokenizer has the placeholder now, and makes the same ids.
    let conversation = candor_data::Conversation {
        id: "x".to_owned(),
        image: Some("x.png".to_owned()),
        turns: vec![candor_data::Turn::human(
            "<image>\nWhat is in the image? <image>",
        )],
    };
    let ids = |bundle: &Bundle| {
        let rules = bundle.rules(5000);
        candor_model::sample::Sample::new(&conversation, rules)
            .unwrap()
            .ids
    };
    assert_eq!(ids(&after), ids(&before));
    assert_eq!(after.template, before.template);
    assert_eq!(after.processor, before.processor);
}

#[test]
fn what_a_dialect_has_no_words_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("exported");
    let export = export(&dialects("original_linear_224"), Dialect::HuggingFace);
    let message = export.write(&out, Device::Cpu).unwrap_err().to_string();
    assert!(
        message.contains("one linear layer") && message.contains("--dialect llava"),
        "{message}"
    );
    assert!(!out.exists());
}

#[test]
fn a_type_is_for_all_tensors_and_said_in_the_configuration() {
    let source = dialects("hf_published_336");
    let mut export = export(&source, Dialect::HuggingFace);
    export.kind = Some(Kind::BFloat16);
    let (_dir, out, _) = exported(&export);
    assert_eq!(json_of(&out.join("config.json"))["torch_dtype"], "bfloat16");
    let name = "language_model.model.layers.0.mlp.up_proj.weight";
    let (of_source, of_out) = (&stored(&source)[name], &stored(&out)[name]);
    assert_eq!((of_source.0, of_out.0), (Dtype::F16, Dtype::BF16));
    let tensor = |of: &(Dtype, Vec<u64>, Vec<u8>), kind| {
        let shape: Vec<i64> = of.1.iter().map(|&n| n as i64).collect();
        Tensor::from_data_size(&of.2, &shape, kind)
    };
    let expected = tensor(of_source, Kind::Half).to_kind(Kind::BFloat16);
    assert_eq!(tensor(of_out, Kind::BFloat16), expected);
}

#[test]
fn a_folder_that_is_there_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine"), "precious").unwrap();
    let export = export(&dialects("hf_current_224"), Dialect::HuggingFace);
    let error = export.write(dir.path(), Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("does not exist yet"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// The checkpoint that the adapters belong to, with what a model folder needs to be read with.
fn base() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let golden = golden_folder("llava_mha");
    for name in ["config.json", "model.safetensors"] {
        fs::copy(golden.join(name), dir.path().join(name)).expect("a golden file");
    }
    let special = |id: i64, content: &str| {
        json!({"id": id, "content": content, "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false})
    };
    let mut vocabulary = json!({"<pad>": 0, "<s>": 1, "</s>": 2, "<image>": 79});
    for id in 3..79 {
        vocabulary[format!("w{id}")] = json!(id);
    }
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "post_processor": null, "decoder": null,
        "added_tokens": [special(0, "<pad>"), special(1, "<s>"), special(2, "</s>"), special(79, "<image>")],
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
        &json!({"size": {"shortest_edge": 24}, "crop_size": 24, "image_mean": third, "image_std": third}),
    );
    dir
}

fn merge(base: &Path, adapter: &Path) -> Export {
    Export {
        adapter: Some(adapter.to_owned()),
        ..export(base, Dialect::HuggingFace)
    }
}

#[test]
fn merged_models_compute_what_peft_does() {
    let base = base();
    for name in ["patterns", "earlier", "llama", "blocks", "everything"] {
        let adapter = golden_folder("adapters").join(name);
        let golden = Golden::open(&adapter, "expected.safetensors");
        let (_dir, out, report) = exported(&merge(base.path(), &adapter));
        let bundle = Bundle::open(&out, Device::Cpu, Kind::Float).expect("it opens");
        let features = golden.find("pixel_values");
        let features = features.map(|pixels| bundle.model.image_features(pixels));
        let embedded = bundle
            .model
            .embed(golden.get("input_ids"), features.as_ref());
        let found = bundle
            .model
            .decoder()
            .logits(&bundle.model.hidden(&embedded, None));
        assert_absolute("merged", name, &found, golden.get("logits"));
        match report.difference {
            Some(difference) => {
                assert!(name != "everything");
                assert!(
                    difference.largest < 1e-4 && difference.logit > 0.5,
                    "{difference:?}"
                );
            }
            None => assert_eq!(name, "everything", "which cannot be computed unmerged"),
        }
    }
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
    let model = ModelFolder::find(&golden_folder("llava_mha")).unwrap();
    let text = &model.config().text_config;
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
        for (dialect, spelled) in [(Dialect::HuggingFace, today), (Dialect::Original, llama)] {
            let expected = renamed(&original, |tensor| {
                let tensor = tensor.replace(".default.", ".");
                Some(format!("{spelled}{}", tensor.strip_prefix(prefix)?))
            });
            assert_eq!(expected.len(), original.len());
            let dir = tempfile::tempdir().unwrap();
            let out = dir.path().join("adapter");
            export_adapter(&source, text, Some("org/base"), dialect, None, &out).unwrap();
            assert_eq!(
                stored(&out.join("adapter_model.safetensors")),
                expected,
                "{name}"
            );
            let config = json_of(&out.join("adapter_config.json"));
            assert_eq!(config["base_model_name_or_path"], "org/base");
            let open = |folder: &Path| Adapter::open(folder, text, Device::Cpu).unwrap();
            assert_eq!(open(&out).config(), open(&source).config(), "{name}");
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
    let message = refused(&merge(&dialects("hf_published_336"), &patterns));
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
    assert!(report.difference.is_none());
}

#[test]
fn a_damaged_base_leaves_nothing_behind() {
    let base = base();
    let path = base.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let export = export(base.path(), Dialect::HuggingFace);
    fs::write(&path, &bytes[..bytes.len() - 7]).unwrap();
    let message = refused(&export);
    assert!(message.contains("model.safetensors"), "{message}");
    fs::write(&path, bytes).unwrap();
    fs::remove_file(base.path().join("tokenizer.json")).unwrap();
    assert!(refused(&export).contains("tokenizer"));
}
