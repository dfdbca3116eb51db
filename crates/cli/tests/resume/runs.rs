//! Runs of the binary in a folder with a small world, and what kills them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use candor_data::random;

/// A folder with a small world and a grounded model, made once for all tests. It lies in cargo's folder for
/// such things and is made anew each time, so that nothing piles up.
pub fn prepared() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("resume");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.as_path();
        run(candor(path).args([
            "world",
            "write",
            "--out",
            "world",
            "--seed",
            "5",
            "--train",
            "60",
            "--preference",
            "20",
            "--rl",
            "20",
            "--eval",
            "150",
        ]));
        run(candor(path)
            .args(["ground", &recipe("0-ground.toml")])
            .args(ground_sets("ground")));
        folder
    })
}

/// What a recipe says of measuring itself by the world's POPE, which is put where a suite looks for it.
pub fn suite() -> [(&'static str, &'static str); 7] {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let (world, data) = (prepared().join("world"), prepared().join("benchmarks"));
        let images = data.join("coco/val2014");
        fs::create_dir_all(&images).unwrap();
        fs::create_dir(data.join("pope")).unwrap();
        for split in ["random", "popular", "adversarial"] {
            let questions = data.join(format!("pope/coco_pope_{split}.jsonl"));
            fs::copy(world.join(format!("eval/pope_{split}.jsonl")), questions).unwrap();
        }
        for image in fs::read_dir(world.join("images")).unwrap() {
            let image = image.unwrap();
            fs::copy(image.path(), images.join(image.file_name())).unwrap();
        }
    });
    [
        ("suite.every", "3"),
        ("suite.data", "\"benchmarks\""),
        ("suite.benchmarks", "[\"pope\"]"),
        ("suite.limit", "4"),
        ("suite.best", "\"pope.accuracy\""),
        ("suite.max_new_tokens", "4"),
        ("suite.batch_rows", "4"),
    ]
}

pub fn recipe(name: &str) -> String {
    format!("{}/../../recipes/demo/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub fn candor(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command
        .current_dir(folder)
        // The tests run side by side: with a thread for each core every one of them would wait for the others.
        .env("OMP_NUM_THREADS", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn sets(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs
        .iter()
        .flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")])
        .collect()
}

/// How often a run is killed before it is left to end.
const N_KILLS: usize = 5;

/// Kills the run at random moments: every other time within `spread_ms` of its next checkpoint, so that each machine
/// kills something that has got somewhere, and otherwise within as much of its start. Returns how often it was
/// killed when there was something to continue from.
pub fn run_with_kills(folder: &Path, arguments: &[String], seed: u64, spread_ms: u64) -> usize {
    let out = run_folder(arguments, folder);
    let mut kills = 0;
    for attempt in 0.. {
        let mut command = candor(folder);
        command.args(arguments);
        if out.join("resolved.toml").exists() {
            command.arg("--resume");
        }
        let before = saved(&out);
        let mut child = command.spawn().unwrap();
        if kills < N_KILLS {
            if attempt % 2 == 0 {
                while saved(&out) == before && child.try_wait().unwrap().is_none() {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            let wait = random::uniform(seed, "test.kill", &[attempt]) * spread_ms as f64;
            std::thread::sleep(Duration::from_millis(wait as u64));
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        if let Some(code) = output.status.code() {
            // It ended by itself.
            assert_eq!(code, 0, "{}", String::from_utf8_lossy(&output.stderr));
            break;
        }
        kills += usize::from(!saved(&out).is_empty());
    }
    assert_swept(&out);
    kills
}

/// Nothing that a killed process left half written is there any more.
fn assert_swept(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(!name.starts_with(".candor-"), "{}", path.display());
        if path.is_dir() {
            assert_swept(&path);
        }
    }
}

/// Sends a signal to a run once it has done a step, and returns how it ended.
#[cfg(unix)]
pub fn signalled(folder: &Path, arguments: &[String], signal: &str) -> Output {
    let metrics = run_folder(arguments, folder).join("metrics.jsonl");
    let n_bytes = || fs::metadata(&metrics).map_or(0, |m| m.len());
    let before = n_bytes();
    let mut child = candor(folder).args(arguments).spawn().unwrap();
    while n_bytes() <= before {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before its first step"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    // The shell's own `kill`: a minimal system has no program of that name.
    run(Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]));
    child.wait_with_output().unwrap()
}

/// Fails a command, which must be one for the user to mend, and returns what it said.
pub fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
    said
}

/// The lines of a run's `metrics.jsonl`.
pub fn metrics(folder: &Path, out: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(folder.join(out).join("metrics.jsonl")).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The checkpoints of a run, and the parts of its result; of rounds, those of all their stages.
fn saved(out: &Path) -> BTreeSet<PathBuf> {
    let inside = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    };
    let starts = |path: &Path, beginnings: &[&str]| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        beginnings
            .iter()
            .any(|beginning| name.starts_with(beginning))
    };
    let checkpoints = inside(&out.join("checkpoints")).filter(|path| starts(path, &["step-"]));
    let parts = inside(&out.join("parts")).filter(|path| !starts(path, &["."]));
    let stages = inside(out).filter(|path| starts(path, &["round-", "sample-", "dpo"]));
    let of_stages = stages.flat_map(|stage| saved(&stage));
    checkpoints.chain(parts).chain(of_stages).collect()
}

fn run_folder(arguments: &[String], folder: &Path) -> PathBuf {
    let out = arguments
        .iter()
        .find_map(|a| a.strip_prefix("run.out="))
        .unwrap();
    folder.join(out)
}

pub fn assert_same(folder: &Path, left: &str, right: &str, files: &[&str]) {
    for file in files {
        let read = |run: &str| fs::read(folder.join(run).join(file)).unwrap();
        assert!(
            read(left) == read(right),
            "{file} differs between {left} and {right}"
        );
    }
}

pub fn ground_sets(out: &str) -> Vec<String> {
    sets(&[
        ("data.root", "world"),
        ("run.out", out),
        ("run.steps", "24"),
        ("run.checkpoint_every", "4"),
        ("data.batch_images", "8"),
        ("data.n_held_out", "8"),
        ("model.vision.layers", "2"),
        ("model.text.layers", "2"),
    ])
}
