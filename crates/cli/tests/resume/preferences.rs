//! `sample`, `reward` and `dpo`, killed at random moments.

use std::path::Path;
use std::sync::OnceLock;

use crate::runs::{assert_same, candor, prepared, recipe, run, run_with_kills, sets};

pub fn sample_arguments(out: &str) -> Vec<String> {
    let sets = sets(&[
        ("data.root", "world"),
        ("model.base", "talker/model"),
        ("run.out", out),
        ("run.chunk", "1"),
        ("sampling.max_new_tokens", "40"),
    ]);
    [vec!["sample".to_owned(), recipe("2-sample.toml")], sets].concat()
}

/// The folder of [`prepared`] with a model that speaks, somewhat, and its sampled and compared answers.
fn compared() -> &'static Path {
    static DONE: OnceLock<()> = OnceLock::new();
    let folder = prepared();
    DONE.get_or_init(|| {
        let talker = sets(&[
            ("data.root", "world"),
            ("model.base", "ground/model"),
            ("run.out", "talker"),
            ("run.steps", "40"),
            ("data.batch", "16"),
            ("data.micro_batch", "16"),
            ("data.epoch_rows", "640"),
        ]);
        run(candor(folder)
            .args(["sft", &recipe("1-sft.toml")])
            .args(talker));
        run(candor(folder).args(sample_arguments("sample")));
        run(candor(folder).args([
            "world",
            "annotate",
            "--world",
            "world",
            "--candidates",
            "sample/candidates.jsonl",
            "--out",
            "preferences/preferences.json",
        ]));
    });
    folder
}

/// A command with a recipe that lies beside these tests.
pub fn with_own_recipe(command: &str, out: &str) -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resume");
    let recipe = format!("{folder}/{command}.toml");
    [vec![command.to_owned(), recipe], sets(&[("run.out", out)])].concat()
}

/// The folder of [`compared`] with a reward model.
pub fn rewarded() -> &'static Path {
    static DONE: OnceLock<()> = OnceLock::new();
    let folder = compared();
    DONE.get_or_init(|| run(candor(folder).args(with_own_recipe("reward", "reward"))));
    folder
}

#[test]
fn sampling_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = compared();
    let kills = run_with_kills(folder, &sample_arguments("sample-killed"), 5, 100);
    assert!(kills > 0, "the run was never killed after a chunk");
    let results = ["candidates.jsonl", "metrics.jsonl", "result.json"];
    assert_same(folder, "sample", "sample-killed", &results);
}

#[test]
fn a_reward_model_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = rewarded();
    let kills = run_with_kills(folder, &with_own_recipe("reward", "reward-killed"), 13, 200);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    let results = [
        "metrics.jsonl",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "reward_head.safetensors",
        "reward_model.json",
        "held_out.jsonl",
        "result.json",
    ];
    assert_same(folder, "reward", "reward-killed", &results);
}

#[test]
fn dpo_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = compared();
    run(candor(folder).args(with_own_recipe("dpo", "dpo")));
    let kills = run_with_kills(folder, &with_own_recipe("dpo", "dpo-killed"), 29, 200);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    let results = [
        "metrics.jsonl",
        "reference.json",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "held_out.jsonl",
        "result.json",
    ];
    assert_same(folder, "dpo", "dpo-killed", &results);
}
