//! Several responses to each prompt, and learning from them without a critic.

use std::fs;
use std::path::Path;

use candor_rl::RlRecipe;
use candor_rl::run;
use candor_run::Outcome;
use candor_testing::files::lines;
use candor_testing::run::launch;
use serde_json::Value;
use tch::Device;

use crate::fixture::{RECIPE, finished, prepared, recipe_of};

/// The recipe without the critic's keys, by leave-one-out unless `sets` say otherwise.
fn without_critic(dir: &Path, out: &str, sets: &[&str]) -> RlRecipe {
    let text = RECIPE
        .replace("gamma = 1.0\ngae_lambda = 1.0\n", "")
        .replace("value_clip_range = 0.2\nvalue_coef = 0.1\n", "");
    let two = ["algorithm=\"rloo\"", "sampling.samples_per_prompt=2"];
    recipe_of(&text, dir, out, &[&two, sets].concat())
}

/// Query, tokens and place among the responses to one prompt, of every response of the first step.
fn responses(run: &Path) -> Vec<(String, Vec<String>, Option<u64>)> {
    let of = |row: &Value| {
        let tokens = row["tokens"].as_array().unwrap().iter();
        let tokens = tokens.map(|token| token.as_str().unwrap().to_owned());
        let id = row["id"].as_str().unwrap().to_owned();
        (id, tokens.collect(), row["sample"].as_u64())
    };
    let rows = lines(&run.join("samples/step-1.jsonl"));
    rows.iter().map(of).collect()
}

#[test]
fn the_first_of_several_responses_is_the_one_that_would_be_alone() {
    let dir = prepared();
    let all = ["run.steps=1", "run.samples_per_step=16"];
    let alone = ["batch.rollout_batch=8"];
    let two = ["batch.rollout_batch=16", "sampling.samples_per_prompt=2"];
    finished(dir.path(), "alone", &[&all, &alone[..]].concat());
    let metrics = finished(dir.path(), "two", &[&all, &two[..]].concat());
    assert_eq!(metrics[0]["n_rollouts"], 16);
    let alone = responses(&dir.path().join("alone"));
    let two = responses(&dir.path().join("two"));
    assert_eq!((alone.len(), two.len()), (8, 16));
    for (one, pair) in alone.iter().zip(two.chunks(2)) {
        assert_eq!((&pair[0].0, &pair[1].0), (&one.0, &one.0));
        assert_eq!(pair[0].1, one.1);
        assert_eq!((one.2, pair[0].2, pair[1].2), (None, Some(0), Some(1)));
    }
    // The policy says yes as often as no, so that eight second responses that all repeat the first are no chance.
    assert!(two.chunks(2).any(|pair| pair[0].1 != pair[1].1));
}

/// What two responses to a prompt are does not depend on whether there are two more.
#[test]
fn four_responses_begin_with_the_two_that_would_be_alone() {
    let dir = prepared();
    let all = ["run.steps=1", "run.samples_per_step=32"];
    let two = ["batch.rollout_batch=16", "sampling.samples_per_prompt=2"];
    let four = ["batch.rollout_batch=32", "sampling.samples_per_prompt=4"];
    finished(dir.path(), "two", &[&all, &two[..]].concat());
    finished(dir.path(), "four", &[&all, &four[..]].concat());
    let two = responses(&dir.path().join("two"));
    let four = responses(&dir.path().join("four"));
    assert_eq!((two.len(), four.len()), (16, 32));
    for (two, four) in two.chunks(2).zip(four.chunks(4)) {
        assert_eq!(two, &four[..2]);
    }
}

/// Every algorithm without a critic learns what the reward model likes; prompts whose answers all earned the same are counted
/// where answers are compared.
#[test]
fn grpo_and_reinforce_learn_without_a_critic() {
    let dir = prepared();
    let grpo = [
        "algorithm=\"grpo\"",
        "advantages.scale=\"group\"",
        "advantages.leave_out_flat=true",
        "kl.place=\"loss\"",
        "kl.estimator=\"k3\"",
        "loss.average_over=\"responses\"",
        "loss.clip_range_high=0.28",
    ];
    let dr_grpo = [
        "algorithm=\"grpo\"",
        "advantages.scale=\"none\"",
        "advantages.leave_out_flat=false",
        "loss.average_over=\"longest_response\"",
    ];
    let reinforce = ["algorithm=\"reinforce\"", "sampling.samples_per_prompt=1"];
    for (out, sets) in [
        ("grpo", &grpo[..]),
        ("dr-grpo", &dr_grpo),
        ("reinforce", &reinforce),
    ] {
        let recipe = without_critic(dir.path(), out, &[sets, &["run.steps=8"]].concat());
        run(&recipe, &launch(false), Device::Cpu).unwrap();
        let metrics = lines(&dir.path().join(out).join("metrics.jsonl"));
        let score = |line: &Value| line["score_mean"].as_f64().unwrap();
        let last = f64::midpoint(score(&metrics[6]), score(&metrics[7]));
        assert!(last > score(&metrics[0]) + 0.5, "{out}: {metrics:?}");
        assert!(!dir.path().join(out).join("value").exists());
        for line in &metrics {
            assert_eq!(line["kl_loss"].is_null(), out != "grpo", "{line}");
            assert_eq!(
                line["n_flat_prompts"].is_null(),
                out == "reinforce",
                "{line}"
            );
        }
    }
}

/// Without a critic the policy comes to say what the reward model likes all the same, nothing of a critic is written,
/// and a run that was stopped ends in the bytes of one that was not.
#[test]
fn leave_one_out_learns_without_a_critic() {
    let dir = prepared();
    let steps = ["run.steps=8"];
    let whole = without_critic(dir.path(), "whole", &steps);
    let outcome = run(&whole, &launch(false), Device::Cpu).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let out = dir.path().join("whole");
    let metrics = lines(&out.join("metrics.jsonl"));
    let scores: Vec<f64> = metrics
        .iter()
        .map(|line| line["score_mean"].as_f64().unwrap())
        .collect();
    assert!(
        f64::midpoint(scores[6], scores[7]) > scores[0] + 1.0,
        "{scores:?}"
    );
    for line in &metrics {
        for field in [
            "values_mean",
            "returns_mean",
            "explained_variance",
            "value_loss",
            "value_clip_fraction",
        ] {
            assert_eq!(line[field], Value::Null, "{field} of {line}");
        }
        assert!(line["logprob_mismatch_max"].as_f64().unwrap() < 1e-4);
    }
    assert!(!out.join("value").exists());

    let broken = without_critic(dir.path(), "broken", &steps);
    let stopping = launch(false);
    stopping.stop.request();
    let outcome = run(&broken, &stopping, Device::Cpu).unwrap();
    assert_eq!(outcome, Outcome::Stopped);
    run(&broken, &launch(true), Device::Cpu).unwrap();
    for name in ["metrics.jsonl", "adapter/adapter_model.safetensors"] {
        let read = |out: &str| fs::read(dir.path().join(out).join(name)).unwrap();
        assert!(read("whole") == read("broken"), "{name} differs");
    }
}
