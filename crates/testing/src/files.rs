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
