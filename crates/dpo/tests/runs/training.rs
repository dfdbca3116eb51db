//! What is learned, measured, kept and written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_data::formats::preference;
use candor_dpo::{DpoMetrics, Figures};
use candor_model::tensor_file;
use candor_run::Outcome;
use candor_testing::metrics::undocumented;
use serde_json::Value;
use tch::{Device, Tensor};

use crate::tiny::{
    assert_same_stepwise, column, json_file, launch, lines, prepared, recipe, recipe_of, run,
    run_loss, without,
};

fn adapter(run: &Path) -> BTreeMap<String, Tensor> {
    tensor_file::read(&run.join("adapter/adapter_model.safetensors")).unwrap()
}

/// Largest difference between the tensors of two runs.
fn apart(left: &BTreeMap<String, Tensor>, right: &BTreeMap<String, Tensor>) -> f64 {
    assert!(left.keys().eq(right.keys()));
    left.iter()
        .map(|(name, tensor)| (tensor - &right[name]).abs().max().double_value(&[]))
        .fold(0.0, f64::max)
}

fn close(left: f64, right: f64, tolerance: f64) {
    assert!((left - right).abs() <= tolerance, "{left} {right}");
}

#[test]
fn an_obvious_preference_is_learned_and_measured() {
    let folder = prepared();
    let path = folder.path();
    let base = fs::read(path.join("base/model.safetensors")).unwrap();
    assert_eq!(
        run(path, "dpo", &["run.steps=24"]).unwrap(),
        Outcome::Finished
    );
    let out = path.join("dpo");
    assert_eq!(fs::read(path.join("base/model.safetensors")).unwrap(), base);

    // A fresh adapter is the reference: every reward is 0 but for rounding.
    let losses = column(&out, "loss");
    assert_eq!(losses.len(), 24);
    close(losses[0], 2_f64.ln(), 1e-6);
    close(column(&out, "chosen_reward")[0], 0.0, 1e-6);
    assert!(losses[23] < 0.2, "{losses:?}");
    assert!(column(&out, "margin")[23] > 2.0);
    assert!(column(&out, "chosen_drift")[23] > column(&out, "rejected_drift")[23]);
    // Evaluated after steps 4, 8, …, 24 and at no other.
    assert_eq!(column(&out, "validation_accuracy").len(), 6);

    let result = json_file(&out.join("result.json"));
    assert!(result["accuracy"].as_f64().unwrap() > 0.9, "{result}");
    assert_eq!(result["n_pairs"], 12);
    assert_eq!(result["n_validation"], 8);
    assert_eq!(result["n_train"], 48 - 12 - 8);
    assert_eq!(result["n_identical"], 0);
    let held_out = lines(&out.join("held_out.jsonl"));
    assert_eq!(held_out.len(), 12);
    let number = |line: &Value, name: &str| line[name].as_f64().unwrap();
    let mut margin = 0.0;
    for line in &held_out {
        assert!(line["chosen"].as_str().unwrap().contains("wall"), "{line}");
        assert!(number(line, "chosen_logprob") < 0.0);
        margin += number(line, "chosen_reward") - number(line, "rejected_reward");
    }
    close(number(&result, "margin"), margin / 12.0, 1e-9);
}

#[test]
fn the_reference_is_kept_and_is_what_rewards_are_counted_from() {
    let folder = prepared();
    let path = folder.path();
    run(path, "dpo", &["run.steps=3"]).unwrap();
    let kept = json_file(&path.join("dpo/reference.json"));
    let rows = kept["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 48);
    // Held-out rows come last. β is 0.5.
    for (line, row) in lines(&path.join("dpo/held_out.jsonl"))
        .iter()
        .zip(&rows[36..])
    {
        for side in ["chosen", "rejected"] {
            let logprob = line[format!("{side}_logprob")].as_f64().unwrap();
            let reward = line[format!("{side}_reward")].as_f64().unwrap();
            close(0.5 * (logprob - row[side].as_f64().unwrap()), reward, 1e-9);
        }
    }
}

#[test]
fn all_losses_learn_the_preference() {
    let folder = prepared();
    let path = folder.path();
    let kto = ["dpo.desirable_weight=1.0", "dpo.undesirable_weight=1.0"];
    let runs: [(&str, &[&str]); 5] = [
        (
            "sigmoid",
            &[
                "dpo.label_smoothing=0.1",
                "dpo.anchor=0.0",
                "dpo.image_negative=\"crop\"",
            ],
        ),
        ("ipo", &["dpo.beta=0.1", "dpo.logprob=\"mean\""]),
        ("simpo", &["dpo.beta=2.0", "dpo.gamma=1.0"]),
        ("orpo", &["dpo.sft_weight=1.0"]),
        ("kto", &kto),
    ];
    for (loss, sets) in runs {
        run_loss(path, loss, loss, sets);
        let out = path.join(loss);
        let margins = column(&out, "margin");
        assert!(margins[11] > margins[0] + 0.05, "{loss}: {margins:?}");
        let losses = column(&out, "loss");
        assert!(losses[11] < losses[0], "{loss}: {losses:?}");
        let result = json_file(&out.join("result.json"));
        assert!(
            result["accuracy"].as_f64().unwrap() > 0.9,
            "{loss}: {result}"
        );
        assert_eq!(
            out.join("reference.json").exists(),
            !["simpo", "orpo"].contains(&loss)
        );
    }
    // Before the first update the policy is the reference: KTO's losses are 1 − σ(0), IPO's (1 / 2β)², the
    // terms of mDPO −log σ(0) each.
    close(column(&path.join("kto"), "loss")[0], 0.5, 1e-6);
    close(column(&path.join("kto"), "divergence")[0], 0.0, 0.0);
    close(column(&path.join("ipo"), "loss")[0], 25.0, 1e-4);
    close(
        column(&path.join("sigmoid"), "loss")[0],
        3.0 * 2_f64.ln(),
        1e-6,
    );
    assert_eq!(column(&path.join("orpo"), "chosen_drift"), [0.0; 0]);
}

#[test]
fn passes_change_nothing() {
    let folder = prepared();
    let path = folder.path();
    let kto: &[&str] = &[
        "dpo.desirable_weight=1.0",
        "dpo.undesirable_weight=1.5",
        "dpo.sft_weight=0.2",
    ];
    let sigmoid: &[&str] = &[
        "dpo.sft_weight=0.5",
        "dpo.anchor=0.1",
        "dpo.image_negative=\"other\"",
        "dpo.changed_weight=3.0",
    ];
    for (loss, own) in [("sigmoid", sigmoid), ("kto", kto)] {
        let mut runs = Vec::new();
        for (micro, activations) in [(8, "keep"), (1, "keep"), (2, "recompute")] {
            let out = format!("{loss}-{micro}");
            let sets = [
                format!("data.micro_batch={micro}"),
                format!("model.activations={activations:?}"),
                "run.steps=4".to_owned(),
                // Adam's first update is little more than the sign of the gradient; a large eps lets its size through.
                "optimizer.eps=1e-3".to_owned(),
            ];
            let sets: Vec<&str> = own
                .iter()
                .copied()
                .chain(sets.iter().map(String::as_str))
                .collect();
            run_loss(path, &out, loss, &sets);
            runs.push(path.join(out));
        }
        for other in &runs[1..] {
            for (a, b) in column(&runs[0], "loss")
                .into_iter()
                .zip(column(other, "loss"))
            {
                close(a, b, 1e-5);
            }
            let apart = apart(&adapter(&runs[0]), &adapter(other));
            assert!(apart < 2e-5, "{loss}: {apart}");
        }
    }
}

#[test]
fn a_common_beginning_changes_sums_of_pairs_in_nothing_and_means_in_something() {
    let folder = prepared();
    let path = folder.path();
    let runs = [
        ("counted", "sum"),
        ("left_out", "sum"),
        ("counted", "mean"),
        ("left_out", "mean"),
    ];
    let losses = runs.map(|(beginning, logprob)| {
        let out = format!("{beginning}-{logprob}");
        let sets = [
            format!("dpo.common_beginning={beginning:?}"),
            format!("dpo.logprob={logprob:?}"),
            "run.steps=4".to_owned(),
        ];
        let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
        run(path, &out, &sets).unwrap();
        column(&path.join(out), "loss")
    });
    // Words that both answers begin with have one log-probability in both, which cancels.
    for (counted, left_out) in losses[0].iter().zip(&losses[1]) {
        close(*counted, *left_out, 1e-5);
    }
    assert!((losses[2][3] - losses[3][3]).abs() > 1e-4, "{losses:?}");
}

#[test]
fn a_run_that_is_stopped_at_every_step_ends_in_the_same_bytes() {
    let folder = prepared();
    let path = folder.path();
    // Two passes an update, and epochs that end within the run.
    let text = without(&["label_smoothing"]);
    let sets = [
        "data.micro_batch=4",
        "dpo.loss=\"kto\"",
        "dpo.desirable_weight=1.0",
        "dpo.undesirable_weight=1.0",
        "evaluation.every=2",
        "optimizer.schedule=\"cosine\"",
        "optimizer.warmup_ratio=0.1",
    ];
    let whole = recipe_of(&text, path, "whole", &sets).unwrap();
    let interrupted = recipe_of(&text, path, "interrupted", &sets).unwrap();
    let files = [
        "metrics.jsonl",
        "result.json",
        "reference.json",
        "held_out.jsonl",
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
    ];
    let runs = [("whole", &whole), ("interrupted", &interrupted)];
    assert_eq!(assert_same_stepwise(path, runs, &files), 12);
}

/// The reference is the model that the recipe names, whatever has been trained when a run is resumed.
#[test]
fn all_but_the_tower_may_be_trained_and_the_reference_stays() {
    let folder = prepared();
    let path = folder.path();
    let text = without(&["lora"]);
    let sets = [
        "model.tune=\"all_but_tower\"",
        "run.steps=6",
        "optimizer.learning_rate=2e-3",
    ];
    let recipe = recipe_of(&text, path, "full", &sets).unwrap();
    let stopped = launch(false);
    stopped.stop.request();
    assert_eq!(
        candor_dpo::run(&recipe, &stopped, Device::Cpu).unwrap(),
        Outcome::Stopped
    );
    let reference = path.join("full/reference.json");
    let before = fs::read(&reference).unwrap();
    // Whoever deletes it gets the same again, although weights have changed since.
    fs::remove_file(&reference).unwrap();
    candor_dpo::run(&recipe, &launch(true), Device::Cpu).unwrap();
    assert!(fs::read(&reference).unwrap() == before);
    let weights = |run: &str| tensor_file::read(&path.join(run).join("model.safetensors")).unwrap();
    let (base, trained) = (weights("base"), weights("full/model"));
    for (name, tensor) in &trained {
        let moved = (tensor - &base[name]).abs().max().double_value(&[]) > 0.0;
        assert_eq!(moved, !name.starts_with("vision_tower."), "{name}");
    }
    assert!(column(&path.join("full"), "margin")[5] > 0.5);
}

#[test]
fn an_adapter_to_go_on_from_is_the_reference() {
    let folder = prepared();
    let path = folder.path();
    run(path, "first", &[]).unwrap();
    let text = without(&["lora"]);
    let adapter = format!(
        "model.adapter={:?}",
        path.join("first/adapter").display().to_string()
    );
    let recipe = recipe_of(&text, path, "second", &[&adapter, "run.steps=1"]).unwrap();
    candor_dpo::run(&recipe, &launch(false), Device::Cpu).unwrap();
    close(column(&path.join("second"), "loss")[0], 2_f64.ln(), 1e-6);
    // Of the base alone the adapter is far by now.
    assert!(column(&path.join("first"), "loss")[11] < 0.5);
}

#[test]
fn answers_that_are_the_same_are_left_out_and_counted() {
    let folder = prepared();
    let path = folder.path();
    let file = path.join("preferences.json");
    let mut rows = preference::read(&file).unwrap();
    for row in rows.iter_mut().step_by(9) {
        row.outputs[1] = format!("{} ", row.outputs[0]);
    }
    preference::write(&file, &rows).unwrap();
    run(path, "dpo", &["run.steps=1"]).unwrap();
    let result = json_file(&path.join("dpo/result.json"));
    assert_eq!(result["n_identical"], 6);
    let n = |name: &str| result[name].as_u64().unwrap();
    assert_eq!(n("n_train") + n("n_validation") + n("n_pairs"), 48 - 6);
}

#[test]
fn a_resume_in_other_passes_goes_on_with_the_reference_that_was_kept() {
    let folder = prepared();
    let path = folder.path();
    let stopped = launch(false);
    stopped.stop.request();
    candor_dpo::run(&recipe(path, "dpo", &[]).unwrap(), &stopped, Device::Cpu).unwrap();
    let before = fs::read(path.join("dpo/reference.json")).unwrap();
    let other = recipe(
        path,
        "dpo",
        &["data.micro_batch=2", "model.activations=\"recompute\""],
    )
    .unwrap();
    candor_dpo::run(&other, &launch(true), Device::Cpu).unwrap();
    assert!(fs::read(path.join("dpo/reference.json")).unwrap() == before);
}

#[test]
fn every_metric_is_documented() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let page = fs::read_to_string(page).unwrap();
    let metrics = DpoMetrics {
        step: 1,
        figures: Figures {
            loss: 0.7,
            preference_loss: 0.7,
            image_loss: None,
            anchor_loss: None,
            nll: 1.0,
            accuracy: Some(0.5),
            chosen_reward: Some(0.0),
            rejected_reward: Some(0.0),
            margin: Some(0.0),
            chosen_logprob: Some(-10.0),
            rejected_logprob: Some(-10.0),
            chosen_drift: None,
            rejected_drift: None,
            divergence: None,
        },
        grad_norm: 1.0,
        learning_rate: 1e-3,
        n_tokens: 100,
        validation_loss: None,
        validation_accuracy: None,
        validation_margin: None,
        suite: [(
            "<benchmark>".to_owned(),
            [("<number>".to_owned(), 1.0)].into(),
        )]
        .into(),
    };
    let found = undocumented(&page, "dpo", &metrics);
    assert_eq!(found, Vec::<String>::new());
}
