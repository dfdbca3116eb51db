//! What is in the files that a run left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The rows of a file of JSON lines, as values.
///
/// # Panics
/// As [`rows`].
#[must_use]
pub fn lines(path: &Path) -> Vec<Value> {
    rows(path)
}

/// The rows of a file of JSON lines.
///
/// # Panics
/// It is not there, or a line is something else.
#[must_use]
pub fn rows<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).expect("a file of lines");
    let row = |line| serde_json::from_str(line).expect("a row");
    text.lines().map(row).collect()
}

/// The value in a JSON file.
///
/// # Panics
/// It is not there, or is something else.
#[must_use]
pub fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("a JSON file");
    serde_json::from_str(&text).expect("JSON")
}

/// All files of a folder and below, by their path in it with `/` between folders, with their content.
///
/// # Panics
/// They cannot be read.
#[must_use]
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        let name = name.to_string_lossy().into_owned();
        if path.is_dir() {
            let inner = files(&path).into_iter();
            all.extend(inner.map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            all.insert(name, fs::read(&path).expect("a file"));
        }
    }
    all
}

/// Whether a file of a run's folder holds what the run computed, and no clock, folder or setting: figures, samples and
/// weights.
#[must_use]
pub fn is_result(name: &str) -> bool {
    let extension = Path::new(name).extension();
    let of_checkpoints = name.starts_with("checkpoints/");
    let figures = ["metrics.jsonl", "result.json", "held_out.jsonl"].contains(&name);
    let samples = name.starts_with("samples/");
    !of_checkpoints && (figures || samples || extension.is_some_and(|e| e == "safetensors"))
}

/// Compares files of two folders byte by byte.
///
/// # Panics
/// A file is missing in one of them, or differs.
pub fn assert_same(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(left), names(right));
    for (name, bytes) in left {
        if bytes == &right[name] {
            continue;
        }
        let shown =
            |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
        let (left, right) = (shown(bytes), shown(&right[name]));
        panic!("{name} differs:\n{left}\n{right}");
    }
}
