//! Sampling on another device than the CPU: the same candidates, and few copies.
//!
//! The device is a pretend one in host memory (`candor-pretend-cuda`), which has the CPU's bits.

#[path = "sampling/tiny.rs"]
#[allow(dead_code, reason = "the other tests' too")]
mod tiny;

use std::path::Path;

use candor_pretend_cuda::{FIRST, PretendCuda, SECOND};
use candor_run::Outcome;
use candor_testing::run::launch;
use tch::Device;

use tiny::{assert_same, prepared, recipe};

fn sampled(folder: &Path, out: &str, device: Device, sets: &[&str]) {
    let outcome = candor_sample::run(&recipe(folder, out, sets), &launch(false), device);
    assert_eq!(outcome.expect("it runs"), Outcome::Finished);
}

#[test]
fn candidates_are_the_cpus() {
    let devices = PretendCuda::take();
    let dir = prepared();
    sampled(dir.path(), "host", Device::Cpu, &[]);
    assert_eq!(devices.traffic().to_device.n, 0);
    sampled(dir.path(), "first", FIRST, &[]);
    sampled(dir.path(), "second", SECOND, &[]);
    assert_eq!(devices.traffic().between.n, 0);
    assert_same(dir.path(), "host", "first");
    assert_same(dir.path(), "host", "second");
}

/// Three prompts have six answers of six tokens at most, which are written four at a time, and three images, whose
/// features go to the host: that is all the host waits for.
#[test]
fn the_host_waits_for_tokens_and_images() {
    let devices = PretendCuda::take();
    let dir = prepared();
    let traffic = |out: &str, count: &str| {
        devices.restart();
        sampled(dir.path(), out, FIRST, &[count]);
        devices.traffic()
    };
    let of_a_chunk = traffic("six", "prompts.count=6") - traffic("three", "prompts.count=3");
    println!("{of_a_chunk:?}");
    assert!(of_a_chunk.to_host.n <= 2 * 6 + 3);
}
