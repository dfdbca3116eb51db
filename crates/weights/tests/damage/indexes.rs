//! Folders whose index and shards do not fit each other.

use std::path::Path;

use serde_json::{Value, json};

use crate::{assert_says, refusal_of};

const INDEX: &str = "model.safetensors.index.json";
const FIRST: &str = "model-00001-of-00003.safetensors";
const SECOND: &str = "model-00002-of-00003.safetensors";

/// Copies the sharded model, damages the copy and opens it; the error must name `named`.
fn refusal_after(named: &str, damage: impl FnOnce(&Path)) -> String {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sharded_safetensors");
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(golden).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    damage(folder.path());
    refusal_of(folder.path(), &folder.path().join(named))
}

/// [`refusal_after`] a change of the index's `weight_map`.
fn refusal_of_map(named: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    refusal_after(named, |folder| {
        let path = folder.join(INDEX);
        let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(index["weight_map"].as_object_mut().unwrap());
        std::fs::write(&path, index.to_string()).unwrap();
    })
}

#[test]
fn shards_that_lead_out_of_the_folder_are_not_opened() {
    for shard in [
        "../model.safetensors",
        "/etc/passwd",
        "a/b",
        ".",
        "",
        "..\\m",
        "C:m",
        "a\0b",
    ] {
        let message = refusal_of_map(INDEX, |map| {
            map["model.norm.weight"] = json!(shard);
        });
        assert_says(
            &message,
            &["tensor `model.norm.weight` should be in `", "no plain name"],
        );
    }
}

#[test]
fn index_and_shards_must_hold_the_same_tensors() {
    let message = refusal_of_map(SECOND, |map| {
        map.insert("model.extra".into(), json!(SECOND));
    });
    assert_says(
        &message,
        &["tensor `model.extra` is promised by the index and not in the shard"],
    );
    let message = refusal_of_map(SECOND, |map| {
        map.remove("model.norm.weight").unwrap();
    });
    assert_says(
        &message,
        &["tensor `model.norm.weight` is in the shard and not in the index"],
    );
    let message = refusal_of_map(SECOND, |map| {
        map["model.norm.weight"] = json!(FIRST);
    });
    assert_says(
        &message,
        &["tensor `model.norm.weight` should be in `model-00001-of-00003"],
    );
    let message = refusal_of_map(INDEX, |map| {
        map["model.norm.weight"] = json!("elsewhere.safetensors");
    });
    assert_says(
        &message,
        &["the index names `elsewhere.safetensors`, which does not exist"],
    );
}

#[test]
fn a_tensor_in_two_shards_is_refused() {
    let message = refusal_after(SECOND, |folder| {
        std::fs::copy(folder.join(FIRST), folder.join(SECOND)).unwrap();
    });
    assert_says(
        &message,
        &["tensor `model.embed_tokens.weight` is also in ", FIRST],
    );
}

#[test]
fn missing_and_cut_shards_are_named() {
    let message = refusal_after(INDEX, |folder| {
        std::fs::remove_file(folder.join(SECOND)).unwrap();
    });
    assert_says(
        &message,
        &[
            "names `model-00002-of-00003.safetensors`",
            "does not exist",
            "download",
        ],
    );
    let message = refusal_after(SECOND, |folder| {
        let whole = std::fs::read(folder.join(SECOND)).unwrap();
        std::fs::write(folder.join(SECOND), &whole[..whole.len() - 10]).unwrap();
    });
    assert_says(
        &message,
        &["promises 816 bytes of tensors, the file has 806"],
    );
}

#[test]
fn indexes_that_are_none_are_refused() {
    let many: serde_json::Map<_, _> = (0..513)
        .map(|n| (n.to_string(), json!(format!("{n}.bin"))))
        .collect();
    let many = json!({ "weight_map": many }).to_string();
    let cases: [(&str, &[&str]); 6] = [
        ("", &["unreadable index"]),
        ("[]", &["unreadable index"]),
        (
            r#"{"metadata": {}}"#,
            &["unreadable index: missing field `weight_map`"],
        ),
        (r#"{"weight_map": {"a": 1}}"#, &["unreadable index"]),
        (
            r#"{"weight_map": {"a": "x", "a": "y"}}"#,
            &["tensor `a` is listed twice"],
        ),
        (&many, &["names 513 shards, 1 to 512 are allowed"]),
    ];
    for (text, parts) in cases {
        let message = refusal_after(INDEX, |folder| {
            std::fs::write(folder.join(INDEX), text).unwrap();
        });
        assert_says(&message, parts);
    }
}
