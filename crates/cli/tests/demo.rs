//! `candor demo` as a process: stopped in an evaluation and continued.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use candor_testing::model::TinyModel;

use serde_json::{Value, json};

/// All stages but the evaluation of the fine-tuned model.
const FINISHED: [&str; 17] = [
    "world",
    "ground",
    "pretrain",
    "sft",
    "sample",
    "annotate",
    "reading",
    "reward-facts",
    "reward-no-facts",
    "policy-init",
    "eval/policy_init",
    "ppo-facts",
    "eval/fact_rlhf",
    "eval/curve-facts",
    "ppo-no-facts",
    "eval/rlhf",
    "eval/curve-no-facts",
];

fn candor(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command
        .current_dir(folder)
        .args(arguments)
        .env("OMP_NUM_THREADS", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A demo of which everything is done but that evaluation, with a small world and an untrained model.
fn nearly_done(folder: &Path) {
    let sizes = "--train 20 --preference 0 --rl 0 --eval 150 --seed 0";
    let world = ["world", "write", "--out", "demo/world"];
    let arguments: Vec<&str> = world.into_iter().chain(sizes.split(' ')).collect();
    let output = candor(folder, &arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let model = folder.join("demo/sft/model");
    let questions = fs::read_to_string(folder.join("demo/world/eval/mmhal.json")).unwrap();
    TinyModel::knowing(&questions[..20_000]).write(&model);
    // Room for the demo's longest answers.
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["text_config"]["max_position_embeddings"] = json!(1024);
    fs::write(model.join("config.json"), config.to_string()).unwrap();
    // What the demo would leave for people needs answers that were never sampled.
    fs::create_dir(folder.join("demo/annotate")).unwrap();
    fs::write(folder.join("demo/annotate/project.toml"), "").unwrap();
    let done = json!({"seed": 0, "finished": FINISHED, "stage_secs": {}, "peak_memory_bytes": 0});
    fs::write(folder.join("demo/demo.json"), done.to_string()).unwrap();
}

fn start(folder: &Path) -> Child {
    candor(folder, &["demo", "--out", "demo"]).spawn().unwrap()
}

#[cfg(unix)]
#[test]
fn a_demo_that_is_stopped_while_it_evaluates_ends_after_a_batch_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    nearly_done(folder);
    let eval = folder.join("demo/eval/sft");
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        // Written before the first answer.
        let begun = eval.join("resolved.toml");
        let _ = fs::remove_file(&begun);
        let mut child = start(folder);
        while !begun.exists() {
            assert!(child.try_wait().unwrap().is_none(), "the demo has ended");
            std::thread::sleep(Duration::from_millis(5));
        }
        let kill = format!("kill -{signal} {}", child.id());
        Command::new("sh").args(["-c", &kill]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains("continue with"), "{errors}");
        // It did not answer to the end, and says no numbers.
        assert!(!eval.join("answers/chair.jsonl").exists(), "{errors}");
        assert!(!eval.join("results.json").exists());
        let done = fs::read_to_string(folder.join("demo/demo.json")).unwrap();
        let done: Value = serde_json::from_str(&done).unwrap();
        let finished = done["finished"].as_array().unwrap();
        assert!(finished.len() == FINISHED.len() && !finished.contains(&json!("eval/sft")));
    }
    let output = start(folder).wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("demo: 5 of 18: eval/sft"), "{errors}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains("CHAIR_i") && table.contains("POPE"),
        "{table}"
    );
    let results = fs::read_to_string(eval.join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["benchmarks"]["mmhal"]["n"], 384);
    let page = fs::read_to_string(folder.join("demo/report.html")).unwrap();
    assert!(page.contains("CHAIR_i"));
}
