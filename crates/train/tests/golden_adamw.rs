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

fn optimizer(parameters: &BTreeMap<&str, Tensor>) -> AdamW {
    let named = |names: [&str; 2]| {
        let tensors = names.map(|name| (name.to_owned(), parameters[name].shallow_clone()));
        tensors.into_iter().collect()
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
    let groups = vec![
        group(named(DECAYED), true),
        group(named(NOT_DECAYED), false),
    ];
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
    let mut optimizer = optimizer(&parameters);
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
