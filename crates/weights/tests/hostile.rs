//! Valid files with random damage: whatever they say, opening and reading them neither panics nor takes more
//! memory than the file could fill.
//!
//! The allocator is counted for the whole process, so this is the only test of its program.

use std::path::{Path, PathBuf};

use candor_weights::Checkpoint;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory for bookkeeping that a file of any size may cost, and for each of its bytes.
const FIXED_BYTES: usize = 64 << 10;
const PER_BYTE: usize = 40;

fn golden() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let names = [
        "types.safetensors",
        "sharded_safetensors/model-00002-of-00003.safetensors",
        "types.bin",
        "views.bin",
        "module.bin",
        "protocol_4.bin",
        "protocol_5.bin",
        "beside.bin",
        "wrapped_state_dict.bin",
        "refused/legacy.bin",
        "refused/command.bin",
    ];
    let whole = |name: &str| (PathBuf::from(name), std::fs::read(root.join(name)).unwrap());
    names.map(whole).into()
}

/// Opens the file and reads all of it; how it ends does not matter.
fn open_and_read(path: &Path) {
    if let Ok(checkpoint) = Checkpoint::open(path) {
        let mut bytes = Vec::new();
        for (name, entry) in checkpoint.in_file_order() {
            checkpoint.read(name, &mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, entry.n_bytes());
        }
    }
}

/// The most memory that `run` takes at one time beyond what was taken before.
fn peak_of(run: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    run();
    MEMORY.peak_usage().saturating_sub(before)
}

fn random_damage_is_survived() {
    let files = golden();
    let n_files = files.len();
    let damage = (
        0..n_files,
        proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        proptest::option::weighted(0.2, any::<proptest::sample::Index>()),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let config = Config {
        cases: 2048,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&damage, |(file, flips, cut)| {
        let mut bytes = files[file].1.clone();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        std::fs::write(&path, &bytes).unwrap();
        let peak = peak_of(|| open_and_read(&path));
        prop_assert!(peak < FIXED_BYTES + PER_BYTE * bytes.len(), "{peak} bytes");
        Ok(())
    });
    outcome.unwrap();
}

/// Reads a file of eight tensors of 4 MiB through one buffer.
fn memory_is_one_tensors_worth() {
    const N: usize = 4 << 20;
    let tensor = |n: usize| {
        let offsets = [n * N, (n + 1) * N];
        format!(r#""t{n}":{{"dtype":"U8","shape":[{N}],"data_offsets":{offsets:?}}}"#)
    };
    let header = format!("{{{}}}", (0..8).map(tensor).collect::<Vec<_>>().join(","));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + 8 * N, 7);
    std::fs::write(&path, bytes).unwrap();
    let peak = peak_of(|| open_and_read(&path));
    assert!((N..N + FIXED_BYTES).contains(&peak), "{peak} bytes");
}

#[test]
fn memory_follows_the_file_and_not_its_claims() {
    random_damage_is_survived();
    memory_is_one_tensors_worth();
}
