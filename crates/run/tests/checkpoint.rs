//! Checkpoints: whole or not there, any flipped byte found, the one before used.

use std::fs;
use std::path::{Path, PathBuf};

use candor_run::{Checkpoint, CheckpointStore, RunError, RunState};
use serde_json::json;

fn state(step: u64) -> RunState {
    RunState {
        step,
        data_position: json!({"epoch": 1, "batch": step}),
        metrics_bytes: step * 10,
        stage: json!(null),
    }
}

fn save(store: &CheckpointStore, step: u64) -> PathBuf {
    store
        .save(&state(step), |files| {
            files.bytes("model.safetensors", &step.to_le_bytes())?;
            files.bytes("adapter/adapter_config.json", b"{}\n")
        })
        .unwrap()
}

fn files_of(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_of(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn a_checkpoint_comes_back_as_it_was_saved() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 3).unwrap();
    assert!(store.newest().unwrap().checkpoint.is_none());
    save(&store, 5);
    let newest = store.newest().unwrap();
    let checkpoint = newest.checkpoint.unwrap();
    assert_eq!(checkpoint.state, state(5));
    let weights = fs::read(checkpoint.path().join("model.safetensors")).unwrap();
    assert_eq!(weights, [5, 0, 0, 0, 0, 0, 0, 0]);
    assert!(newest.damaged.is_empty());
}

#[test]
fn the_bytes_are_the_same_each_time() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let read = |dir: &Path| {
        let folder = save(&CheckpointStore::open(dir, 1).unwrap(), 3);
        files_of(&folder)
            .iter()
            .map(|f| fs::read(f).unwrap())
            .collect::<Vec<_>>()
    };
    let first = read(one.path());
    assert_eq!(first.len(), 4);
    assert_eq!(first, read(two.path()));
}

#[test]
fn the_last_few_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    for step in [1, 2, 10, 9] {
        save(&store, step);
    }
    assert_eq!(store.steps().unwrap(), [9, 10]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

/// As on NFS, where a folder stays while somebody reads a file in it. Here a file is in the way, which is removed as no folder is.
#[test]
fn an_old_checkpoint_that_cannot_be_removed_ends_no_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 1).unwrap();
    save(&store, 1);
    let in_the_way = dir.path().join(".step-1.removed");
    fs::write(&in_the_way, "").unwrap();
    save(&store, 2);
    assert_eq!(store.steps().unwrap(), [1, 2]);
    assert_eq!(store.newest().unwrap().checkpoint.unwrap().state.step, 2);
    // Nor does it keep the run from going on, and it goes when it can.
    let store = CheckpointStore::open(dir.path(), 1).unwrap();
    fs::remove_file(&in_the_way).unwrap();
    save(&store, 3);
    assert_eq!(store.steps().unwrap(), [3]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn saving_a_step_again_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    save(&store, 4);
    store
        .save(&state(4), |files| files.bytes("other", b"x"))
        .unwrap();
    let checkpoint = store.newest().unwrap().checkpoint.unwrap();
    assert!(checkpoint.path().join("other").exists());
    assert!(!checkpoint.path().join("model.safetensors").exists());
}

#[test]
fn a_failed_write_leaves_the_earlier_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    save(&store, 1);
    let escape = store.save(&state(2), |files| files.bytes("../escape", b"x"));
    assert!(matches!(escape, Err(RunError::Checkpoint { .. })));
    assert!(!dir.path().join("escape").exists());
    assert_eq!(store.newest().unwrap().checkpoint.unwrap().state.step, 1);
}

#[test]
fn what_a_kill_leaves_behind_is_ignored_and_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    let whole = save(&store, 1);
    let partial = dir.path().join(".step-2.partial");
    let removed = dir.path().join(".step-0.removed");
    for leftover in [&partial, &removed] {
        fs::create_dir(leftover).unwrap();
        fs::write(leftover.join("model.safetensors"), "half").unwrap();
    }
    assert_eq!(store.newest().unwrap().checkpoint.unwrap().state.step, 1);
    CheckpointStore::open(dir.path(), 2).unwrap();
    assert!(!partial.exists() && !removed.exists() && whole.exists());

    // Killed between the two renames that replace a checkpoint: the old one returns.
    fs::rename(&whole, dir.path().join(".step-1.replaced")).unwrap();
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    assert_eq!(store.newest().unwrap().checkpoint.unwrap().state.step, 1);
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 5).unwrap();
    save(&store, 1);
    let second = save(&store, 2);
    let third = save(&store, 3);
    fs::remove_file(third.join("adapter/adapter_config.json")).unwrap();
    let weights = second.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();

    let newest = store.newest().unwrap();
    assert_eq!(newest.checkpoint.unwrap().state.step, 1);
    assert_eq!(
        newest.damaged[0].file,
        third.join("adapter/adapter_config.json")
    );
    assert_eq!(newest.damaged[1].file, weights);
    let said = newest.damaged[1].to_string();
    // Two hashes of 64 digits: the one found and the one expected.
    assert_eq!(
        said.split(|c: char| !c.is_ascii_hexdigit())
            .filter(|w| w.len() == 64)
            .count(),
        2
    );

    store.set_aside_after(1).unwrap();
    assert_eq!(store.steps().unwrap(), [1]);
    assert!(dir.path().join("step-3.damaged/manifest.json").exists());
}

#[test]
fn when_all_are_damaged_each_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::open(dir.path(), 5).unwrap();
    for step in [1, 2] {
        fs::write(save(&store, step).join("manifest.json"), "{").unwrap();
    }
    let said = store.newest().unwrap_err().to_string();
    assert!(
        said.contains("step-2/manifest.json") && said.contains("step-1/manifest.json"),
        "{said}"
    );
}

/// Not a sample of flips but all of them: every bit of every file of a checkpoint.
#[test]
fn any_flipped_bit_of_any_file_is_found() {
    // In memory where there is such a folder: thousands of files are written.
    let dir = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let store = CheckpointStore::open(dir.path(), 2).unwrap();
    let folder = save(&store, 2);
    let files = files_of(&folder);
    assert_eq!(files.len(), 4);
    for file in files {
        let whole = fs::read(&file).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &bytes).unwrap();
            assert!(
                Checkpoint::open(&folder, 2).is_err(),
                "{} bit {bit}",
                file.display()
            );
        }
        fs::write(&file, &whole).unwrap();
        Checkpoint::open(&folder, 2).unwrap();
    }
}
