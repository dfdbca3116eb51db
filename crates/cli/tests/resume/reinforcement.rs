//! `rl`, killed at random moments.

use std::path::Path;
use std::sync::OnceLock;

use crate::preferences::{rewarded, with_own_recipe};
use crate::runs::{assert_same, candor, recipe, run, run_with_kills, sets, suite};

/// The folder of [`rewarded`] with the policy that PPO starts from.
pub fn judged() -> &'static Path {
    static DONE: OnceLock<()> = OnceLock::new();
    let folder = rewarded();
    DONE.get_or_init(|| {
        let init = sets(&[
            ("data.root", "world"),
            ("model.base", "talker/model"),
            ("model.tune", "\"lora\""),
            (
                "model.lora",
                "{ r = 2, alpha = 4.0, targets = [\"q_proj\", \"up_proj\"] }",
            ),
            ("run.out", "policy-init"),
            ("run.steps", "4"),
            ("data.batch", "4"),
            ("data.micro_batch", "4"),
            ("data.epoch_rows", "40"),
        ]);
        run(candor(folder)
            .args(["sft", &recipe("1-sft.toml")])
            .args(init));
    });
    folder
}

pub const RESULTS: [&str; 10] = [
    "metrics.jsonl",
    "result.json",
    "adapter/adapter_model.safetensors",
    "adapter/adapter_config.json",
    "adapters/step-0/adapter_model.safetensors",
    "adapters/step-8/adapter_model.safetensors",
    "value/adapter/adapter_model.safetensors",
    "value/value_head.safetensors",
    "samples/step-1.jsonl",
    "samples/step-12.jsonl",
];

#[test]
fn ppo_that_measures_itself_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = judged();
    let arguments = |out: &str| [with_own_recipe("rl", out), sets(&suite())].concat();
    run(candor(folder).args(arguments("rl-whole")));
    let kills = run_with_kills(folder, &arguments("rl-killed"), 17, 300);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    assert_same(folder, "rl-whole", "rl-killed", &RESULTS);
    let measured = [
        "best.json",
        "best/adapter/adapter_model.safetensors",
        "suite/step-3/pope/answers.log",
        "suite/step-9/pope/answers/pope_popular.jsonl",
        "suite/step-12/pope/verdicts/pope.jsonl",
    ];
    assert_same(folder, "rl-whole", "rl-killed", &measured);
}

#[test]
fn two_runs_of_one_seed_are_the_same_and_two_seeds_are_not() {
    let folder = judged();
    let run = |out: &str, seed: &str| {
        let mut arguments = with_own_recipe("rl", out);
        arguments.extend(sets(&[("seed", seed), ("run.steps", "3")]));
        run(candor(folder).args(arguments));
        std::fs::read(folder.join(out).join("metrics.jsonl")).unwrap()
    };
    let one = run("rl-one", "1");
    assert_eq!(one, run("rl-again", "1"));
    assert_ne!(one, run("rl-other", "2"));
    let files = [
        "adapter/adapter_model.safetensors",
        "value/value_head.safetensors",
        "samples/step-3.jsonl",
    ];
    assert_same(folder, "rl-one", "rl-again", &files);
}
