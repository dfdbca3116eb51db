//! Real runs of the binary, killed at random moments, must end in the bytes of an undisturbed run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use candor_data::random;

/// A folder with a small world and a grounded model, made once for all tests. It lies in cargo's folder for
/// such things and is made anew each time, so that nothing piles up.
fn prepared() -> &'static Path {
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

fn recipe(name: &str) -> String {
    format!("{}/../../recipes/demo/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn candor(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn sets(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs
        .iter()
        .flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")])
        .collect()
}

fn ground_sets(out: &str) -> Vec<String> {
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

fn sft_sets(out: &str) -> Vec<String> {
    sft_sets_of("30", out)
}

fn sft_sets_of(steps: &str, out: &str) -> Vec<String> {
    sets(&[
        ("data.root", "world"),
        ("model.base", "ground/model"),
        ("run.out", out),
        ("run.steps", steps),
        ("run.checkpoint_every", "3"),
        ("data.batch", "16"),
        ("data.micro_batch", "8"),
        ("data.epoch_rows", "160"),
    ])
}

/// Kills the run at random moments until it ends by itself; returns how often it was killed when there was a
/// checkpoint to continue from.
fn run_with_kills(folder: &Path, arguments: &[String], seed: u64, longest_ms: u64) -> usize {
    let out = run_folder(arguments, folder);
    let mut kills = 0;
    for attempt in 0..40_u64 {
        let mut command = candor(folder);
        command.args(arguments);
        if out.join("resolved.toml").exists() {
            command.arg("--resume");
        } else {
            // Killed before its first file: there is nothing to resume.
            let _ = fs::remove_dir_all(&out);
        }
        let mut child = command.spawn().unwrap();
        // Later attempts get longer, so that the test ends on a slow machine too.
        let limit = longest_ms + 200 * attempt;
        let wait = random::uniform(seed, "test.kill", &[attempt]) * limit as f64;
        std::thread::sleep(Duration::from_millis(wait as u64));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if let Some(code) = output.status.code() {
            // It ended by itself before the kill.
            assert_eq!(code, 0, "{}", String::from_utf8_lossy(&output.stderr));
            return kills;
        }
        let checkpointed = fs::read_dir(out.join("checkpoints")).is_ok_and(|mut entries| {
            entries.any(|e| {
                e.unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("step-")
            })
        });
        kills += usize::from(checkpointed);
    }
    panic!("the run never ended");
}

fn run_folder(arguments: &[String], folder: &Path) -> PathBuf {
    let out = arguments
        .iter()
        .find_map(|a| a.strip_prefix("run.out="))
        .unwrap();
    folder.join(out)
}

fn assert_same(folder: &Path, left: &str, right: &str, files: &[&str]) {
    for file in files {
        let read = |run: &str| fs::read(folder.join(run).join(file)).unwrap();
        assert!(
            read(left) == read(right),
            "{file} differs between {left} and {right}"
        );
    }
}

const RESULTS: [&str; 3] = [
    "metrics.jsonl",
    "model/model.safetensors",
    "model/tokenizer.json",
];

#[test]
fn sft_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = prepared();
    let arguments =
        |out: &str| [vec!["sft".to_owned(), recipe("1-sft.toml")], sft_sets(out)].concat();
    run(candor(folder).args(arguments("sft-whole")));
    let kills = run_with_kills(folder, &arguments("sft-killed"), 11, 2500);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    assert_same(folder, "sft-whole", "sft-killed", &RESULTS);
}

#[test]
fn lora_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = prepared();
    let arguments = |out: &str| {
        let lora = sets(&[
            ("model.tune", "\"lora\""),
            (
                "model.lora",
                "{ r = 2, alpha = 4.0, targets = [\"q_proj\", \"up_proj\"] }",
            ),
            ("model.activations", "\"recompute\""),
        ]);
        [
            vec!["sft".to_owned(), recipe("1-sft.toml")],
            sft_sets(out),
            lora,
        ]
        .concat()
    };
    run(candor(folder).args(arguments("lora-whole")));
    let kills = run_with_kills(folder, &arguments("lora-killed"), 7, 2500);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    let results = [
        "metrics.jsonl",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
    ];
    assert_same(folder, "lora-whole", "lora-killed", &results);
}

#[test]
fn grounding_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = prepared();
    let arguments = [
        vec!["ground".to_owned(), recipe("0-ground.toml")],
        ground_sets("ground-killed"),
    ]
    .concat();
    let kills = run_with_kills(folder, &arguments, 3, 1500);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    assert_same(folder, "ground", "ground-killed", &RESULTS);
}

#[test]
fn the_number_of_loader_threads_changes_nothing() {
    let folder = prepared();
    for (out, threads) in [("threads-1", "1"), ("threads-5", "5")] {
        let mut command = candor(folder);
        command
            .env("RAYON_NUM_THREADS", threads)
            .args(["sft", &recipe("1-sft.toml")])
            .args(sft_sets(out));
        run(&mut command);
    }
    assert_same(folder, "threads-1", "threads-5", &RESULTS);
}

#[cfg(unix)]
#[test]
fn an_interrupt_checkpoints_and_prints_the_command_to_resume() {
    let folder = prepared();
    let mut arguments = vec!["sft".to_owned(), recipe("1-sft.toml")];
    // Long enough that the signal comes in the middle, however busy the machine is.
    arguments.extend(sft_sets_of("150", "sft-stopped"));
    let mut child = candor(folder).args(&arguments).spawn().unwrap();
    let metrics = folder.join("sft-stopped/metrics.jsonl");
    while fs::metadata(&metrics).map_or(0, |m| m.len()) == 0 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before its first step"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    // The shell's own `kill`: a minimal system has no program of that name.
    run(Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("--resume"), "{said}");
    run(candor(folder).args(&arguments).arg("--resume"));
    run(candor(folder)
        .args(["sft", &recipe("1-sft.toml")])
        .args(sft_sets_of("150", "sft-undisturbed")));
    assert_same(folder, "sft-stopped", "sft-undisturbed", &RESULTS);
}

#[test]
fn a_fresh_run_never_overwrites_another_and_a_changed_recipe_never_resumes() {
    let folder = prepared();
    let attempt = |extra: &[&str]| {
        let mut command = candor(folder);
        command
            .args(["ground", &recipe("0-ground.toml")])
            .args(ground_sets("ground"))
            .args(extra);
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, said) = attempt(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--resume"), "{said}");
    let (code, said) = attempt(&["--resume", "--set", "optimizer.learning_rate=0.5"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("optimizer.learning_rate"), "{said}");
}
