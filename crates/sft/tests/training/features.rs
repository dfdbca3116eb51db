//! Where features of images are kept changes nothing that a run writes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::out;
use crate::tiny::{prepared, sft};

/// The files of the features that are kept below a folder.
fn kept(folder: &Path) -> Vec<PathBuf> {
    let towers = fs::read_dir(folder).unwrap();
    let towers = towers.map(|entry| entry.unwrap().path());
    let files = towers.filter(|path| path.is_dir()).flat_map(|tower| {
        let files = fs::read_dir(tower).unwrap();
        files.map(|entry| entry.unwrap().path())
    });
    files.collect()
}

#[test]
fn a_run_ends_in_the_same_bytes_wherever_features_are_kept() {
    let folder = prepared();
    let path = folder.path();
    let features = path.join("features");
    let place = format!("run.features_folder={:?}", features.display().to_string());
    let run = |name: &str, features: &str| {
        let features = format!("run.features={features:?}");
        let sets = [&*out(path, name), &place, &features, "run.steps=3"];
        sft(path, &sets).unwrap();
        let written = |file: &str| fs::read(path.join(name).join(file)).unwrap();
        (written("model/model.safetensors"), written("metrics.jsonl"))
    };
    let in_memory = run("memory", "memory");
    assert!(!features.exists());
    assert!(run("cold", "disk") == in_memory);
    let files = kept(&features);
    assert_eq!(files.len(), 1, "{files:?}");
    let whole = fs::read(&files[0]).unwrap();
    assert!(run("warm", "disk") == in_memory);
    // Damage is found, and the file made anew.
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&files[0], &damaged).unwrap();
    assert!(run("damaged", "disk") == in_memory);
    assert!(fs::read(&files[0]).unwrap() == whole);
    // Few images stay in memory by themselves.
    fs::remove_dir_all(&features).unwrap();
    assert!(run("auto", "auto") == in_memory);
    assert!(!features.exists());
}
