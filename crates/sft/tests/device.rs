//! Grounding and fine-tuning on another device than the CPU: the same figures and weights, and few copies.
//!
//! The device is a pretend one in host memory (`candor-pretend-cuda`), which has the CPU's bits.

#[path = "training/tiny.rs"]
#[allow(dead_code, reason = "the other tests' too")]
mod tiny;

use std::collections::BTreeMap;
use std::path::Path;

use candor_model::tensor_file;
use candor_pretend_cuda::{FIRST, PretendCuda};
use candor_run::Outcome;
use candor_testing::files::{assert_same, files, is_result, json};
use candor_testing::pope;
use tch::Device;

const LORA: &[&str] = &[
    "model.tune=\"lora\"",
    "model.lora={ r = 2, alpha = 4.0, targets = [\"q_proj\", \"down_proj\"] }",
];
const WHOLE: &[&str] = &["model.activations=\"recompute\"", "data.micro_batch=4"];

fn results(folder: &Path, out: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(&folder.join(out));
    files.retain(|name, _| is_result(name));
    assert!(files.len() > 1, "{:?}", files.keys());
    files
}

fn out(folder: &Path, name: &str) -> String {
    format!("run.out={:?}", folder.join(name).display().to_string())
}

/// A run's results; its steps are `steps`.
fn tuned(
    folder: &Path,
    name: &str,
    device: Device,
    steps: u64,
    sets: &[&str],
) -> BTreeMap<String, Vec<u8>> {
    let (out, steps) = (out(folder, name), format!("run.steps={steps}"));
    let sets = [&[out.as_str(), steps.as_str()], sets].concat();
    let outcome = tiny::sft_on(device, folder, &sets).expect("it runs");
    assert_eq!(outcome, Outcome::Finished);
    results(folder, name)
}

#[test]
fn grounding_gives_the_cpus_model() {
    let _devices = PretendCuda::take();
    let dir = tiny::prepared();
    let there = out(dir.path(), "there");
    tiny::grounded(FIRST, dir.path(), &[&there]);
    assert_same(
        &results(dir.path(), "ground"),
        &results(dir.path(), "there"),
    );
}

#[test]
fn fine_tuning_gives_the_cpus_weights() {
    let _devices = PretendCuda::take();
    let dir = tiny::prepared();
    for (name, sets) in [("lora", LORA), ("whole", WHOLE)] {
        let run = |to: &str, device| tuned(dir.path(), &format!("{name}-{to}"), device, 4, sets);
        assert_same(&run("host", Device::Cpu), &run("there", FIRST));
    }
}

/// A whole model and an adapter, which answer where they are trained; the best weights so far are the host's.
#[test]
fn a_run_that_measures_itself_gives_the_cpus_numbers_and_best_weights() {
    let _devices = PretendCuda::take();
    let dir = tiny::prepared();
    let question = ["red.png", "Is the number 3?", "yes"].map(str::to_owned);
    pope::write(&dir.path().join("bench"), |_| vec![question.clone()]);
    let data = dir.path().join("bench").display().to_string();
    let suite = [
        &*format!("suite.data={data:?}"),
        "suite.every=2",
        "suite.benchmarks=[\"pope\"]",
        "suite.best=\"pope.accuracy\"",
        "suite.max_new_tokens=4",
    ];
    for (name, sets) in [("lora", LORA), ("whole", WHOLE)] {
        let sets = [sets, &suite].concat();
        let run = |to: &str, device| {
            let name = format!("{name}-{to}");
            let results = tuned(dir.path(), &name, device, 2, &sets);
            let measured = files(&dir.path().join(&name).join("suite"));
            let best = json(&dir.path().join(&name).join("best.json"));
            (results, measured, best)
        };
        let (host, there) = (run("host", Device::Cpu), run("there", FIRST));
        assert_same(&host.0, &there.0);
        let answers = "step-2/pope/answers/pope_popular.jsonl";
        assert!(host.1[answers] == there.1[answers]);
        assert_eq!(host.2, there.2);
        assert!(host.0.keys().any(|file| file.starts_with("best/")));
    }
}

/// An update brings two moments of each weight to the device and back, of a base in bf16 its master as well.
#[test]
fn states_on_the_host_give_the_same_weights() {
    let devices = PretendCuda::take();
    let dir = tiny::prepared();
    for (precision, n_states) in [("f32", 2), ("bf16", 3)] {
        let set = format!("model.base_precision={precision:?}");
        let run = |states: &str, steps| {
            let name = format!("{precision}-{states}-{steps}");
            let of_states = format!("optimizer.states={states:?}");
            let sets = [WHOLE, &[set.as_str(), of_states.as_str()]].concat();
            devices.restart();
            let results = tuned(dir.path(), &name, FIRST, steps, &sets);
            (results, devices.traffic())
        };
        let [(there, of_four), (_, of_two)] = [4, 2].map(|steps| run("device", steps));
        let [(host, of_host_four), (_, of_host_two)] = [4, 2].map(|steps| run("host", steps));
        assert_same(&there, &host);
        let (usual, moved) = (of_four - of_two, of_host_four - of_host_two);
        let model = dir
            .path()
            .join(format!("{precision}-host-4/model/model.safetensors"));
        let tensors = tensor_file::read(&model).unwrap();
        let trained = tensors
            .keys()
            .filter(|name| !name.starts_with("vision_tower."));
        let n = 2 * n_states * trained.count() as u64;
        assert!(n > 0);
        assert_eq!(moved.to_device.n - usual.to_device.n, n, "{precision}");
        assert_eq!(moved.to_host.n - usual.to_host.n, n, "{precision}");
    }
}

/// The host waits for the loss and the gradient's norm, whatever the passes, and where a pass with images goes back through
/// the projector: which features they were is found by their places. A pass has its words in one copy, and its images in
/// another. Here a step has two passes, one of them with images.
#[test]
fn a_step_waits_three_times_and_a_pass_is_two_copies() {
    let devices = PretendCuda::take();
    let dir = tiny::prepared();
    let traffic = |name: &str, steps| {
        devices.restart();
        tuned(dir.path(), name, FIRST, steps, WHOLE);
        devices.traffic()
    };
    let of_two_steps = traffic("four", 4) - traffic("two", 2);
    println!("{of_two_steps:?}");
    assert_eq!(of_two_steps.to_host.n, 2 * (2 + 1));
    assert_eq!(of_two_steps.to_device.n, 2 * (2 + 1));
}
