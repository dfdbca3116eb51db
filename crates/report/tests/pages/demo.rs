//! A small demo folder with everything a page can show, made up by hand.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

/// What a model might say that a page must not take for markup.
pub const HOSTILE: &str = "A <b>dog</b> & \"a <script>alert(1)</script>\".";

/// The smallest image there is: eight bytes that say PNG.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Writes a file of the folder.
pub fn put(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

pub fn lines(rows: impl IntoIterator<Item = Value>) -> String {
    let mut text = String::new();
    for row in rows {
        writeln!(text, "{row}").unwrap();
    }
    text
}

/// Results with this `chair_i` and recall, the intervals a tenth wide.
pub fn results(chair_i: f64, recall: f64) -> Value {
    let figure =
        |value: f64, ci95: Value, n: usize| json!({ "value": value, "ci95": ci95, "n": n });
    let around = |value: f64| json!([value - 0.05, value + 0.05]);
    let scored = |n: usize, figures: Value| json!({ "n": n, "figures": figures, "unparsed": [], "n_duplicates": 0, "by_truth": true, "sources": [] });
    let tokens = |n: usize| figure(21.5, Value::Null, n);
    json!({ "benchmarks": {
        "mmhal": scored(96, json!({
            "score": figure(3.0, json!([2.5, 3.5]), 96), "hallucination": figure(0.4, json!([0.3, 0.5]), 96),
            "tokens": tokens(96),
        })),
        "pope": scored(9, json!({
            "accuracy": figure(0.9, json!([0.8, 0.95]), 9), "f1": figure(0.9, json!([0.8, 0.95]), 9),
            "yes_ratio": figure(0.5, Value::Null, 9), "tokens": figure(1.0, Value::Null, 9),
        })),
        "chair": scored(150, json!({
            "chair_i": figure(chair_i, around(chair_i), 150), "chair_s": figure(2.0 * chair_i, Value::Null, 150),
            "recall": figure(recall, around(recall), 150), "object_f1": figure(0.7, json!([0.65, 0.75]), 150),
            "tokens": tokens(150),
        })),
        "llava_bench": scored(90, json!({
            "relative": figure(60.0, json!([50.0, 70.0]), 90), "tokens": tokens(90),
        })),
    } })
}

fn reward(accuracy: f64) -> Value {
    let bin = |low: f64, n: usize| {
        let mean = if n > 0 {
            json!(low + 0.05)
        } else {
            Value::Null
        };
        json!({ "low": low, "high": low + 0.1, "mean_probability": mean, "accuracy": mean, "n": n })
    };
    json!({
        "accuracy": accuracy, "ci95": [accuracy - 0.02, accuracy + 0.02], "n_pairs": 1000, "best_step": 40,
        "validation_accuracy": accuracy, "ece": 0.03, "calibration": [bin(0.0, 10), bin(0.4, 0), bin(0.9, 20)],
        "score_mean": 0.1, "score_std": 1.0, "margin_mean": 0.5,
    })
}

/// A reward model on pairs of two groups, three of which it had no room for.
fn pairs(right: f64) -> Value {
    let group = |accuracy: f64, n: usize| json!({ "accuracy": accuracy, "ci95": [accuracy - 0.05, accuracy + 0.05], "n_pairs": n, "margin_mean": 0.25 });
    json!({
        "accuracy": right, "ci95": [right - 0.02, right + 0.02], "n_pairs": 497, "margin_mean": 0.5,
        "macro_accuracy": right, "groups": { "attribute": group(right, 100), "place": group(0.5, 97) },
        "calibration": [], "ece": 0.03, "margins": [],
        "length": { "model_prefers_longer": null, "people_prefer_longer": null, "accuracy_longer": null, "accuracy_shorter": null },
        "n_identical": 0, "n_skipped": 3, "skipped": { "too_long": 3 }, "with_facts": true,
    })
}

fn verdicts(answer: &str, truth: bool) -> (String, String) {
    let start = answer.find("dog").unwrap();
    let claim = json!({
        "kind": "object", "words": "dog", "start": start, "end": start + 3, "negated": false, "truth": truth,
    });
    let finding = |score: u8, left_out: &[&str]| json!({ "score": score, "standing": "right", "claims": [claim], "left_out": left_out });
    let chair = (0..12).map(|i| {
        json!({
            "id": format!("{i}.png"), "image": format!("{i}.png"), "question": "Describe the image.", "answer": answer,
            "reference": "boat, dog", "finding": finding(4, &["boat"]), "measures": {},
        })
    });
    let mmhal = (0..6).map(|i| {
        json!({
            "id": i.to_string(), "image": i.to_string(), "image_file": format!("{i}.png"), "group": "attribute",
            "question": "What is < the dog?", "reference": "A dog.", "answer": answer, "finding": finding(5, &[]),
            "measures": {},
        })
    });
    (lines(chair), lines(mmhal))
}

fn curve() -> Value {
    let point = |step: u64| {
        let along = step as f64 / 100.0;
        json!({
            "step": step, "chair_i": 0.2 - along, "chair_s": 0.4, "recall": 0.7 - along / 2.0, "object_f1": 0.7,
            "ci95_chair_i": [0.1, 0.2], "ci95_recall": [0.6, 0.7], "mean_response_tokens": 30.0,
        })
    };
    let rollout = |step: u64| {
        json!({
            "step": step, "n": 8, "score_mean": 0.1, "normalised_score_mean": 0.2, "hallucinated_share": 0.3,
            "false_claims_mean": 0.5, "judge_score_mean": 3.0,
            "correlation": if step == 1 { Value::Null } else { json!({ "pearson": 0.5, "spearman": 0.4 }) },
        })
    };
    json!({ "points": [point(0), point(5), point(10)], "rollouts": [rollout(1), rollout(2), rollout(3)] })
}

/// A summary with all policies, both reward models and an ablation.
pub fn summary() -> Value {
    let row = |facts: bool| json!({ "facts": facts, "symbolic": true, "length_penalty": false, "results": results(0.1, 0.6) });
    let algorithm = |name: &str, facts: Value, curve: Value, chair_i: f64, recall: f64| {
        json!({
            "algorithm": name, "facts": facts, "samples": 1920, "processor_secs": 365.0, "curve": curve,
            "results": results(chair_i, recall),
        })
    };
    json!({
        "seed": 7, "wall_secs": 100.0, "stage_secs": { "sft": 80.0, "world": 40.0 }, "peak_memory_bytes": 1_500_000_000_u64,
        "reward_models": { "facts": reward(0.88), "no_facts": reward(0.75) },
        "policies": {
            "sft": results(0.3, 0.7), "policy_init": results(0.3, 0.7), "rlhf": results(0.2, 0.5),
            "fact_rlhf": results(0.1, 0.68),
        },
        "ablation": [row(false), row(true)],
        "algorithms": [
            algorithm("ppo", json!(true), json!("eval/curve-facts.json"), 0.1, 0.68),
            algorithm("grpo", json!(false), Value::Null, 0.2, 0.6),
            algorithm("dpo", Value::Null, Value::Null, 0.1, 0.65),
        ],
    })
}

/// Writes a whole demo.
pub fn write(folder: &Path) {
    put(folder, "summary.json", &summary().to_string());
    for run in [
        "ground",
        "pretrain",
        "sft",
        "sft-gpt4",
        "reading",
        "policy-init",
    ] {
        let rows = (1..=40).map(|step| json!({ "step": step, "loss": 3.0 / f64::from(step) }));
        put(folder, &format!("{run}/metrics.jsonl"), &lines(rows));
    }
    for variant in ["facts", "no-facts"] {
        let rows = (1..=40).map(|step| {
            let validation = (step % 10 == 0).then_some(0.8);
            json!({ "step": step, "loss": 0.6, "validation_accuracy": validation })
        });
        put(
            folder,
            &format!("reward-{variant}/metrics.jsonl"),
            &lines(rows),
        );
        let rows = (1..=20).map(|step| {
            json!({
                "step": step, "kl_mean": 0.1 * f64::from(step), "response_tokens_mean": 25.0, "yes_ratio": 0.5,
                "entropy": 0.4, "correctness_mean": null, "explained_variance": 0.3, "policy_loss": -0.01,
                "value_loss": 0.2,
            })
        });
        put(
            folder,
            &format!("ppo-{variant}/metrics.jsonl"),
            &lines(rows),
        );
        put(
            folder,
            &format!("eval/curve-{variant}.json"),
            &curve().to_string(),
        );
        put(
            folder,
            &format!("reward-{variant}/result.json"),
            &reward(0.8).to_string(),
        );
        let right = if variant == "facts" { 0.95 } else { 0.75 };
        put(
            folder,
            &format!("reward-{variant}/pairs/result.json"),
            &pairs(right).to_string(),
        );
    }
    for (policy, answer, truth) in [
        ("sft", HOSTILE, false),
        ("rlhf", "A dog.", false),
        ("fact_rlhf", "A dog.", true),
    ] {
        let (chair, mmhal) = verdicts(answer, truth);
        put(
            folder,
            &format!("eval/{policy}/verdicts/chair.jsonl"),
            &chair,
        );
        put(
            folder,
            &format!("eval/{policy}/verdicts/mmhal.jsonl"),
            &mmhal,
        );
        put(
            folder,
            &format!("eval/{policy}/results.json"),
            &results(0.2, 0.6).to_string(),
        );
    }
    let images = folder.join("world/images");
    std::fs::create_dir_all(&images).unwrap();
    for i in 0..12 {
        std::fs::write(images.join(format!("{i}.png")), PNG).unwrap();
    }
}
