//! A reward model trained on another device than the CPU: the same figures and weights, and few copies.
//!
//! The device is a pretend one in host memory (`candor-pretend-cuda`), which has the CPU's bits.

#[path = "runs/tiny.rs"]
#[allow(dead_code, reason = "the other tests' too")]
mod tiny;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_pretend_cuda::{FIRST, PretendCuda};
use candor_run::Outcome;
use candor_testing::files::{assert_same, files, is_result};
use candor_testing::run::launch;
use serde_json::Value;
use tch::Device;

use tiny::{base, prepared, recipe};

fn trained(folder: &Path, out: &str, device: Device, sets: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let sets = [&["data.micro_batch=4"], sets].concat();
    let recipe = recipe(folder, out, &sets).expect("a recipe");
    let outcome = candor_reward::run(&recipe, &launch(false), device).expect("it runs");
    assert_eq!(outcome, Outcome::Finished);
    let mut files = files(&folder.join(out));
    files.retain(|name, _| is_result(name));
    assert!(files.len() > 3, "{:?}", files.keys());
    files
}

#[test]
fn figures_and_weights_are_the_cpus() {
    let _devices = PretendCuda::take();
    let dir = prepared();
    fs::remove_dir_all(dir.path().join("base")).unwrap();
    base(dir.path(), 2);
    let run = |out: &str, device| trained(dir.path(), out, device, &["run.steps=6"]);
    assert_same(&run("host", Device::Cpu), &run("there", FIRST));
}

/// Heads that share keys are attended to in another way there, whose sums are rounded otherwise.
#[test]
fn losses_of_heads_that_share_keys_are_the_cpus_but_for_rounding() {
    let _devices = PretendCuda::take();
    let dir = prepared();
    let losses = |out: &str, device| -> Vec<f64> {
        trained(dir.path(), out, device, &["run.steps=6"]);
        let metrics = fs::read_to_string(dir.path().join(out).join("metrics.jsonl")).unwrap();
        let lines = metrics.lines().map(serde_json::from_str::<Value>);
        lines
            .map(|line| line.unwrap()["pair_loss"].as_f64().unwrap())
            .collect()
    };
    let (host, there) = (losses("host", Device::Cpu), losses("there", FIRST));
    assert_eq!((host.len(), there.len()), (6, 6));
    for (host, there) in host.iter().zip(&there) {
        assert!(
            (host - there).abs() < 1e-4 * host,
            "{host} and {there} of {there:?}"
        );
    }
    // Something was learned from what was attended to.
    assert!(host[5] < 0.9 * host[0], "{host:?}");
}

/// The host waits for the scores of a step's passes, once, and for the gradient's norm; a pass has its words in one copy, and its
/// images in another. Steps 3 and 4 have three passes together.
#[test]
fn a_step_waits_once_for_its_scores_and_a_pass_is_two_copies() {
    let devices = PretendCuda::take();
    let dir = prepared();
    let traffic = |out: &str, steps: &str| {
        devices.restart();
        let others = [
            "evaluation.every=100",
            "run.checkpoint_every=100",
            "loss.centering_over=micro_batch",
        ];
        trained(dir.path(), out, FIRST, &[&[steps], &others[..]].concat());
        devices.traffic()
    };
    let of_two_steps = traffic("four", "run.steps=4") - traffic("two", "run.steps=2");
    println!("{of_two_steps:?}");
    assert_eq!(of_two_steps.to_host.n, 2 + 2);
    assert_eq!(of_two_steps.to_device.n, 3 * 2);
}
