//! Interruptions leave no trace, and what does not belong together is not mixed.

use std::fs;
use std::path::{Path, PathBuf};

use candor_data::Turn;
use candor_data::formats::{candidates, llava};
use candor_run::Outcome;
use candor_sample::{SampleError, run};
use candor_testing::run::launch;
use tch::Device;

use crate::tiny::{assert_same, model, prepared, prompts, recipe, sampled};

/// Starts a run and stops it after its first chunk.
fn stopped(dir: &Path, out: &str) {
    let launch = launch(false);
    launch.stop.request();
    let outcome = run(&recipe(dir, out, &[]), &launch, Device::Cpu).unwrap();
    assert_eq!(outcome, Outcome::Stopped);
    assert!(!dir.join(out).join("candidates.jsonl").exists());
}

fn resumed(dir: &Path, out: &str) -> Result<Outcome, SampleError> {
    run(&recipe(dir, out, &[]), &launch(true), Device::Cpu)
}

fn part(dir: &Path, out: &str, number: usize) -> PathBuf {
    dir.join(out).join(format!("parts/{number:06}.jsonl"))
}

#[test]
fn a_resumed_run_ends_in_the_same_bytes_and_keeps_its_chunks() {
    let dir = prepared();
    sampled(dir.path(), "whole", &[]);
    stopped(dir.path(), "resumed");
    assert!(part(dir.path(), "resumed", 0).exists());
    assert!(!part(dir.path(), "resumed", 1).exists());
    assert_eq!(resumed(dir.path(), "resumed").unwrap(), Outcome::Finished);
    assert_same(dir.path(), "whole", "resumed");
    // A finished run resumes to itself.
    assert_eq!(resumed(dir.path(), "resumed").unwrap(), Outcome::Finished);
    assert_same(dir.path(), "whole", "resumed");

    // What was kept is not answered again: other words in it survive.
    stopped(dir.path(), "marked");
    let path = part(dir.path(), "marked", 0);
    let mut rows = candidates::read(&path).unwrap();
    rows[0].outputs[0] = "a mark".into();
    candidates::write(&path, &rows).unwrap();
    resumed(dir.path(), "marked").unwrap();
    let rows = candidates::read(&dir.path().join("marked/candidates.jsonl")).unwrap();
    assert_eq!(rows[0].outputs[0], "a mark");
}

#[test]
fn a_damaged_part_is_answered_again() {
    let dir = prepared();
    sampled(dir.path(), "whole", &[]);
    let text = fs::read_to_string(part(dir.path(), "whole", 0)).unwrap();
    let two_rows: String = text.lines().take(2).map(|l| l.to_owned() + "\n").collect();
    for damaged in [&text[..text.len() / 2], &two_rows, ""] {
        stopped(dir.path(), "damaged");
        fs::write(part(dir.path(), "damaged", 0), damaged).unwrap();
        resumed(dir.path(), "damaged").unwrap();
        assert_same(dir.path(), "whole", "damaged");
        fs::remove_dir_all(dir.path().join("damaged")).unwrap();
    }
}

#[test]
fn other_inputs_and_other_recipes_are_refused_on_resume() {
    let dir = prepared();
    let path = dir.path();
    stopped(path, "out");
    let message = run(&recipe(path, "out", &[]), &launch(false), Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(message.contains("candor stage --resume"), "{message}");
    let hotter = recipe(path, "out", &["sampling.temperature=1.0"]);
    let message = run(&hotter, &launch(true), Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(message.contains("sampling.temperature"), "{message}");

    let mut rows = prompts();
    rows[1].turns[0] = Turn::human("<image>\nAnother question?");
    llava::write(&path.join("data/prompts.json"), &rows).unwrap();
    let message = resumed(path, "out").unwrap_err().to_string();
    assert!(message.contains("prompts"), "{message}");
    llava::write(&path.join("data/prompts.json"), &prompts()).unwrap();

    fs::remove_dir_all(path.join("model")).unwrap();
    model(2).save(&path.join("model")).unwrap();
    let message = resumed(path, "out").unwrap_err().to_string();
    assert!(message.contains("model"), "{message}");
}
