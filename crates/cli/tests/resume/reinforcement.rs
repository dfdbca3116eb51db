//! `rl`, killed at random moments.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use crate::preferences::{rewarded, with_own_recipe};
use crate::runs::{assert_same, candor, recipe, run, run_with_kills, sets};

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

/// Puts the world's POPE where a suite looks for it.
fn benchmarks(folder: &Path) {
    let (world, data) = (folder.join("world"), folder.join("benchmarks"));
    let images = data.join("coco/val2014");
    fs::create_dir_all(&images).unwrap();
    fs::create_dir_all(data.join("pope")).unwrap();
    for split in ["random", "popular", "adversarial"] {
        let questions = data.join(format!("pope/coco_pope_{split}.jsonl"));
        fs::copy(world.join(format!("eval/pope_{split}.jsonl")), questions).unwrap();
    }
    for image in fs::read_dir(world.join("images")).unwrap() {
        let image = image.unwrap();
        fs::copy(image.path(), images.join(image.file_name())).unwrap();
    }
}

#[test]
fn ppo_that_measures_itself_killed_at_random_moments_ends_in_the_same_bytes() {
    let folder = judged();
    benchmarks(folder);
    let arguments = |out: &str| {
        let suite = sets(&[
            ("suite.every", "4"),
            ("suite.data", "\"benchmarks\""),
            ("suite.benchmarks", "[\"pope\"]"),
            ("suite.limit", "4"),
            ("suite.best", "\"pope.accuracy\""),
            ("suite.max_new_tokens", "4"),
            ("suite.batch_rows", "4"),
        ]);
        [with_own_recipe("rl", out), suite].concat()
    };
    run(candor(folder).args(arguments("rl-whole")));
    let kills = run_with_kills(folder, &arguments("rl-killed"), 17, 300);
    assert!(kills > 0, "the run was never killed after a checkpoint");
    assert_same(folder, "rl-whole", "rl-killed", &RESULTS);
    let measured = [
        "best.json",
        "best/adapter/adapter_model.safetensors",
        "suite/step-4/pope/answers.log",
        "suite/step-8/pope/answers/pope_popular.jsonl",
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
