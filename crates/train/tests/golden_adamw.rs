//! AdamW, clipping and the cosine schedule against PyTorch and transformers, over five updates.
//!
//! `parity/fixtures/adamw.py` wrote the gradients and the values after each update. Some gradients are
//! clipped and some are not, one parameter has no gradient before the third update, some weights decay.
//! The arithmetic is elementwise f32 on values of about 1, in the same order on both sides: 1e-6 is a few
//! units in the last place after five updates, while the updates themselves are 1e-2.

use std::collections::BTreeMap;
use std::path::Path;

use candor_model::tensor_file;
use candor_train::{AdamW, AdamWConfig, ParamGroup, Schedule, Shape, Warmup};
use tch::{Kind, Tensor};

const N_UPDATES: u64 = 5;
const LR: f64 = 3e-2;
const MAX_NORM: f64 = 1.0;
const DECAYED: [&str; 2] = ["matrix", "tall"];
const NOT_DECAYED: [&str; 2] = ["bias", "frozen_late"];

fn optimizer(parameters: &BTreeMap<&str, Tensor>, [decayed, others]: [&[&str]; 2]) -> AdamW {
    let named = |names: &[&str]| {
        let named = |name: &&str| ((*name).to_owned(), parameters[name].shallow_clone());
        names.iter().map(named).collect()
    };
    let group = |tensors, decay| ParamGroup {
        tensors,
        lr_multiplier: 1.0,
        decay,
    };
    let config = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.1,
    };
    let groups = vec![group(named(decayed), true), group(named(others), false)];
    AdamW::new(config, groups).expect("parameters that can be trained")
}

fn largest_difference(found: &Tensor, expected: &Tensor) -> f64 {
    let largest = (found.detach() - expected).abs().max().double_value(&[]);
    assert!(largest.is_finite(), "not a number");
    largest
}

#[test]
fn five_updates_follow_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/adamw.safetensors");
    let golden = tensor_file::read(&path).expect("the golden file");
    let parameters: BTreeMap<&str, Tensor> = [DECAYED, NOT_DECAYED]
        .concat()
        .into_iter()
        .map(|name| {
            (
                name,
                golden[&format!("param.{name}.0")]
                    .copy()
                    .set_requires_grad(true),
            )
        })
        .collect();
    let mut optimizer = optimizer(&parameters, [&DECAYED, &NOT_DECAYED]);
    let schedule = Schedule::new(Shape::Cosine, Warmup::Steps(2), 7);

    let (mut worst, mut worst_norm, mut worst_lr) = (0.0_f64, 0.0_f64, 0.0_f64);
    for update in 0..N_UPDATES {
        optimizer.zero_grad();
        for (name, parameter) in &parameters {
            if let Some(gradient) = golden.get(&format!("grad.{name}.{update}")) {
                // The gradient of Σ p·g by p is g, exactly.
                (parameter * gradient).sum(Kind::Float).backward();
            }
        }
        let at = [update as i64];
        let norm = optimizer.clip_grad_norm(MAX_NORM);
        let expected_norm = golden["norm"].double_value(&at);
        worst_norm = worst_norm.max((norm / expected_norm - 1.0).abs());
        let lr = LR * schedule.factor(update);
        worst_lr = worst_lr.max((lr - golden["lr"].double_value(&at)).abs());
        optimizer.step(lr);
        for (name, parameter) in &parameters {
            let expected = &golden[&format!("param.{name}.{}", update + 1)];
            worst = worst.max(largest_difference(parameter, expected));
        }
    }
    println!("parity: adamw weights after 5 updates max_abs={worst:.1e}");
    println!("parity: adamw global gradient norm rel={worst_norm:.1e}");
    println!("parity: cosine schedule learning rate max_abs={worst_lr:.1e}");
    assert!(worst <= 1e-6, "weights differ by {worst}");
    assert!(
        worst_norm <= 1e-6,
        "norms differ by {worst_norm} of their size"
    );
    assert!(worst_lr <= 1e-15, "learning rates differ by {worst_lr}");
}

/// A network in bf16, whose gradients of three passes an update are added up in f32 and whose weights are rounded from masters
/// (`parity/fixtures/bf16_masters.py`). What it reads are whole numbers, so that no order of a sum rounds otherwise.
#[test]
fn five_updates_through_masters_follow_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/bf16_masters.safetensors");
    let golden = tensor_file::read(&path).expect("the golden file");
    let leaf = |name: &'static str| {
        let start = golden[&format!("working.{name}.0")].copy();
        (name, start.set_requires_grad(true))
    };
    let working: BTreeMap<&str, Tensor> = ["first", "second", "bias"].map(leaf).into();
    assert!(
        working
            .values()
            .all(|weight| weight.kind() == Kind::BFloat16)
    );
    let mut optimizer = optimizer(&working, [&["first", "second"], &["bias"]]);
    let (mut worst, mut worst_norm, mut n_held) = (0.0_f64, 0.0_f64, 0);
    for update in 0..N_UPDATES {
        optimizer.zero_grad();
        for pass in 0..3 {
            let [x, target] = ["x", "t"].map(|what| &golden[&format!("{what}.{update}.{pass}")]);
            let hidden = (x.matmul(&working["first"].tr()) + &working["bias"]).relu();
            let found = hidden.matmul(&working["second"].tr());
            let found = found.to_kind(Kind::Float) - target;
            found.square().sum(Kind::Float).backward();
            optimizer.end_pass();
        }
        let norm = optimizer.clip_grad_norm(MAX_NORM);
        let expected_norm = golden["norm"].double_value(&[update as i64]);
        worst_norm = worst_norm.max((norm / expected_norm - 1.0).abs());
        optimizer.step(1e-3);
        for (name, master) in optimizer.parameters() {
            let at = |what: &str, update| &golden[&format!("{what}.{name}.{update}")];
            worst = worst.max(largest_difference(&master, at("master", update + 1)));
            let rounded = &working[name.as_str()];
            let expected = at("working", update + 1);
            assert_eq!(rounded.detach(), *expected, "{name} after {update}");
            let is_held = expected.eq_tensor(at("working", update));
            n_held += is_held.sum(Kind::Int64).int64_value(&[]);
        }
    }
    println!("parity: masters of bf16 weights after 5 updates max_abs={worst:.1e}");
    assert!(worst <= 1e-6, "masters differ by {worst}");
    assert!(
        worst_norm <= 1e-6,
        "norms differ by {worst_norm} of their size"
    );
    // Of 250 updates of a weight many do not get to its bf16 at once: without masters they would be lost.
    assert!(n_held > 100, "{n_held}");
}

#[test]
fn the_golden_updates_are_large_enough_to_mean_something() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/adamw.safetensors");
    let golden = tensor_file::read(&path).expect("the golden file");
    for name in [DECAYED, NOT_DECAYED].concat() {
        let moved = largest_difference(
            &golden[&format!("param.{name}.5")],
            &golden[&format!("param.{name}.0")],
        );
        assert!(moved > 1e-2, "{name} moved by {moved}");
    }
}
