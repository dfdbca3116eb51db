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

/// The recipe with the leave-one-out estimator in place of the critic's keys.
fn rloo(dir: &Path, out: &str, sets: &[&str]) -> RlRecipe {
    let text = RECIPE
        .replace("gamma = 1.0\ngae_lambda = 1.0\n", "estimator = \"rloo\"\n")
        .replace("value_clip_range = 0.2\nvalue_coef = 0.1\n", "");
    let two = ["sampling.samples_per_prompt=2"];
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

/// Without a critic the policy comes to say what the reward model likes all the same, nothing of a critic is written,
/// and a run that was stopped ends in the bytes of one that was not.
#[test]
fn leave_one_out_learns_without_a_critic() {
    let dir = prepared();
    let steps = ["run.steps=8"];
    let whole = rloo(dir.path(), "whole", &steps);
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

    let broken = rloo(dir.path(), "broken", &steps);
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
