//! Fields that only say how much is in memory at a time: a resume may change them, and what is learned stays the same up to
//! rounding.

use std::fs;

use serde_json::Value;

use crate::fine_tuning::sft_sets;
use crate::preferences::{rewarded, sample_arguments, with_own_recipe};
use crate::reinforcement::judged;
use crate::runs::{candor, metrics, prepared, recipe, refused, run, sets};

/// Whether two runs had the same tokens in every step, and numbers that differ by rounding.
fn assert_close(folder: &std::path::Path, left: &str, right: &str, exact: &[&str], close: &[&str]) {
    let (left_lines, right_lines) = (metrics(folder, left), metrics(folder, right));
    assert_eq!(left_lines.len(), right_lines.len());
    assert!(left_lines.len() >= 6);
    for (l, r) in left_lines.iter().zip(&right_lines) {
        for key in exact {
            assert_eq!(l[key], r[key], "{key}: {l} {r}");
        }
        for key in close {
            let [l_value, r_value] = [l, r].map(|line| line[key].as_f64().unwrap());
            let tolerance = 2e-3 * l_value.abs().max(0.1);
            assert!((l_value - r_value).abs() < tolerance, "{key}: {l} {r}");
        }
    }
}

/// Runs to a failure after some steps, goes on with `changed`, and returns the notes about that.
fn changed_on_resume(arguments: &[String], out: &str, changed: &[(&str, &str)]) -> Vec<Value> {
    let folder = prepared();
    cut_short(arguments, out);
    run(candor(folder)
        .args(arguments)
        .arg("--resume")
        .args(sets(changed)));
    let notes = fs::read_to_string(folder.join(out).join("resumed.jsonl")).unwrap();
    notes
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Kills a run at its second checkpoint.
fn cut_short(arguments: &[String], out: &str) {
    let folder = prepared();
    let checkpoints = folder.join(out).join("checkpoints");
    let mut child = candor(folder).args(arguments).spawn().unwrap();
    let n_checkpoints = || {
        let entries = fs::read_dir(&checkpoints).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with("step-"))
            .count()
    };
    while n_checkpoints() < 2 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before it was killed"
        );
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn fine_tuning_takes_the_same_conversations_in_other_passes() {
    let folder = prepared();
    // The batch of 16 in passes of 8.
    let arguments = |out: &str| {
        let command = vec!["sft".to_owned(), recipe("1-sft.toml")];
        let more_steps = sets(&[("run.steps", "45")]);
        [command, sft_sets(out), more_steps].concat()
    };
    run(candor(folder).args(arguments("passes-8")));
    let changed = [
        ("data.micro_batch", "2"),
        ("model.activations", "\"recompute\""),
    ];
    let notes = changed_on_resume(&arguments("passes-2"), "passes-2", &changed);
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0]["changes"]["data.micro_batch"]["from"], 8);
    assert_eq!(notes[0]["changes"]["data.micro_batch"]["to"], 2);
    assert_eq!(notes[0]["changes"]["model.activations"]["to"], "recompute");
    assert!(notes[0]["step"].as_u64().unwrap() >= 6);
    let exact = ["step", "learning_rate", "n_target_tokens", "n_tokens"];
    assert_close(folder, "passes-8", "passes-2", &exact, &["loss"]);
    // And larger ones, which tokens bound.
    let changed = [("data.micro_batch", "16"), ("data.pass_tokens", "400")];
    let notes = changed_on_resume(&arguments("passes-16"), "passes-16", &changed);
    assert_eq!(notes[0]["changes"]["data.micro_batch"]["to"], 16);
    assert_eq!(notes[0]["changes"]["data.pass_tokens"]["to"], 400);
    assert_close(folder, "passes-8", "passes-16", &exact, &["loss"]);
    // What is learned from may not change.
    let said = refused(
        candor(folder)
            .args(arguments("passes-2"))
            .arg("--resume")
            .args(sets(&[("data.batch", "8"), ("data.micro_batch", "8")])),
    );
    assert!(said.contains("data.batch: 16 -> 8"), "{said}");
    assert!(!said.contains("micro_batch"), "{said}");
}

#[test]
fn a_reward_model_judges_the_same_pairs_in_other_passes() {
    let folder = rewarded();
    let arguments = with_own_recipe("reward", "reward-passes");
    changed_on_resume(&arguments, "reward-passes", &[("data.micro_batch", "2")]);
    let (exact, close) = (["step", "n_tokens"], ["loss", "margin_mean"]);
    assert_close(folder, "reward", "reward-passes", &exact, &close);
    // A loss that is made of passes is another one with other passes.
    let by_pass = sets(&[
        ("run.out", "reward-by-pass"),
        ("loss.centering_over", "\"micro_batch\""),
    ]);
    let arguments = [arguments, by_pass].concat();
    cut_short(&arguments, "reward-by-pass");
    let said = refused(
        candor(folder)
            .args(&arguments)
            .arg("--resume")
            .args(sets(&[("data.micro_batch", "2")])),
    );
    assert!(said.contains("data.micro_batch: 4 -> 2"), "{said}");
}

#[test]
fn ppo_goes_on_with_other_sizes_in_memory() {
    let folder = judged();
    let arguments = with_own_recipe("rl", "rl-sizes");
    let changed = [
        ("batch.micro_batch", "1"),
        ("sampling.batch_rows", "2"),
        ("sampling.pass_rows", "8"),
        ("model.activations", "\"recompute\""),
    ];
    let notes = changed_on_resume(&arguments, "rl-sizes", &changed);
    let keys: Vec<&String> = notes[0]["changes"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "batch.micro_batch",
            "model.activations",
            "sampling.batch_rows",
            "sampling.pass_rows"
        ]
    );
    // The steps before are what they were; those after may sample another token once in a while.
    let lines = metrics(folder, "rl-sizes");
    assert_eq!(lines.len(), 12);
}

#[test]
fn sampling_goes_on_with_other_batches_and_says_so_in_each_row() {
    let folder = rewarded();
    let arguments = sample_arguments("sample-rows");
    let parts = folder.join("sample-rows/parts");
    let mut child = candor(folder).args(&arguments).spawn().unwrap();
    while fs::read_dir(&parts).map_or(0, |entries| {
        let names = entries.flatten().map(|entry| entry.file_name());
        names
            .filter(|name| !name.to_string_lossy().starts_with('.'))
            .count()
    }) < 3
    {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    run(candor(folder)
        .args(&arguments)
        .arg("--resume")
        .args(sets(&[("sampling.batch_rows", "2")])));
    let rows = |out: &str| -> Vec<Value> {
        let text = fs::read_to_string(folder.join(out).join("candidates.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (whole, changed) = (rows("sample"), rows("sample-rows"));
    assert_eq!(whole.len(), changed.len());
    let batch_rows = |row: &Value| row["sampling"]["batch_rows"].as_u64().unwrap();
    let first = batch_rows(&whole[0]);
    let n_before = changed
        .iter()
        .take_while(|row| batch_rows(row) == first)
        .count();
    assert!((3..whole.len()).contains(&n_before), "{n_before}");
    assert!(changed[n_before..].iter().all(|row| batch_rows(row) == 2));
    assert_eq!(whole[..n_before], changed[..n_before]);
}
