//! Reinforcement learning on a tiny world: what is learned, written, resumed and refused.

mod best;
mod critic;
mod fixture;
mod learner;
mod prompts;
mod refill;
mod refused;
mod resume;
mod rewards;
mod sentences;
mod several;
mod suite;

use std::fs;

use candor_model::{Adapter, Bundle, ScalarHead};
use candor_testing::files::lines;
use candor_train::BasePrecision;
use serde_json::Value;
use tch::{Device, Kind};

use fixture::{SCORE_MEAN, SCORE_STD, features, finished, prepared, write_reward_model};

fn number(line: &Value, field: &str) -> f64 {
    line[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} of {line}"))
}

/// The reward model likes a yes, so the policy comes to say it; on the way sampling and training agree on every
/// log-probability, and all that a run leaves behind is there and opens.
#[test]
fn the_policy_learns_what_the_reward_model_likes() {
    let dir = prepared();
    let metrics = finished(dir.path(), "out", &["run.steps=8"]);
    assert_eq!(metrics.len(), 8);
    let scores: Vec<f64> = metrics.iter().map(|l| number(l, "score_mean")).collect();
    let (first, last) = (scores[0], f64::midpoint(scores[6], scores[7]));
    assert!(last > first + 1.0, "scores {scores:?}");
    assert!(number(&metrics[7], "kl_mean") > 0.05);
    // The first rollouts come from the reference itself.
    assert!(number(&metrics[0], "kl_mean").abs() < 1e-4);
    for line in &metrics {
        assert!(number(line, "logprob_mismatch_max") < 1e-4, "{line}");
        assert!(number(line, "n_mismatch_tokens") >= 8.0, "{line}");
        assert_eq!(line["n_updates"], 4);
    }

    let out = dir.path().join("out");
    let bundle = Bundle::open(&dir.path().join("model"), Device::Cpu, Kind::Float).unwrap();
    let adapter = |name: &str| Adapter::open(&dir.path().join(name), &bundle.model).unwrap();
    let same = |left: &Adapter, right: &Adapter| {
        let mut both = left.parameters().values().zip(right.parameters().values());
        both.all(|(l, r)| l.equal(r))
    };
    assert!(same(
        &adapter("out/adapters/step-0"),
        &adapter("policy-init")
    ));
    assert!(!same(
        &adapter("out/adapters/step-6"),
        &adapter("out/adapters/step-3")
    ));
    assert!(!same(
        &adapter("out/adapter"),
        &adapter("out/adapters/step-6")
    ));
    assert!(!out.join("adapters/step-1").exists());
    assert!(!same(
        &adapter("out/value/adapter"),
        &adapter("reward/adapter")
    ));
    let head = out.join("value/value_head.safetensors");
    let head = ScalarHead::open(&head, &bundle.model).unwrap();
    assert!(
        head.parameters()
            .iter()
            .all(|(_, t)| t.abs().max().double_value(&[]) > 0.0)
    );
    let result: Value =
        serde_json::from_slice(&fs::read(out.join("result.json")).unwrap()).unwrap();
    assert_eq!(result["n_prompts"], 12);
    assert_eq!(result["last"], metrics[7]);
}

/// Both adapters are trained, and what is sampled agrees with what is trained to the digits of bf16.
#[test]
fn bases_may_be_quantised() {
    let dir = prepared();
    let base = dir.path().join("model");
    let bundle = Bundle::open(&base, Device::Cpu, BasePrecision::Nf4).unwrap();
    let images = features(&bundle, &dir.path().join("data"));
    write_reward_model(&dir.path().join("reward"), &bundle, &base, &images);
    let sets = ["run.steps=4", "model.base_precision=\"nf4\""];
    let metrics = finished(dir.path(), "out", &sets);
    assert!(number(&metrics[0], "kl_mean").abs() < 0.05);
    assert!(number(&metrics[3], "kl_mean").abs() > 0.0);
    for line in &metrics {
        assert!(number(line, "logprob_mismatch_max") < 0.2, "{line}");
    }
}

/// A sample's parts add up to its rewards.
#[test]
fn samples_show_where_their_rewards_come_from() {
    let dir = prepared();
    let sets = [
        "run.steps=1",
        "score.length_penalty=3.0",
        "score.symbolic_coef=2.0",
        "sampling.max_new_tokens=6",
    ];
    let metrics = finished(dir.path(), "out", &sets);
    let samples = lines(&dir.path().join("out/samples/step-1.jsonl"));
    assert_eq!(samples.len(), 3);
    for sample in &samples {
        let n_tokens = sample["tokens"].as_array().unwrap().len();
        let list = |field: &str| -> Vec<f64> {
            let numbers = sample[field].as_array().unwrap().iter();
            numbers.map(|x| x.as_f64().unwrap()).collect()
        };
        let normalised = (number(sample, "score") - SCORE_MEAN) / SCORE_STD;
        assert!((number(sample, "normalised_score") - normalised).abs() < 1e-9);
        assert!((number(sample, "length_penalty") - 3.0 * n_tokens as f64 / 8.0).abs() < 1e-9);
        let finished = sample["finished"].as_bool().unwrap();
        let penalty = if finished { 0.0 } else { 1.0 };
        assert_eq!(sample["no_eos_penalty"], penalty);
        assert_eq!(finished, sample["tokens"][n_tokens - 1] == "</s>");
        let expected =
            normalised - number(sample, "length_penalty") - number(sample, "no_eos_penalty")
                + 2.0 * number(sample, "correctness")
                - 0.05 * list("kl").iter().sum::<f64>();
        assert!(
            (number(sample, "reward_sum") - expected).abs() < 1e-5,
            "{sample}"
        );
        assert!((list("rewards").iter().sum::<f64>() - expected).abs() < 1e-5);
        assert_eq!(
            (list("kl").len(), list("rewards").len()),
            (n_tokens, n_tokens)
        );
        let colour = sample["image"].as_str().unwrap().trim_end_matches(".png");
        let facts = sample["facts"].as_array().unwrap();
        assert!(
            facts
                .iter()
                .any(|fact| fact.as_str().unwrap().contains(colour)),
            "{sample}"
        );
        assert!(sample["query"].as_str().unwrap().starts_with("<image>"));
    }
    assert_eq!(metrics[0]["n_rollouts"], 16);
}

/// The reference's way of counting and its quirks at once: the run ends, and what can be told apart is told.
#[test]
fn the_papers_quirks_run() {
    let dir = prepared();
    let sets = [
        "run.steps=2",
        "batch.mini_batch=6",
        "score.position=\"last_pad\"",
        "score.reward_scale=10.0",
        "score.yes_reward=\"paper\"",
        "kl.estimator=\"k1_clamped\"",
        "loss.average_over=\"padded\"",
        "model.activations=\"recompute\"",
        "quirks.misalign_dropped_queries=true",
        "quirks.cut_at_question_mark=true",
        "quirks.drop_partial_mini_batch=true",
    ];
    let metrics = finished(dir.path(), "out", &sets);
    for line in &metrics {
        // 16 rollouts make two mini-batches of 6 and a rest of 4, which is dropped, in each of two epochs.
        assert_eq!(line["n_updates"], 4);
        assert!(number(line, "logprob_mismatch_max") < 1e-4);
    }
    let whole = finished(dir.path(), "whole", &["run.steps=1", "batch.mini_batch=6"]);
    assert_eq!(whole[0]["n_updates"], 6);
    // The same rollouts, ten times the rewards.
    assert_eq!(metrics[0]["score_mean"], whole[0]["score_mean"]);
    let ratio = number(&metrics[0], "reward_mean") / number(&whole[0], "reward_mean");
    assert!((ratio - 10.0).abs() < 1e-3, "{ratio}");
}

/// Which facts are shown does not change, only their order.
#[test]
fn facts_are_shuffled_if_the_recipe_says_so() {
    let dir = prepared();
    let facts = |out: &str, set: &str| -> Vec<Vec<String>> {
        finished(
            dir.path(),
            out,
            &["run.steps=1", "run.samples_per_step=16", set],
        );
        let rows = lines(&dir.path().join(out).join("samples/step-1.jsonl"));
        let facts = rows
            .iter()
            .map(|row| serde_json::from_value(row["facts"].clone()).unwrap());
        facts.collect()
    };
    let mut kept = facts("kept", "quirks.shuffle_captions=false");
    let mut shuffled = facts("shuffled", "quirks.shuffle_captions=true");
    assert_ne!(kept, shuffled);
    kept.iter_mut()
        .chain(&mut shuffled)
        .for_each(|lines| lines.sort());
    assert_eq!(kept, shuffled);
}

/// A reward model on a base of its own, here a copy of the policy's, gives the very same run.
#[test]
fn a_reward_model_may_have_its_own_base() {
    let dir = prepared();
    let shared = finished(dir.path(), "shared", &["run.steps=2"]);
    let bundle = Bundle::open(&dir.path().join("model"), Device::Cpu, Kind::Float).unwrap();
    let own = dir.path().join("own-model");
    bundle.save(&own).unwrap();
    let path = dir.path().join("reward/reward_model.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["base"]["folder"] = own.display().to_string().into();
    fs::write(&path, json.to_string()).unwrap();
    assert_eq!(finished(dir.path(), "apart", &["run.steps=2"]), shared);
}
