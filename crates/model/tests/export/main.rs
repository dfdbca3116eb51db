//! Exported folders: every bit of the tensors, names that the other format's code knows, merged weights, damage.
//!
//! Expected bytes are those of the files that transformers and torch wrote (`parity/fixtures`), expected logits those
//! that transformers and PEFT computed. `parity/run exports` opens exported folders with both.

#[path = "../against/mod.rs"]
mod against;
mod embeddings;
mod merging;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use against::{Golden, assert_absolute, golden_folder};
use candor_model::export::{Export, Exported};
use candor_model::{Bundle, CheckpointFormat, ModelFolder};
use candor_weights::{Checkpoint, Dtype};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// What a file holds: type, shape and bytes by name.
type Stored = BTreeMap<String, (Dtype, Vec<u64>, Vec<u8>)>;

fn stored(path: &Path) -> Stored {
    let checkpoint = Checkpoint::open(path).expect("a checkpoint");
    let tensor = |(name, entry): (&str, &candor_weights::Entry)| {
        let mut bytes = Vec::new();
        checkpoint.read(name, &mut bytes).expect("a tensor");
        (
            name.to_owned(),
            (entry.dtype(), entry.shape().to_vec(), bytes),
        )
    };
    checkpoint.iter().map(tensor).collect()
}

fn checkpoint_formats(case: &str) -> PathBuf {
    golden_folder("dialects").join(case)
}

fn export(model: &Path, checkpoint_format: CheckpointFormat) -> Export {
    Export {
        model: ModelFolder::find(model).expect("a model"),
        adapter: None,
        checkpoint_format,
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

/// Compares without printing all bytes.
fn assert_same(found: &Stored, expected: &Stored, what: &str) {
    let names = |stored: &Stored| stored.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}");
    for (name, expected) in expected {
        let found = &found[name];
        assert_eq!(
            (found.0, &found.1),
            (expected.0, &expected.1),
            "{what}: {name}"
        );
        assert!(found.2 == expected.2, "{what}: {name} has other bytes");
    }
}

#[test]
fn transformers_tensors_come_out_as_they_went_in() {
    for case in ["hf_published_336", "hf_current_224"] {
        let source = checkpoint_formats(case);
        // Buffers that follow from the configuration are left out.
        let expected = renamed(&stored(&source), |name| {
            let buffer = name.ends_with("inv_freq") || name.ends_with("position_ids");
            // What transformers 5 writes has one level less than what all versions read.
            let tower = name
                .strip_prefix("vision_tower.")
                .filter(|rest| !rest.starts_with("vision_model."));
            let name = tower
                .map(|rest| format!("vision_tower.vision_model.{rest}"))
                .unwrap_or(name.to_owned());
            (!buffer).then_some(name)
        });
        let (_dir, out, report) = exported(&export(&source, CheckpointFormat::HuggingFace));
        assert_same(&stored(&out), &expected, case);
        assert_eq!(report.n_tensors, expected.len());
        assert!(report.difference.is_none());
        // Through the other format and back.
        let (_dir2, other, _) = exported(&export(&out, CheckpointFormat::Original));
        let (_dir3, again, _) = exported(&export(&other, CheckpointFormat::HuggingFace));
        assert_same(&stored(&again), &expected, case);
        assert_eq!(json_of(&again.join("config.json"))["model_type"], "llava");
    }
}

#[test]
fn the_originals_tensors_come_out_as_they_went_in() {
    for (case, clip) in [
        ("original_mlp_336", Some("clip-vit-tiny-patch14-336")),
        ("original_linear_224", None),
    ] {
        let source = checkpoint_formats(case);
        let inner = "model.vision_tower.vision_tower.";
        let expected = renamed(&stored(&source), |name| {
            (!name.starts_with(inner)).then(|| name.to_owned())
        });
        // The tower that was trained along counts before the one of the CLIP folder.
        let tower = match clip {
            Some(clip) => renamed(&stored(&checkpoint_formats(clip)), |name| {
                let buffer = name.ends_with("position_ids");
                (name.starts_with("vision_model.") && !buffer).then(|| name.to_owned())
            }),
            None => renamed(&stored(&source), |name| {
                Some(name.strip_prefix(inner)?.to_owned())
            }),
        };
        let (_dir, out, _) = exported(&export(&source, CheckpointFormat::Original));
        assert_same(&stored(&out), &expected, case);
        assert_same(&stored(&out.join("vision_tower")), &tower, case);
        let config = json_of(&out.join("config.json"));
        assert_eq!(config["mm_vision_tower"], "vision_tower");
    }
}

/// The image's size does not matter here: features of the tower are taken from the golden file of the same case.
fn logits(bundle: &Bundle, ids: &Tensor, pixels: &Tensor) -> Tensor {
    tch::no_grad(|| {
        let features = bundle.model.image_features(pixels);
        let embedded = bundle.model.embed(ids, Some(&features), None);
        let hidden = bundle.model.hidden(&embedded, None);
        bundle.model.decoder().logits(&hidden)
    })
}

#[test]
fn an_original_becomes_hugging_faces_with_a_row_for_the_placeholder() {
    let source = checkpoint_formats("original_mlp_336");
    let (_dir, out, _) = exported(&export(&source, CheckpointFormat::HuggingFace));
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
        turns: vec![candor_data::Turn::human("<image>\nWhat is  in the image?")],
    };
    let ids = |bundle: &Bundle| {
        let rules = bundle.rules(5000, Path::new(""));
        candor_model::sample::Sample::new(&conversation, rules)
            .unwrap()
            .ids
    };
    assert_eq!(ids(&after), ids(&before));
    assert_eq!(after.template, before.template);
    assert_eq!(after.processor, before.processor);
}

/// An original LLaVA that is trained as a whole is written in Hugging Face's names, its placeholder still without a row: of 640
/// words and `<image>`.
#[test]
fn a_trained_original_becomes_hugging_faces_too() {
    let source = checkpoint_formats("original_mlp_336");
    let trained = tempfile::tempdir().unwrap();
    let bundle = Bundle::open(&source, Device::Cpu, Kind::Float).expect("it opens");
    bundle.save(trained.path()).expect("it is saved");
    let before = json_of(&trained.path().join("config.json"));
    assert_eq!(before["text_config"]["vocab_size"], 640);
    let (_dir, out, _) = exported(&export(trained.path(), CheckpointFormat::HuggingFace));
    let after = json_of(&out.join("config.json"));
    assert_eq!(after["image_token_index"], 640);
    assert_eq!(after["text_config"]["vocab_size"], 641);
    let name = "language_model.model.embed_tokens.weight";
    let (old, new) = (&stored(trained.path())[name], &stored(&out)[name]);
    assert_eq!(new.1, [old.1[0] + 1, old.1[1]]);
    assert_eq!(&new.2[..old.2.len()], &old.2[..]);
}

#[test]
fn what_a_dialect_has_no_words_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("exported");
    let export = export(
        &checkpoint_formats("original_linear_224"),
        CheckpointFormat::HuggingFace,
    );
    let message = export.write(&out, Device::Cpu).unwrap_err().to_string();
    assert!(
        message.contains("one linear layer") && message.contains("--format llava"),
        "{message}"
    );
    assert!(!out.exists());
}

#[test]
fn a_type_is_for_all_tensors_and_said_in_the_configuration() {
    let source = checkpoint_formats("hf_published_336");
    let mut export = export(&source, CheckpointFormat::HuggingFace);
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
    let export = export(
        &checkpoint_formats("hf_current_224"),
        CheckpointFormat::HuggingFace,
    );
    let error = export.write(dir.path(), Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("does not exist yet"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
