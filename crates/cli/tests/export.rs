//! `candor export` as a user calls it, on the model crate's golden folders.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn golden(name: &str) -> PathBuf {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden");
    model.join(name)
}

fn export(arguments: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    // Nothing outside of the folders given is looked at.
    command
        .env("HF_HUB_CACHE", "/no/such/cache")
        .arg("export")
        .args(arguments);
    command.output().expect("candor runs")
}

fn printed(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_model_is_written_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("exported");
    let model = golden("dialects/hf_current_224");
    let output = export(&[&model, Path::new("--out"), &out]);
    assert!(output.status.success(), "{}", printed(&output.stderr));
    let line = printed(&output.stdout);
    assert!(
        line.contains("exported: ") && line.contains("in 1 file(s)"),
        "{line}"
    );
    assert!(out.join("model.safetensors").is_file() && out.join("chat_template.jinja").is_file());
    // It is there now, and stays what it is.
    let again = export(&[&model, Path::new("--out"), &out]);
    assert_eq!(again.status.code(), Some(2));
    assert!(printed(&again.stderr).contains("does not exist yet"));
}

#[test]
fn an_adapter_stays_one_unless_it_is_merged() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("adapter");
    let (base, adapter) = (golden("llava_mha"), golden("adapters/patterns"));
    let [adapter_flag, out_flag] = ["--adapter", "--out"].map(Path::new);
    let output = export(&[&base, adapter_flag, &adapter, out_flag, &out]);
    assert!(output.status.success(), "{}", printed(&output.stderr));
    let names = ["adapter_config.json", "adapter_model.safetensors"];
    assert!(names.iter().all(|name| out.join(name).is_file()));
    let merge = Path::new("--merge");
    let output = export(&[&base, merge, out_flag, &dir.path().join("merged")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(printed(&output.stderr).contains("--adapter"));
}

#[test]
fn a_base_that_is_not_found_is_told_with_the_places() {
    let dir = tempfile::tempdir().unwrap();
    let adapter = dir.path().join("adapter");
    std::fs::create_dir(&adapter).unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::copy(golden("adapters/patterns").join(name), adapter.join(name)).unwrap();
    }
    let [merge, base, out] = ["--merge", "--base", "--out"].map(Path::new);
    let exported = dir.path().join("exported");
    let output = export(&[&adapter, merge, out, &exported]);
    assert_eq!(output.status.code(), Some(2));
    let message = printed(&output.stderr);
    let beside = dir.path().canonicalize().unwrap().join("llava_mha");
    for words in [
        "llava_mha: no such model",
        &beside.display().to_string(),
        "--base",
    ] {
        assert!(message.contains(words), "{message}");
    }
    // Told where it is, it lacks what people need it with: a tokenizer.
    let output = export(&[&adapter, merge, base, &golden("llava_mha"), out, &exported]);
    let message = printed(&output.stderr);
    assert!(message.contains("tokenizer"), "{message}");
    assert!(!exported.exists());
}
