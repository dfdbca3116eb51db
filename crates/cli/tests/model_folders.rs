//! Models, adapters and their names as commands take them: incomplete, misspelled, found through an adapter.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use candor_model::{Adapter, Bundle, LoraConfig, tensor_file};
use candor_testing::images::paint;
use candor_testing::model::TinyModel;
use serde_json::Value;
use tch::{Device, Kind};

const WORDS: &str = "USER: What is in the picture? ASSISTANT: A red bus. Is it moving? No.";

/// A folder with a model in `runs/sft/model` and an adapter on it in `runs/ppo/adapter`.
fn scene() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("runs/sft/model");
    TinyModel::knowing(WORDS).write(&model);
    let bundle = Bundle::open(&model, Device::Cpu, Kind::Float).unwrap();
    let config = LoraConfig {
        base_model_name_or_path: Some("runs/sft/model".to_owned()),
        ..LoraConfig::new(2, 4.0, &["q_proj".to_owned()])
    };
    let adapter = Adapter::fresh(config, &bundle.model, 1).unwrap();
    let folder = dir.path().join("runs/ppo/adapter");
    fs::create_dir_all(&folder).unwrap();
    for (name, tensor) in adapter.parameters() {
        if name.contains("lora_B") {
            let _ = tensor.shallow_clone().fill_(0.5);
        }
    }
    adapter.save(&folder).unwrap();
    dir
}

fn candor(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_candor"))
        .current_dir(folder)
        .args(arguments)
        .env("OMP_NUM_THREADS", "1")
        .env("HF_HUB_CACHE", "/no/such/cache")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = candor(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    stderr(&output)
}

/// Leaves tensors out of a model's file.
fn leave_out(file: &Path, part: &str) {
    let tensors: BTreeMap<_, _> = tensor_file::read(file)
        .unwrap()
        .into_iter()
        .filter(|(name, _)| !name.contains(part))
        .collect();
    tensor_file::write(file, tensors.iter().map(|(n, t)| (n.as_str(), t)), None).unwrap();
}

#[test]
fn a_model_without_its_projector_is_neither_inspected_nor_exported() {
    let scene = scene();
    let folder = scene.path();
    leave_out(
        &folder.join("runs/sft/model/model.safetensors"),
        "multi_modal_projector",
    );
    let output = candor(folder, &["inspect", "runs/sft/model"]);
    assert_eq!(output.status.code(), Some(2));
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        page.contains("multi_modal_projector.linear_1.weight"),
        "{page}"
    );
    assert!(stderr(&output).contains("do not fit together"));
    let output = candor(folder, &["inspect", "runs/sft/model", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["problems"].as_str().unwrap().contains("linear_2.bias"));
    for checkpoint_format in ["hf", "llava"] {
        let arguments = [
            "export",
            "runs/sft/model",
            "--format",
            checkpoint_format,
            "--out",
            "out",
        ];
        let message = refused(folder, &arguments);
        assert!(
            message.contains("multi_modal_projector.linear_1.weight"),
            "{message}"
        );
        assert!(!folder.join("out").exists());
    }
}

#[test]
fn an_adapter_is_talked_to_on_the_base_that_it_names() {
    let scene = scene();
    let ask = |folder: &Path, model: &[&str]| {
        let rest = [
            "--prompt",
            "Is it moving?",
            "--max-new-tokens",
            "6",
            "--json",
        ];
        let arguments: Vec<&str> = ["chat"].iter().chain(model).chain(&rest).copied().collect();
        let json = stdout(&candor(folder, &arguments));
        serde_json::from_str::<Value>(&json).unwrap()
    };
    let folder = scene.path();
    let both = ["runs/sft/model", "--adapter", "runs/ppo/adapter"];
    let expected = ask(folder, &both);
    assert_ne!(expected, ask(folder, &["runs/sft/model"]));
    assert_eq!(ask(folder, &["runs/ppo/adapter"]), expected);
    // The name is relative to a folder that is no longer the current one.
    assert_eq!(ask(&folder.join("runs/ppo"), &["adapter"]), expected);
    let ids = expected["ids"].as_array().unwrap();
    let logprobs = expected["logprobs"].as_array().unwrap();
    assert!(!ids.is_empty() && ids.len() == logprobs.len());
    assert!(logprobs.iter().all(|p| p.as_f64().unwrap() <= 0.0));

    let page = stdout(&candor(folder, &["inspect", "runs/ppo/adapter"]));
    assert!(
        page.contains("runs/ppo/adapter") && page.contains("The parts fit together."),
        "{page}"
    );

    fs::rename(folder.join("runs/sft"), folder.join("elsewhere")).unwrap();
    let message = refused(folder, &["chat", "runs/ppo/adapter", "--prompt", "Hi"]);
    for words in [
        "runs/sft/model: no such model",
        "runs/ppo/model",
        "--adapter",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let message = refused(
        folder,
        &[
            "chat",
            "runs/ppo/adapter",
            "--prompt",
            "Hi",
            "--adapter",
            "runs/ppo/adapter",
        ],
    );
    assert!(message.contains("name the base"), "{message}");
}

/// The command with a recipe of the demo, and values of it replaced.
fn recipe<'a>(command: &[&'a str], path: &'a str, sets: &[&'a str]) -> Vec<&'a str> {
    let sets = sets.iter().flat_map(|set| ["--set", *set]);
    command.iter().copied().chain([path]).chain(sets).collect()
}

fn demo(name: &str) -> String {
    format!("{}/../../recipes/demo/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn an_adapter_is_no_base_to_train_on() {
    let scene = scene();
    let prompt = format!("prompt.file={:?}", demo("reward-facts.txt"));
    for (stage, name, more) in [
        ("sft", "1-sft.toml", None),
        ("sft", "4-policy-init.toml", None),
        ("reward", "3-reward.toml", Some(prompt.as_str())),
        ("rl", "5-ppo.toml", None),
    ] {
        let path = demo(name);
        let sets: Vec<&str> = ["model.base=runs/ppo/adapter"]
            .into_iter()
            .chain(more)
            .collect();
        for command in [&[stage][..], &["recipe", "check"]] {
            let message = refused(scene.path(), &recipe(command, &path, &sets));
            for words in [
                "runs/ppo/adapter: holds an adapter and no model; its base is runs/sft/model (",
                "candor export runs/ppo/adapter --merge --out OUT",
            ] {
                assert!(message.contains(words), "{command:?} {name}: {message}");
            }
        }
    }
}

#[test]
fn an_adapter_is_planned_on_the_base_that_it_names() {
    let scene = scene();
    for name in ["2-sample.toml", "6-eval.toml"] {
        let path = demo(name);
        let plan = |sets: &[&str]| {
            let command = recipe(&["recipe", "check", "--json"], &path, sets);
            let plans: Value =
                serde_json::from_str(&stdout(&candor(scene.path(), &command))).unwrap();
            plans[0].clone()
        };
        let base = plan(&["model.base=runs/sft/model"]);
        let adapter = plan(&["model.base=runs/ppo/adapter"]);
        let both = [
            "model.base=runs/sft/model",
            "model.adapter=runs/ppo/adapter",
        ];
        assert_eq!(adapter, plan(&both));
        let bytes = |plan: &Value| plan["memory"]["weights_bytes"].as_u64().unwrap();
        // A and B of rank 2 for the square layer of width 24 in 2 blocks, in f32.
        assert_eq!(bytes(&adapter) - bytes(&base), 2 * (2 * 24 + 24 * 2) * 4);
        let twice = [
            "model.base=runs/ppo/adapter",
            "model.adapter=runs/ppo/adapter",
        ];
        let message = refused(scene.path(), &recipe(&["recipe", "check"], &path, &twice));
        assert!(
            message.contains("holds an adapter and no model"),
            "{message}"
        );
    }
}

#[test]
fn misspelled_paths_are_told_the_nearest_names() {
    let scene = scene();
    let folder = scene.path();
    paint(&folder.join("kitchen.png"), [20, 16], [220, 30, 30]);
    fs::write(folder.join("sft.toml"), "").unwrap();
    let model = "runs/sft/model";
    let cases: [(&[&str], &str); 6] = [
        (
            &["chat", "runs/sft/modle", "--prompt", "Hi"],
            "runs/sft/modle, which does not exist; beside it: model",
        ),
        (
            &["inspect", "runs/stf/model"],
            "there is no runs/stf, but beside that: sft",
        ),
        (
            &["chat", model, "--prompt", "Hi", "--image", "ktchen.png"],
            "ktchen.png does not exist; beside it: kitchen.png",
        ),
        (
            &[
                "chat",
                model,
                "--prompt",
                "Hi",
                "--adapter",
                "runs/ppo/adaptr",
            ],
            "there is no runs/ppo/adaptr, but beside that: adapter",
        ),
        (
            &["sft", "stf.toml"],
            "stf.toml does not exist; beside it: sft.toml",
        ),
        (
            &["export", "runs/sft/modle", "--out", "out"],
            "beside it: model",
        ),
    ];
    for (arguments, words) in cases {
        let message = refused(folder, arguments);
        assert!(message.contains(words), "{arguments:?}: {message}");
    }
}

#[test]
fn arithmetic_in_bf16_on_a_cpu_is_remarked_on_once() {
    if tch::Cuda::is_available() {
        eprintln!("skipped: there is a GPU");
        return;
    }
    let scene = scene();
    let remarks = |precision: &str| {
        let arguments = [
            "chat",
            "runs/sft/model",
            "--prompt",
            "Hi",
            "--precision",
            precision,
        ];
        let output = candor(scene.path(), &arguments);
        stderr(&output).matches("bf16 on the CPU").count()
    };
    assert_eq!(["f32", "bf16", "nf4"].map(remarks), [0, 1, 1]);
}

#[test]
fn parts_that_are_no_parts_are_refused_by_name() {
    let scene = scene();
    let folder = scene.path();
    let arguments = [
        "join",
        "--decoder",
        "runs/sft/model",
        "--tower",
        "runs/sft/model",
        "--out",
        "out",
    ];
    let message = refused(folder, &arguments);
    assert!(
        message.contains("runs/sft/model/config.json") && message.contains("no LLaMA"),
        "{message}"
    );
    assert!(!folder.join("out").exists());
}
