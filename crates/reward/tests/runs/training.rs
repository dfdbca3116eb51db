//! Whole runs on a tiny model: what is learned, kept, written and scored afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::tiny::{RECIPE, prepared, recipe, run};
use candor_data::formats::{captions, preference};
use candor_data::{AnswerType, Conversation, Turn, sha256};
use candor_model::{Bundle, ImageFeatures, tensor_file};
use candor_reward::scorer::Base;
use candor_reward::{Judged, RewardMetrics, RewardModel};
use candor_run::{Outcome, Ranks};
use candor_testing::files::{json, lines};
use candor_testing::metrics::undocumented;
use candor_testing::run::launch;
use candor_train::BasePrecision;
use serde_json::Value;
use tch::{Device, Kind, Tensor};

fn weights(run: &Path) -> BTreeMap<String, Tensor> {
    let mut all = tensor_file::read(&run.join("adapter/adapter_model.safetensors")).unwrap();
    all.extend(tensor_file::read(&run.join("reward_head.safetensors")).unwrap());
    all
}

/// Largest difference between the tensors of two runs.
fn apart(left: &Path, right: &Path) -> f64 {
    let (left, right) = (weights(left), weights(right));
    assert!(left.keys().eq(right.keys()));
    left.iter()
        .map(|(name, tensor)| (tensor - &right[name]).abs().max().double_value(&[]))
        .fold(0.0, f64::max)
}

fn column(run: &Path, name: &str) -> Vec<f64> {
    lines(&run.join("metrics.jsonl"))
        .iter()
        .filter_map(|line| line[name].as_f64())
        .collect()
}

#[test]
fn an_obvious_preference_is_learned_and_measured() {
    let folder = prepared();
    let path = folder.path();
    let base = fs::read(path.join("base/model.safetensors")).unwrap();
    assert_eq!(run(path, "reward", &[]).unwrap(), Outcome::Finished);
    let out = path.join("reward");
    assert_eq!(fs::read(path.join("base/model.safetensors")).unwrap(), base);

    let losses = column(&out, "loss");
    assert_eq!(losses.len(), 24);
    // The head starts at zero: every score is 0, every pair a tie.
    assert!((losses[0] - 2_f64.ln()).abs() < 1e-6, "{losses:?}");
    assert!((column(&out, "accuracy")[0] - 0.5).abs() < 1e-12);
    assert!(losses[23] < 0.2, "{losses:?}");
    // Evaluated after steps 4, 8, …, 24 and at no other.
    assert_eq!(column(&out, "validation_accuracy").len(), 6);

    let result = json(&out.join("result.json"));
    assert!(result["accuracy"].as_f64().unwrap() > 0.9, "{result}");
    assert!(result["margin_mean"].as_f64().unwrap() > 1.0, "{result}");
    let held_out = lines(&out.join("held_out.jsonl"));
    // Twelve pairs are six whole images.
    assert_eq!((held_out.len(), &result["n_pairs"]), (12, &Value::from(12)));
    assert_eq!(result["n_validation"], 8);
    assert_eq!(result["n_train"], 48 - 12 - 8);
    assert_eq!(result["n_identical"], 0);
    let right = held_out.iter().filter(|line| line["right"] == true).count();
    let accuracy = right as f64 / 12.0;
    assert!((result["accuracy"].as_f64().unwrap() - accuracy).abs() < 1e-12);
    assert_eq!(result["calibration"].as_array().unwrap().len(), 10);
    for line in &held_out {
        assert!(line["chosen"].as_str().unwrap().contains("wall"), "{line}");
        let margin =
            line["chosen_score"].as_f64().unwrap() - line["rejected_score"].as_f64().unwrap();
        let p = 1.0 / (1.0 + (-margin).exp());
        assert!((line["p"].as_f64().unwrap() - p).abs() < 1e-9, "{line}");
    }
}

#[test]
fn a_quantised_base_serves_and_is_asked_for_again() {
    let folder = prepared();
    let path = folder.path();
    run(path, "reward", &["model.base_precision=\"nf4\""]).unwrap();
    let out = path.join("reward");
    assert!(column(&out, "loss")[23] < 0.3, "{:?}", column(&out, "loss"));
    let open = |precision: BasePrecision| {
        let bundle = Bundle::open(&path.join("base"), Device::Cpu, precision).unwrap();
        RewardModel::open(&out, &bundle)
    };
    open(BasePrecision::Nf4).unwrap();
    let message = open(BasePrecision::F32).unwrap_err().to_string();
    assert!(message.contains("base_precision"), "{message}");
}

#[test]
fn what_is_opened_scores_as_it_did_in_training() {
    let folder = prepared();
    let path = folder.path();
    run(path, "reward", &["prompt.caption_order=\"shuffled\""]).unwrap();
    let out = path.join("reward");
    assert_eq!(RewardModel::base_path(&out).unwrap(), path.join("base"));
    let bundle = Bundle::open(&path.join("base"), Device::Cpu, Kind::Float).unwrap();
    let model = RewardModel::open(&out, &bundle).unwrap();
    assert!(model.with_facts());

    let held_out = lines(&out.join("held_out.jsonl"));
    let book = captions::read(&path.join("facts.json")).unwrap();
    let said = |line: &Value, field: &str| line[field].as_str().unwrap().to_owned();
    let conversations: Vec<Conversation> = held_out
        .iter()
        .flat_map(|line| ["chosen", "rejected"].map(|side| (line, side)))
        .map(|(line, side)| Conversation {
            id: said(line, "id"),
            image: Some(said(line, "image")),
            turns: vec![
                Turn::human("<image>\nWhat is there?"),
                Turn::gpt(said(line, side)),
            ],
        })
        .collect();
    let facts: Vec<_> = held_out
        .iter()
        .map(|line| book.for_prompt(&said(line, "image"), AnswerType::General))
        .collect();
    let items: Vec<Judged<'_>> = conversations
        .iter()
        .enumerate()
        .map(|(i, conversation)| Judged {
            id: &conversation.id,
            conversation,
            facts: &facts[i / 2],
        })
        .collect();
    let images = conversations.iter().filter_map(|c| c.image.clone());
    let features = ImageFeatures::encode(&bundle, path, images, |_, _| ()).unwrap();
    let expected: Vec<f64> = held_out
        .iter()
        .flat_map(|line| ["chosen_score", "rejected_score"].map(|s| line[s].as_f64().unwrap()))
        .collect();
    for batch_rows in [1, 5, 64] {
        let scores = model
            .score(&bundle, &features, &items, batch_rows, &Ranks::alone())
            .unwrap();
        for (score, expected) in scores.iter().zip(&expected) {
            // Scores of size 5 in f32, each summed in another order than in the pairs' passes.
            assert!((score - expected).abs() < 1e-4, "{scores:?} {expected:?}");
        }
    }
    // The mean and deviation that PPO normalises by are those of these scores.
    let n = expected.len() as f64;
    let mean = expected.iter().sum::<f64>() / n;
    let variance = expected.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (n - 1.0);
    assert!((model.score_mean - mean).abs() < 1e-9);
    assert!((model.score_std - variance.sqrt()).abs() < 1e-9);

    let nothing = ImageFeatures::encode(&bundle, path, [], |_, _| ()).unwrap();
    let message = model
        .score(&bundle, &nothing, &items, 4, &Ranks::alone())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(".png") && message.contains("not encoded"),
        "{message}"
    );
}

#[test]
fn a_reward_model_is_refused_on_another_base() {
    let folder = prepared();
    let path = folder.path();
    run(path, "reward", &["run.steps=1"]).unwrap();
    let base = path.join("base/model.safetensors");
    let mut tensors = tensor_file::read(&base).unwrap();
    let norm = "language_model.model.norm.weight";
    tensors.insert(norm.to_owned(), &tensors[norm] * 1.001);
    tensor_file::write(&base, tensors.iter().map(|(n, t)| (n.as_str(), t)), None).unwrap();
    let bundle = Bundle::open(&path.join("base"), Device::Cpu, Kind::Float).unwrap();
    let message = RewardModel::open(&path.join("reward"), &bundle)
        .unwrap_err()
        .to_string();
    assert!(message.contains("another base"), "{message}");
}

/// By it reward models of earlier states of candor know their base, so it stays what it was: names, forms and values of norms and
/// biases are hashed as they are.
#[test]
fn a_bases_fingerprint_is_what_it_always_was() {
    let folder = prepared();
    let path = folder.path().join("base");
    let bundle = Bundle::open(&path, Device::Cpu, Kind::Float).unwrap();
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (name, tensor) in bundle.model.parameters() {
        if tensor.dim() <= 1 {
            let form = format!("Float {:?}", tensor.size());
            let values = Vec::<f32>::try_from(tensor.detach().reshape([-1])).unwrap();
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            parts.extend([
                name.clone().into_bytes(),
                form.into_bytes(),
                bytes.collect(),
            ]);
        }
    }
    assert!(parts.len() > 3, "{}", parts.len());
    let expected = sha256::of_bytes(parts);
    assert_eq!(Base::of(&path, &bundle).fingerprint, expected);
}

#[test]
fn a_reward_model_on_a_base_in_another_precision_says_so() {
    let folder = prepared();
    let path = folder.path();
    run(path, "reward", &["run.steps=1"]).unwrap();
    let open = |kind, name: &str| {
        let bundle = Bundle::open(&path.join("base"), Device::Cpu, kind).unwrap();
        RewardModel::open(&path.join(name), &bundle).map(drop)
    };
    let message = open(Kind::BFloat16, "reward").unwrap_err().to_string();
    for part in [
        "trained on a base in f32, and here the base is in bf16",
        "model.base_precision",
    ] {
        assert!(message.contains(part), "{message}");
    }
    run(
        path,
        "packed",
        &["run.steps=1", "model.base_precision=\"bf16\""],
    )
    .unwrap();
    open(Kind::BFloat16, "packed").unwrap();
    let message = open(Kind::Float, "packed").unwrap_err().to_string();
    assert!(
        message.contains("in bf16, and here the base is in f32"),
        "{message}"
    );
}

#[test]
fn eight_pairs_at_once_and_eight_by_one_give_the_same_update() {
    let folder = prepared();
    let path = folder.path();
    for (out, micro, activations) in [
        ("once", 8, "keep"),
        ("by-one", 1, "keep"),
        ("again", 2, "recompute"),
    ] {
        let sets = [
            format!("data.micro_batch={micro}"),
            format!("model.activations={activations:?}"),
            "run.steps=4".to_owned(),
            // Large enough to move the weights, and of a sign that a single pass does not know.
            "loss.centering_coef=0.5".to_owned(),
            // Adam's first update is little more than the sign of the gradient; a large eps lets its size through.
            "optimizer.eps=1e-3".to_owned(),
        ];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        run(path, out, &sets).unwrap();
    }
    let at_once = path.join("once");
    for other in ["by-one", "again"] {
        let other = path.join(other);
        for (a, b) in column(&at_once, "loss").iter().zip(column(&other, "loss")) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        // Four updates of at most 0.01: what summation in another order leaves is far below.
        let apart = apart(&at_once, &other);
        assert!(apart < 1e-5, "{apart}");
    }
    assert!(column(&at_once, "centering")[3] > 1e-3);
}

#[test]
fn each_pass_may_center_itself_as_in_the_reference() {
    let folder = prepared();
    let path = folder.path();
    for (out, micro) in [("once", 8), ("one-by-one", 1)] {
        let sets = [
            format!("data.micro_batch={micro}"),
            "run.steps=16".to_owned(),
            // What is written is the last step.
            "evaluation.every=16".to_owned(),
            "loss.centering_coef=0.5".to_owned(),
            "loss.centering_over=\"micro_batch\"".to_owned(),
        ];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        run(path, out, &sets).unwrap();
    }
    // |a| + |b| ≥ |a + b|, and the pairs of a batch seldom agree in sign.
    let apart = apart(&path.join("once"), &path.join("one-by-one"));
    assert!(apart > 1e-3, "{apart}");
}

#[test]
fn the_best_step_is_what_is_written_and_patience_ends_the_run() {
    let folder = prepared();
    let path = folder.path();
    // So large a rate that the run falls apart after it has found something.
    let sets = [
        "optimizer.learning_rate=0.05",
        "optimizer.max_grad_norm=1000.0",
        "evaluation.every=1",
        "evaluation.patience=3",
        "run.steps=60",
    ];
    run(path, "reward", &sets).unwrap();
    let out = path.join("reward");
    let (accuracy, loss) = (
        column(&out, "validation_accuracy"),
        column(&out, "validation_loss"),
    );
    let result = json(&out.join("result.json"));
    let best = result["best_step"].as_u64().unwrap() as usize;
    assert_eq!(accuracy.len(), best + 3, "{accuracy:?} {loss:?}");
    for (step, (a, l)) in accuracy.iter().zip(&loss).enumerate() {
        let (best_a, best_l) = (accuracy[best - 1], loss[best - 1]);
        let worse = *a < best_a || (*a <= best_a && *l > best_l);
        assert!(
            worse || step + 1 == best,
            "step {step}: {accuracy:?} {loss:?}"
        );
    }
    assert_eq!(
        result["validation_accuracy"].as_f64(),
        Some(accuracy[best - 1])
    );
    // The weights are those of a run that ended there.
    let steps = format!("run.steps={best}");
    let mut shorter = sets.to_vec();
    shorter[4] = &steps;
    run(path, "shorter", &shorter).unwrap();
    assert!(apart(&out, &path.join("shorter")) == 0.0);
}

#[test]
fn a_run_that_is_stopped_at_every_step_ends_in_the_same_bytes() {
    let folder = prepared();
    let path = folder.path();
    // Two passes an update, epochs that end within the run, and an early end.
    let sets = [
        "data.micro_batch=4",
        "run.steps=40",
        "evaluation.every=2",
        "evaluation.patience=2",
        "optimizer.learning_rate=0.05",
        "optimizer.schedule=\"cosine\"",
        "optimizer.warmup_ratio=0.1",
        "optimizer.max_grad_norm=1000.0",
    ];
    run(path, "whole", &sets).unwrap();
    let interrupted = recipe(path, "interrupted", &sets).unwrap();
    let mut starts = 0;
    loop {
        let launch = launch(starts > 0);
        launch.stop.request();
        starts += 1;
        if candor_reward::run(&interrupted, &launch, Device::Cpu).unwrap() == Outcome::Finished {
            break;
        }
    }
    let whole = path.join("whole");
    let n_steps = lines(&whole.join("metrics.jsonl")).len();
    assert!(
        n_steps < 40,
        "the run was to end early, or the test says less"
    );
    // The last start finds that patience has ended and only measures.
    assert_eq!(starts, n_steps + 1);
    for file in [
        "metrics.jsonl",
        "result.json",
        "held_out.jsonl",
        "reward_model.json",
        "reward_head.safetensors",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "prompt.txt",
    ] {
        let bytes = |run: &str| fs::read(path.join(run).join(file)).unwrap();
        assert!(bytes("whole") == bytes("interrupted"), "{file} differs");
    }
}

#[test]
fn a_run_goes_on_from_an_adapter() {
    let folder = prepared();
    let path = folder.path();
    run(path, "first", &["run.steps=12"]).unwrap();
    let adapter = format!(
        "adapter = {:?}",
        path.join("first/adapter").display().to_string()
    );
    let text = RECIPE
        .lines()
        .map(|line| {
            if line.starts_with("lora") {
                &adapter
            } else {
                line
            }
        })
        .collect::<Vec<_>>()
        .join("\n");
    let inside = |name: &str| format!("{:?}", path.join(name).display().to_string());
    let sets = [
        format!("run.out={}", inside("second")),
        format!("model.base={}", inside("base")),
        format!("data.root={}", inside("")),
        "run.steps=1".to_owned(),
        "optimizer.learning_rate=1e-6".to_owned(),
    ];
    let recipe =
        candor_reward::RewardRecipe::read(candor_recipe::Reader::parse("t.toml", &text, &sets))
            .unwrap();
    candor_reward::run(&recipe, &launch(false), Device::Cpu).unwrap();
    let adapter = |run: &str| {
        tensor_file::read(&path.join(run).join("adapter/adapter_model.safetensors")).unwrap()
    };
    let (first, second) = (adapter("first"), adapter("second"));
    let moved = |name: &String| (&first[name] - &second[name]).abs().max().double_value(&[]);
    assert!(first.keys().all(|name| moved(name) < 1e-4));
    // The head starts again at zero.
    assert!((column(&path.join("second"), "loss")[0] - 2_f64.ln()).abs() < 1e-6);
}

#[test]
fn responses_that_are_the_same_are_left_out_and_counted() {
    let folder = prepared();
    let path = folder.path();
    let file = path.join("preferences.json");
    let mut rows = preference::read(&file).unwrap();
    for row in rows.iter_mut().step_by(9) {
        row.outputs[1] = format!("{} ", row.outputs[0]);
    }
    preference::write(&file, &rows).unwrap();
    run(path, "reward", &["run.steps=1"]).unwrap();
    let result = json(&path.join("reward/result.json"));
    assert_eq!(result["n_identical"], 6);
    let n = |name: &str| result[name].as_u64().unwrap();
    assert_eq!(n("n_train") + n("n_validation") + n("n_pairs"), 48 - 6);
}

#[test]
fn every_metric_is_documented() {
    let page = fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/metrics.md"
    ))
    .unwrap();
    let metrics = RewardMetrics {
        step: 1,
        loss: 0.7,
        pair_loss: 0.7,
        centering: 0.0,
        accuracy: 0.5,
        margin_mean: 0.0,
        score_mean: 0.0,
        grad_norm: 1.0,
        learning_rate: 1e-3,
        n_tokens: 100,
        validation_accuracy: None,
        validation_loss: None,
    };
    assert_eq!(
        undocumented(&page, "reward", &metrics),
        Vec::<String>::new()
    );
}
