//! Sampling on another device than the CPU: the same candidates, and how much is copied for each token.
//!
//! The device is a pretend one in host memory (`candor-pretend-cuda`), which has the CPU's bits.

#[path = "sampling/tiny.rs"]
#[allow(dead_code, reason = "the other tests' too")]
mod tiny;

use candor_data::formats::candidates;
use candor_pretend_cuda::{FIRST, PretendCuda, SECOND};
use candor_run::Outcome;
use candor_testing::run::launch;
use tch::Device;

use tiny::{assert_same, prepared, recipe};

#[test]
fn candidates_are_the_cpus_and_a_token_costs_one_copy_to_the_host() {
    let devices = PretendCuda::take();
    tch::set_num_threads(1);
    let dir = prepared();
    let run = |out: &str, device: Device| {
        let outcome = candor_sample::run(&recipe(dir.path(), out, &[]), &launch(false), device);
        assert_eq!(outcome.expect("it runs"), Outcome::Finished);
    };
    run("host", Device::Cpu);
    assert_eq!(devices.traffic().to_device.n, 0);
    run("first", FIRST);
    let traffic = devices.traffic();
    run("second", SECOND);
    assert_eq!(devices.traffic().between.n, 0);
    assert_same(dir.path(), "host", "first");
    assert_same(dir.path(), "host", "second");

    let rows = candidates::read(&dir.path().join("first/candidates.jsonl")).expect("candidates");
    println!("{} rows, {traffic:?}", rows.len());
}
