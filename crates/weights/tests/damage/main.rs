//! Damaged and hostile files: each is refused with words that name the file, the part of it and a remedy.

#[path = "../forge/mod.rs"]
mod forge;

mod archives;
mod headers;
mod indexes;
mod pickles;

use std::path::Path;

use candor_weights::Checkpoint;

/// Opens a file of this content; the error must name the file and end in a remedy.
fn refusal(name: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    refusal_of(&path, &path)
}

/// Opens `opened`; the error must name `named`.
fn refusal_of(opened: &Path, named: &Path) -> String {
    let message = match Checkpoint::open(opened) {
        Ok(checkpoint) => panic!("accepted: {checkpoint:?}"),
        Err(error) => error.to_string(),
    };
    assert!(
        message.starts_with(&named.display().to_string()),
        "{message}"
    );
    let remedy = message.rsplit(" (").next().unwrap_or_default();
    let verbs = [
        "check", "convert", "copy", "download", "give", "load", "run", "save", "split", "write",
    ];
    assert!(
        message.ends_with(')') && verbs.iter().any(|verb| remedy.contains(verb)),
        "no remedy: {message}"
    );
    assert!(message.chars().all(|c| !c.is_control()), "{message:?}");
    assert!(message.len() < 1000, "{message}");
    message
}

/// Asserts that `message` contains all of `parts`.
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message}\nlacks {part:?}");
    }
}

#[test]
fn files_that_are_something_else_are_recognised() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/refused");
    let cases: [(&str, &[&str]); 13] = [
        (
            "legacy.bin",
            &["a bare pickle", "nothing was executed", "torch.save"],
        ),
        (
            "command.bin",
            &["byte 1", "asks for `posix.system`", "nothing was executed"],
        ),
        (
            "module_itself.bin",
            &[
                "asks for `torch.nn.modules.linear.Linear`",
                "nothing was executed",
            ],
        ),
        (
            "tensor_with_attribute.bin",
            &["asks for `torch._tensor._rebuild_from_type_v2`"],
        ),
        (
            "float8.bin",
            &["asks for `torch._utils._rebuild_tensor_v3`"],
        ),
        ("complex.bin", &["asks for `torch.ComplexFloatStorage`"]),
        (
            "negated.bin",
            &["negation was put off", "safetensors.torch.save_file"],
        ),
        (
            "expanded.bin",
            &[
                "tensor `weight` has 1000 elements of only 1",
                "tensor.contiguous()",
            ],
        ),
        (
            "list.bin",
            &["the outermost value is no dictionary", "state_dict()"],
        ),
        (
            "numbered.bin",
            &["a tensor stands under a key that is no text"],
        ),
        (
            "no_tensors.bin",
            &["no tensors in the outermost dictionary (keys `epoch`, `args`)"],
        ),
        (
            "float8.safetensors",
            &["tensor `weight` is `F8_E4M3`", "convert it"],
        ),
        (
            "nowhere.bin",
            &["cannot open", "check that the file exists"],
        ),
    ];
    for (name, parts) in cases {
        let path = golden.join(name);
        assert_says(&refusal_of(&path, &path), parts);
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    assert_says(
        &refusal("model.safetensors", pointer),
        &["Git LFS pointer", "git lfs pull"],
    );
    assert_says(
        &refusal("pytorch_model.bin", b""),
        &["no bytes at all", "download or export it again"],
    );
    for content in [b"P".as_slice(), b"<html>not found</html>"] {
        assert_says(
            &refusal("pytorch_model.bin", content),
            &["neither safetensors nor"],
        );
    }
}

#[test]
fn a_folder_without_a_checkpoint_says_what_it_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let message = refusal_of(folder.path(), folder.path());
    assert_says(
        &message,
        &[
            "no checkpoint here",
            "model.safetensors, model.safetensors.index.json, pytorch_model.bin",
        ],
    );
}

#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("model.safetensors");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    assert_says(&refusal_of(folder.path(), &pipe), &["no regular file"]);
}
