//! Run folders: starting, refusing, resuming to the same bytes.

use std::fs;
use std::path::Path;

use candor_run::{Resumed, RunError, RunFolder, RunOptions};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::json;

#[derive(Serialize)]
struct Metrics {
    step: u64,
    loss: f64,
}

#[derive(Serialize)]
struct Timings {
    step: u64,
    secs: f64,
}

fn options<'a>(dir: &'a Path, resolved: &'a str) -> RunOptions<'a> {
    RunOptions {
        dir,
        stage: "sft",
        resolved,
        n_keep_checkpoints: 2,
        resume_command: "candor sft r.toml --resume",
        may_change: &["n_threads", "terms[*].patience"],
    }
}

/// A loop whose weight is its checkpoint: steps up to `end`, a checkpoint every `every`.
fn run(folder: &mut RunFolder, mut step: u64, mut weight: f64, end: u64, every: u64) {
    while step < end {
        step += 1;
        weight = (weight * 1.3 + step as f64).sin();
        let loss = weight * weight;
        folder.log(step, &Metrics { step, loss }).unwrap();
        folder
            .log_timing(step, &Timings { step, secs: 0.1 })
            .unwrap();
        if step.is_multiple_of(every) {
            folder
                .save_checkpoint(step, json!(step), json!(null), |files| {
                    files.bytes("weight", &weight.to_le_bytes())
                })
                .unwrap();
        }
    }
}

fn resume(dir: &Path) -> (RunFolder, u64, f64) {
    let Resumed {
        folder, checkpoint, ..
    } = RunFolder::resume(&options(dir, "seed = 1\n")).unwrap();
    let (step, weight) = checkpoint.map_or((0, 0.0), |checkpoint| {
        let bytes = fs::read(checkpoint.path().join("weight")).unwrap();
        (
            checkpoint.state.step,
            f64::from_le_bytes(bytes.try_into().unwrap()),
        )
    });
    (folder, step, weight)
}

/// A folder in memory where there is one: these runs sync thousands of times.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn event_files(dir: &Path) -> usize {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    names
        .filter(|n| n.to_str().unwrap().starts_with("events.out."))
        .count()
}

#[test]
fn a_folder_with_a_run_is_refused_with_the_resume_command() {
    // One step is enough, with a checkpoint or without.
    for every in [1, 9] {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap();
        run(&mut folder, 0, 0.0, 1, every);
        drop(folder);
        let before = contents(dir.path());
        let said = RunFolder::start(&options(dir.path(), "seed = 2\n"))
            .unwrap_err()
            .to_string();
        assert!(said.contains("`candor sft r.toml --resume`"), "{said}");
        assert_eq!(contents(dir.path()), before);
        // Each of them alone is a step that was finished.
        for left in [
            "metrics.jsonl",
            "checkpoints/step-1.damaged",
            "checkpoints/.step-1.replaced",
            "parts/000000.jsonl",
            "model/config.json",
            "adapter/adapter_config.json",
            "result.json",
            "candidates.jsonl",
        ] {
            let dir = tempfile::tempdir().unwrap();
            drop(RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap());
            let path = dir.path().join(left);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}\n").unwrap();
            let error = RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap_err();
            assert!(
                matches!(error, RunError::RunExists { .. }),
                "{left}: {error}"
            );
        }
    }
}

/// All files of a run but its lock, with what is in them.
fn contents(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else if !path.ends_with(".lock") {
            files.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn a_start_that_finished_no_step_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    drop(RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap());
    // Killed in the middle of its first step and of its first checkpoint.
    let at = |name: &str| dir.path().join(name);
    fs::write(at("metrics.jsonl"), "{\"step\": 1").unwrap();
    fs::write(at("init_from.json"), "{}").unwrap();
    fs::create_dir_all(at("checkpoints/.step-1.partial")).unwrap();
    fs::create_dir_all(at("parts")).unwrap();
    fs::write(at("parts/.candor-Zz09aA"), "half").unwrap();
    fs::write(at(".candor-Zz09aA"), "half").unwrap();
    fs::write(at("notes.txt"), "mine").unwrap();
    // What it measured, by answers of another model perhaps.
    fs::create_dir_all(at("suite/step-1/pope/answers")).unwrap();
    fs::write(at("suite/step-1/pope/answers.log"), "{}\n").unwrap();
    fs::create_dir_all(at("best/adapter")).unwrap();
    fs::write(at("best/adapter/adapter_config.json"), "{}").unwrap();
    fs::create_dir_all(at("best/model")).unwrap();
    fs::write(at("best/model/config.json"), "{}").unwrap();
    fs::write(at("best.json"), "{}").unwrap();
    let mut folder = RunFolder::start(&options(dir.path(), "seed = 2\n")).unwrap();
    run(&mut folder, 0, 0.0, 4, 2);
    drop(folder);
    let clean = tempfile::tempdir().unwrap();
    let mut folder = RunFolder::start(&options(clean.path(), "seed = 2\n")).unwrap();
    run(&mut folder, 0, 0.0, 4, 2);
    drop(folder);
    // The same files, but for the user's own and TensorBoard's, which has a clock.
    let files = |dir: &Path| {
        let files = contents(dir).into_iter();
        let named = files.map(|(path, bytes)| {
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            (name, bytes)
        });
        let kept = named.filter(|(name, _)| !name.starts_with("events.out"));
        kept.collect::<Vec<_>>()
    };
    let mut expected = files(clean.path());
    expected.push(("notes.txt".to_owned(), b"mine".to_vec()));
    expected.sort();
    assert_eq!(files(dir.path()), expected);
    assert_eq!(event_files(dir.path()), 1);
    assert!(!at("samples").exists());
}

#[test]
fn a_folder_that_was_none_of_a_run_keeps_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let own = [
        "suite/pope.jsonl",
        "suite/step-by-step/notes.txt",
        "best/notes.txt",
        "events.out.tfevents.1700000000.node7.4242.0",
    ];
    let own = own.map(|name| dir.path().join(name));
    for file in &own {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "mine").unwrap();
    }
    // The second start finds the first one's, which finished no step.
    for _ in 0..2 {
        drop(RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap());
        for file in &own {
            assert_eq!(fs::read_to_string(file).unwrap(), "mine");
        }
        // The other program's, and that of the last start.
        assert_eq!(event_files(dir.path()), 2);
    }
}

#[test]
fn a_running_folder_is_locked_and_names_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let running = RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap();
    let error = RunFolder::resume(&options(dir.path(), "seed = 1\n")).unwrap_err();
    assert!(matches!(error, RunError::RunLocked { .. }));
    let said = error.to_string();
    assert!(
        said.contains(&format!("process {}", std::process::id())),
        "{said}"
    );
    drop(running);
    RunFolder::resume(&options(dir.path(), "seed = 1\n")).unwrap();
}

#[test]
fn there_must_be_a_run_to_resume() {
    let dir = tempfile::tempdir().unwrap();
    let error = RunFolder::resume(&options(&dir.path().join("none"), "")).unwrap_err();
    assert!(matches!(error, RunError::NoRun { .. }));
    assert!(!dir.path().join("none").exists());
}

#[test]
fn another_recipe_is_refused_but_free_keys_may_change() {
    let dir = tempfile::tempdir().unwrap();
    drop(RunFolder::start(&options(dir.path(), "seed = 1\nn_threads = 1\n")).unwrap());
    let said = RunFolder::resume(&options(dir.path(), "seed = 2\nn_threads = 1\n"))
        .unwrap_err()
        .to_string();
    assert!(said.contains("seed: 1 -> 2"), "{said}");
    RunFolder::resume(&options(dir.path(), "seed = 1\nn_threads = 4\n")).unwrap();
}

#[test]
fn what_a_resume_changes_is_noted_with_the_step() {
    let dir = tempfile::tempdir().unwrap();
    let with = |threads: &str| format!("seed = 1\n{threads}");
    let notes = || fs::read_to_string(dir.path().join("resumed.jsonl")).unwrap_or_default();
    let began = with("n_threads = 1\n");
    let mut folder = RunFolder::start(&options(dir.path(), &began)).unwrap();
    run(&mut folder, 0, 0.0, 5, 2);
    drop(folder);
    let resume = |recipe: &str| drop(RunFolder::resume(&options(dir.path(), recipe)).unwrap());
    resume(&began);
    assert_eq!(notes(), "");
    resume(&with("n_threads = 4\n"));
    let to_4 = "{\"step\":4,\"changes\":{\"n_threads\":{\"from\":1,\"to\":4}}}\n";
    assert_eq!(notes(), to_4);
    // Compared with what was last, not with what was first.
    resume(&with("n_threads = 4\n"));
    assert_eq!(notes(), to_4);
    resume(&with(""));
    let to_none = "{\"step\":4,\"changes\":{\"n_threads\":{\"from\":4,\"to\":null}}}\n";
    assert_eq!(notes(), to_4.to_owned() + to_none);
    let resolved = fs::read_to_string(dir.path().join("resolved.toml")).unwrap();
    assert_eq!(resolved, began);
    // A kill may cut the last line.
    fs::write(dir.path().join("resumed.jsonl"), format!("{to_4}{{\"st")).unwrap();
    resume(&with("n_threads = 4\n"));
    fs::write(dir.path().join("resumed.jsonl"), "what?\n").unwrap();
    let error = RunFolder::resume(&options(dir.path(), &began)).unwrap_err();
    assert!(error.to_string().contains("resumed.jsonl"), "{error}");
}

/// A key of a list is free in each of its places, and is noted under its own.
#[test]
fn what_may_change_in_a_list_is_noted_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let terms = |patience: &str, weight: u32| {
        format!("[[terms]]\nweight = 1\n[[terms]]\nweight = {weight}\n{patience}")
    };
    let [began, patient, other] =
        [("", 1), ("patience = 9\n", 1), ("", 2)].map(|(p, w)| terms(p, w));
    drop(RunFolder::start(&options(dir.path(), &began)).unwrap());
    let error = RunFolder::resume(&options(dir.path(), &other)).unwrap_err();
    assert!(
        error.to_string().contains("terms[1].weight: 1 -> 2"),
        "{error}"
    );
    for recipe in [&patient, &patient, &began] {
        drop(RunFolder::resume(&options(dir.path(), recipe)).unwrap());
    }
    let notes = fs::read_to_string(dir.path().join("resumed.jsonl")).unwrap();
    let expected = [("null", "9"), ("9", "null")].map(|(from, to)| {
        format!(
            "{{\"step\":0,\"changes\":{{\"terms[1].patience\":{{\"from\":{from},\"to\":{to}}}}}}}\n"
        )
    });
    assert_eq!(notes, expected.concat());
}

#[test]
fn metrics_shorter_than_their_checkpoint_are_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap();
    run(&mut folder, 0, 0.0, 4, 2);
    drop(folder);
    let metrics = dir.path().join("metrics.jsonl");
    let text = fs::read_to_string(&metrics).unwrap();
    for (changed, said) in [
        (&text[..10], "10 bytes long"),
        (&text.replace('\n', " ")[..], "no line ends"),
    ] {
        fs::write(&metrics, changed).unwrap();
        let error = RunFolder::resume(&options(dir.path(), "seed = 1\n"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_damaged_checkpoint_is_set_aside_and_the_run_ends_the_same() {
    let (whole, hurt) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for dir in [&whole, &hurt] {
        let mut folder = RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap();
        run(&mut folder, 0, 0.0, 7, 2);
    }
    fs::write(hurt.path().join("checkpoints/step-6/weight"), "damaged!").unwrap();
    let resumed = RunFolder::resume(&options(hurt.path(), "seed = 1\n")).unwrap();
    assert_eq!(resumed.checkpoint.unwrap().state.step, 4);
    assert!(resumed.damaged[0].file.ends_with("step-6/weight"));
    drop(resumed.folder);
    for dir in [&whole, &hurt] {
        let (mut folder, step, weight) = resume(dir.path());
        run(&mut folder, step, weight, 10, 2);
    }
    for name in [
        "metrics.jsonl",
        "checkpoints/step-10/weight",
        "checkpoints/step-8/manifest.json",
    ] {
        let read = |dir: &tempfile::TempDir| fs::read(dir.path().join(name)).unwrap();
        assert_eq!(read(&whole), read(&hurt), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A run that dies after arbitrary steps, with arbitrary garbage where a write was cut short, ends with
    /// the bytes of a run that never died.
    #[test]
    fn a_killed_run_ends_with_the_same_bytes(
        every in 1_u64..5,
        deaths in prop::collection::vec(0_u64..8, 1..4),
        garbage in "[a-z{\"]{0,8}",
    ) {
        let end = 12;
        let whole = scratch();
        let mut folder = RunFolder::start(&options(whole.path(), "seed = 1\n")).unwrap();
        run(&mut folder, 0, 0.0, end, every);
        drop(folder);

        let killed = scratch();
        let dir = killed.path();
        drop(RunFolder::start(&options(dir, "seed = 1\n")).unwrap());
        for n in &deaths {
            let (mut folder, step, weight) = resume(dir);
            run(&mut folder, step, weight, end.min(step + n), every);
            drop(folder);
            for name in ["metrics.jsonl", "timings.jsonl"] {
                let mut text = fs::read(dir.join(name)).unwrap();
                text.extend(garbage.as_bytes());
                fs::write(dir.join(name), text).unwrap();
            }
            fs::create_dir(dir.join("checkpoints/.step-99.partial")).unwrap();
        }
        let (mut folder, step, weight) = resume(dir);
        run(&mut folder, step, weight, end, every);
        drop(folder);

        let read = |dir: &Path| fs::read(dir.join("metrics.jsonl")).unwrap();
        prop_assert_eq!(read(whole.path()), read(dir));
        let last = format!("checkpoints/step-{}", end / every * every);
        for name in ["weight", "state.json", "manifest.json"] {
            let read = |dir: &Path| fs::read(dir.join(&last).join(name)).unwrap();
            prop_assert_eq!(read(whole.path()), read(dir));
        }
        let timings = fs::read_to_string(dir.join("timings.jsonl")).unwrap();
        prop_assert!(timings.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
        prop_assert_eq!(event_files(dir), deaths.len() + 2);
    }
}

#[test]
fn tensorboard_has_a_group_for_each_stage() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder = RunFolder::start(&options(dir.path(), "seed = 1\n")).unwrap();
    run(&mut folder, 0, 0.0, 1, 1);
    let events = contents(dir.path()).into_iter();
    let mut events = events.filter(|(path, _)| path.to_string_lossy().contains("tfevents"));
    let (_, bytes) = events.next().unwrap();
    // A tag is a protobuf string: its length stands before it.
    for tag in [&b"\x08sft/loss"[..], b"\x0btiming/secs"] {
        assert!(
            bytes.windows(tag.len()).any(|found| found == tag),
            "{}",
            String::from_utf8_lossy(tag)
        );
    }
}
