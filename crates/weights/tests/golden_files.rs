//! Files that torch, safetensors and transformers wrote, against what these libraries read back from them.
//!
//! `parity/fixtures/torch_files.py` wrote the files and `expected.json`. Bytes must be the same, whichever way a
//! tensor is stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_weights::{Checkpoint, Entry};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    files: BTreeMap<String, BTreeMap<String, Tensor>>,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    /// In hexadecimal digits.
    bytes: String,
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(digits).collect()
}

#[test]
fn every_tensor_of_every_file_has_its_type_shape_and_bytes() {
    let text = std::fs::read_to_string(golden("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.files.len(), 11);
    let mut bytes = Vec::new();
    for (file, tensors) in &expected.files {
        let checkpoint = Checkpoint::open(golden(file)).unwrap();
        let names: Vec<_> = checkpoint.iter().map(|(name, _)| name).collect();
        assert_eq!(names, tensors.keys().collect::<Vec<_>>(), "{file}");
        for (name, tensor) in tensors {
            let entry = checkpoint.get(name).unwrap();
            assert_eq!(entry.dtype().to_string(), tensor.dtype, "{file} {name}");
            assert_eq!(entry.shape(), tensor.shape, "{file} {name}");
            assert_eq!(entry.n_bytes() as usize, tensor.bytes.len() / 2);
            checkpoint.read(name, &mut bytes).unwrap();
            assert_eq!(bytes, bytes_of(&tensor.bytes), "{file} {name}");
        }
        let n = tensors.len();
        println!("parity: checkpoint {file} tensors={n} differing_bytes=0");
    }
}

#[test]
fn both_formats_of_one_model_hold_the_same() {
    let [torch, safe] =
        ["sharded_bin", "sharded_safetensors"].map(|name| Checkpoint::open(golden(name)).unwrap());
    assert!(torch.path().ends_with("pytorch_model.bin.index.json"));
    assert!(safe.path().ends_with("model.safetensors.index.json"));
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (name, entry) in torch.iter() {
        assert_eq!(safe.get(name).map(Entry::shape), Some(entry.shape()));
        torch.read(name, &mut left).unwrap();
        safe.read(name, &mut right).unwrap();
        assert_eq!(left, right, "{name}");
    }
}

#[test]
fn file_order_is_that_of_shards_and_offsets() {
    let checkpoint = Checkpoint::open(golden("sharded_safetensors")).unwrap();
    let ordered: Vec<_> = checkpoint
        .in_file_order()
        .iter()
        .map(|(name, _)| *name)
        .collect();
    let last = golden("sharded_safetensors/model-00003-of-00003.safetensors");
    assert_eq!(checkpoint.file_of("lm_head.weight"), Some(last.as_path()));
    // As the headers of the three shards list them by offset.
    let expected = [
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.k_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.v_proj.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.post_attention_layernorm.weight",
        "model.norm.weight",
        "lm_head.weight",
    ];
    assert_eq!(ordered, expected);
}

#[test]
fn the_first_name_that_exists_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["adapter_model.safetensors", "adapter_model.bin"];
    let copy = |from: &str, to: &str| std::fs::copy(golden(from), folder.path().join(to)).unwrap();
    let message = Checkpoint::open_first(folder.path(), &names)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("adapter_model.safetensors, adapter_model.bin"),
        "{message}"
    );
    copy("module.bin", "adapter_model.bin");
    let torch = Checkpoint::open_first(folder.path(), &names).unwrap();
    assert_eq!(torch.path(), folder.path().join("adapter_model.bin"));
    copy("types.safetensors", "adapter_model.safetensors");
    let safe = Checkpoint::open_first(folder.path(), &names).unwrap();
    assert_eq!(safe.path(), folder.path().join("adapter_model.safetensors"));
}

/// transformers looks for them in this order.
#[test]
fn a_folder_opens_one_file_before_an_index_and_safetensors_before_torch() {
    let folder = tempfile::tempdir().unwrap();
    for (index, from, to, tensor) in [
        (
            "pytorch_model.bin.index.json",
            "views.bin",
            "pytorch_model.bin",
            "whole",
        ),
        (
            "model.safetensors.index.json",
            "types.safetensors",
            "model.safetensors",
            "bf16",
        ),
    ] {
        // Of shards that are not there any more.
        let stale = r#"{"weight_map": {"whole": "model-00001-of-00002.safetensors"}}"#;
        std::fs::write(folder.path().join(index), stale).unwrap();
        let message = Checkpoint::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(index), "{message}");
        assert!(message.contains("which does not exist"), "{message}");
        std::fs::copy(golden(from), folder.path().join(to)).unwrap();
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        assert_eq!(checkpoint.path(), folder.path().join(to));
        assert!(checkpoint.get(tensor).is_some());
    }
}

#[test]
fn a_buffer_of_another_size_and_an_unknown_name_are_errors() {
    let checkpoint = Checkpoint::open(golden("views.bin")).unwrap();
    let message = checkpoint
        .read_into("whole", &mut [0; 7])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("tensor `whole` has 96 bytes, there is room for 7"),
        "{message}"
    );
    let message = checkpoint
        .read("hole", &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("views.bin: tensor `hole` is missing"),
        "{message}"
    );
}
