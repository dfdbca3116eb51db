//! A run that was stopped or killed ends in the bytes of one that was not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_rl::run;
use candor_run::Outcome;
use candor_testing::run::launch;
use tch::Device;

use crate::critic::ON_THE_POLICY;
use crate::fixture::{finished, judged_by_another, prepared, recipe};

/// The files of a run by their path in it, clocks and checkpoints left out.
pub fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = candor_testing::files::files(out);
    let clock = ["timings", "events", "checkpoints", ".lock", "resolved"];
    found.retain(|name, _| !clock.iter().any(|clock| name.starts_with(clock)));
    found
}

pub fn assert_same(left: &Path, right: &Path) {
    let (left, right) = (files(left), files(right));
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    assert!(
        left.contains_key("value/value_head.safetensors"),
        "{:?}",
        names(&left)
    );
    assert!(left.contains_key("adapters/step-6/adapter_model.safetensors"));
    assert!(left.contains_key("samples/step-5.jsonl"));
    for (name, bytes) in &left {
        assert!(*bytes == right[name], "{name} differs");
    }
}

#[test]
fn a_stopped_run_continues_to_the_same_bytes() {
    let dir = prepared();
    finished(dir.path(), "whole", &[]);
    let broken = recipe(dir.path(), "broken", &[]);
    let stopping = launch(false);
    stopping.stop.request();
    assert_eq!(
        run(&broken, &stopping, Device::Cpu).unwrap(),
        Outcome::Stopped
    );
    assert_eq!(
        run(&broken, &launch(true), Device::Cpu).unwrap(),
        Outcome::Finished
    );
    assert_same(&dir.path().join("whole"), &dir.path().join("broken"));
}

/// After the last step a run of six steps has a checkpoint of step 4, as a run that was killed there would.
fn continues_after_a_kill(dir: &Path, sets: &[&str]) {
    finished(dir, "whole", sets);
    finished(dir, "killed", sets);
    assert_same(&dir.join("whole"), &dir.join("killed"));
    let killed = dir.join("killed");
    for name in ["adapter", "value", "adapters/step-6"] {
        fs::remove_dir_all(killed.join(name)).unwrap();
    }
    fs::remove_file(killed.join("result.json")).unwrap();
    fs::write(killed.join("samples/step-5.jsonl"), "half a li").unwrap();
    let again = recipe(dir, "killed", sets);
    assert_eq!(
        run(&again, &launch(true), Device::Cpu).unwrap(),
        Outcome::Finished
    );
    assert_same(&dir.join("whole"), &killed);
}

#[test]
fn a_killed_run_continues_to_the_same_bytes() {
    continues_after_a_kill(prepared().path(), &[]);
}

#[test]
fn a_killed_run_with_a_reward_model_of_another_family_continues_to_the_same_bytes() {
    let dir = prepared();
    judged_by_another(dir.path());
    continues_after_a_kill(dir.path(), &[ON_THE_POLICY]);
}

#[test]
fn a_run_continued_with_another_reward_model_is_refused_by_name() {
    let dir = prepared();
    let recipe = recipe(dir.path(), "out", &[]);
    let stopping = launch(false);
    stopping.stop.request();
    run(&recipe, &stopping, Device::Cpu).unwrap();
    fs::write(dir.path().join("reward/prompt.txt"), "{facts}\nIs it so?").unwrap();
    let message = run(&recipe, &launch(true), Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(message.contains("reward model"), "{message}");
}
