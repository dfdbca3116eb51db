//! `candor download`

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::hub::{ABC, Answer, Hub};

const NAMES: [&str; 4] = [
    "config.json",
    "README.md",
    "model.safetensors",
    "pytorch_model.bin",
];

/// Serves `files`, each a name, a content and an `ETag`, of the model `org/name`.
fn serve(files: &[(&str, &str, &str)]) -> Hub {
    serve_commit("c0ffee", &NAMES, files)
}

/// The same of a commit that has these names.
fn serve_commit(commit: &str, names: &[&str], files: &[(&str, &str, &str)]) -> Hub {
    let list = "/api/models/org/name/revision/main?blobs=true".to_owned();
    let siblings = names
        .iter()
        .map(|name| format!(r#"{{"rfilename": "{name}"}}"#));
    let siblings: Vec<String> = siblings.collect();
    let text = format!(
        r#"{{"sha": "{commit}", "siblings": [{}]}}"#,
        siblings.join(", ")
    );
    let files = files.iter().map(|(name, content, etag)| {
        let path = format!("/org/name/resolve/{commit}/{name}");
        (path, Answer::File((*content).into(), (*etag).into()))
    });
    Hub::serve(files.chain([(list, Answer::List(text))]).collect())
}

fn download(hub: &Hub, cache: &Path, name: &str) -> Output {
    hub.candor(cache, &["download", name])
}

#[test]
fn a_model_comes_once_and_is_then_found_by_its_name() {
    let hub = serve(&[
        ("config.json", "{}", "44136fa3"),
        ("model.safetensors", "abc", ABC),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let done = download(&hub, dir.path(), "org/name");
    let errors = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{errors}");
    assert!(!errors.contains("hf_secret"));
    let folder = dir.path().join("models--org--name/snapshots/c0ffee");
    assert_eq!(
        String::from_utf8(done.stdout).unwrap().trim(),
        folder.to_str().unwrap()
    );
    assert_eq!(
        fs::read_to_string(folder.join("config.json")).unwrap(),
        "{}"
    );
    assert_eq!(
        fs::read_to_string(folder.join("model.safetensors")).unwrap(),
        "abc"
    );
    assert!(!folder.join("README.md").exists() && !folder.join("pytorch_model.bin").exists());

    hub.asked().clear();
    assert!(download(&hub, dir.path(), "org/name@main").status.success());
    assert_eq!(
        *hub.asked(),
        ["/api/models/org/name/revision/main?blobs=true"]
    );
}

#[test]
fn a_model_is_of_one_commit_whatever_is_pushed_between_two_runs() {
    let names = ["tokenizer.json", "model.safetensors", "config.json"];
    let first = serve_commit("c0ffee", &names, &[("tokenizer.json", "old", "01d")]);
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("models--org--name");
    // It ends after the first file.
    assert!(!download(&first, dir.path(), "org/name").status.success());
    let old = kept.join("snapshots/c0ffee/tokenizer.json");
    assert_eq!(fs::read_to_string(old).unwrap(), "old");
    assert!(!kept.join("refs/main").exists());

    let second = serve_commit(
        "beef",
        &names,
        &[
            ("tokenizer.json", "new", "2e3"),
            ("model.safetensors", "abc", ABC),
            ("config.json", "{}", "44136fa3"),
        ],
    );
    let done = download(&second, dir.path(), "org/name");
    let errors = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{errors}");
    let folder = kept.join("snapshots/beef");
    for (name, content) in [
        ("tokenizer.json", "new"),
        ("model.safetensors", "abc"),
        ("config.json", "{}"),
    ] {
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), content);
    }
    let main = fs::read_to_string(kept.join("refs/main")).unwrap();
    assert_eq!(main, "beef");
    assert_eq!(
        String::from_utf8(done.stdout).unwrap().trim(),
        folder.to_str().unwrap()
    );
}

#[test]
fn a_damaged_file_is_removed_and_named() {
    let hub = serve(&[
        ("config.json", "{}", "44136fa3"),
        ("model.safetensors", "abd", ABC),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let refused = download(&hub, dir.path(), "org/name");
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(
        errors.contains("model.safetensors") && errors.contains("damaged"),
        "{errors}"
    );
    let folder = dir.path().join("models--org--name");
    assert!(fs::symlink_metadata(folder.join("snapshots/c0ffee/model.safetensors")).is_err());
    assert!(!folder.join("blobs").join(ABC).exists());
    assert!(!folder.join("snapshots/c0ffee/config.json").exists());
}

#[test]
fn what_cannot_be_downloaded_says_why() {
    let hub = serve(&[]);
    let dir = tempfile::tempdir().unwrap();
    let message = |name: &str| {
        let refused = download(&hub, dir.path(), name);
        assert!(!refused.status.success());
        String::from_utf8(refused.stderr).unwrap()
    };
    assert!(
        message("org/other").contains("no such model"),
        "{}",
        message("org/other")
    );
    assert!(message("org/name").contains("model.safetensors cannot be downloaded"));
    assert!(message("llava").contains("org/name"));
    assert!(message("../etc").contains("org/name"));
}
