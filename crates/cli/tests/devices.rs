//! Choosing a device from the command line, and `candor doctor`, on a machine with a GPU or without one.

use std::path::Path;
use std::process::{Command, Output};

use candor_testing::model::TinyModel;
use serde_json::Value;

fn candor(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_candor"))
        .current_dir(folder)
        .env_remove("CANDOR_FEATURES")
        .args(arguments)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .expect("the binary starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn chat(folder: &Path, device: &str) -> Output {
    let arguments = [
        "chat",
        "model",
        "--prompt",
        "What is it?",
        "--device",
        device,
    ];
    candor(
        folder,
        &[&arguments[..], &["--max-new-tokens", "2"]].concat(),
    )
}

#[test]
fn a_device_is_taken_as_asked_for_or_missed_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    TinyModel::knowing("USER: What is it? ASSISTANT: A red bus.")
        .write(&folder.path().join("model"));
    let taken = chat(folder.path(), "cpu");
    assert!(taken.status.success(), "{}", stderr(&taken));
    assert!(
        stderr(&taken).starts_with("device: cpu (as asked for)\n"),
        "{}",
        stderr(&taken)
    );
    // No machine has a hundred.
    let missed = chat(folder.path(), "cuda:99");
    assert_eq!(missed.status.code(), Some(2));
    let message = stderr(&missed);
    assert!(
        message.contains("cuda:99 is not there: ") && message.contains("--device cpu"),
        "{message}"
    );
    let misspelt = chat(folder.path(), "gpu");
    assert_eq!(misspelt.status.code(), Some(2));
    assert!(
        stderr(&misspelt).contains("\"gpu\" is no device"),
        "{}",
        stderr(&misspelt)
    );
}

#[test]
fn a_recipes_device_is_replaced_by_the_commands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dry = |more: &[&str]| {
        let all = [&["sft", "recipes/demo/1-sft.toml", "--dry-run"], more].concat();
        let output = candor(&root, &all);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!dry(&[]).contains("device"));
    let set = ["--set", "run.device=cuda:1"];
    assert!(dry(&set).contains("device = \"cuda:1\""));
    let both = dry(&[&set[..], &["--device", "cpu"]].concat());
    assert!(both.contains("device = \"cpu\""), "{both}");
}

#[test]
fn the_doctor_says_what_there_is() {
    let output = candor(Path::new("."), &["doctor", "--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        found["libtorch"]["version"]
            .as_str()
            .unwrap()
            .starts_with("2.11.")
    );
    assert_eq!(found["cpu"]["threads"], 1);
    let folders = found["folders"].as_array().unwrap().iter();
    let folders: Vec<&Value> = folders.map(|folder| &folder["what"]).collect();
    assert_eq!(folders, ["libtorch and tools", "models", "image features"]);
    let is_whole = found["broken"].as_array().unwrap().is_empty();
    assert_eq!(output.status.code(), Some(if is_whole { 0 } else { 2 }));
    // Either there is a device or the reason why there is none.
    let has_device = !found["devices"].as_array().unwrap().is_empty();
    assert_eq!(found["no_cuda"].is_null(), has_device);
}

/// `scripts/gpu-check` on the CPU, which is the only way that it is run where there is no GPU: every stage runs twice, and
/// a CPU is equal to itself in every figure.
#[test]
fn the_check_of_a_gpu_runs_from_end_to_end() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/gpu-check");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("check");
    let check = |out: &Path| {
        Command::new("python3")
            .arg(script)
            .args([
                "--device",
                "cpu",
                "--no-peers",
                "--candor",
                env!("CARGO_BIN_EXE_candor"),
                "--out",
            ])
            .arg(out)
            .env("OMP_NUM_THREADS", "1")
            .output()
    };
    let Ok(output) = check(&out) else {
        eprintln!("skipped: there is no python3");
        return;
    };
    assert!(output.status.success(), "{}", stderr(&output));
    let report = std::fs::read(out.join("gpu-check.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["device"], "cpu");
    assert_eq!(report["is_a_test_of_the_script"], true);
    assert_eq!(report["holds"], true);
    let rows = report["rows"].as_array().unwrap();
    let differs = |row: &&Value| row["difference"].as_f64() != Some(0.0);
    assert_eq!(rows.iter().find(differs), None);
    // An answer, samples, three steps of five stages, and of rl the responses' share and two lines a step.
    assert_eq!(rows.len(), 2 + 5 * 3 + 1 + 3 * 2, "{report:#}");

    // How fast it is, of a small model, with what each phase asks of the device; there is nothing beside it.
    let speed = &report["speed"];
    assert_eq!(speed["notes"], serde_json::json!([]), "{speed:#}");
    // Four blocks of a decoder 96 wide: four products with 96 rows, three with 288.
    assert_eq!(
        speed["model"]["decoder_weights"],
        4 * (4 * 96 * 96 + 3 * 96 * 288)
    );
    let measured = speed["rows"].as_object().unwrap();
    let parts = [
        "ppo",
        "reference",
        "rollout",
        "score",
        "sft",
        "update",
        "values",
    ];
    for part in parts {
        let said = &measured[part]["candor"];
        for number in ["secs", "tokens_per_sec", "kernels"] {
            assert!(
                said[number].as_f64() > Some(0.0),
                "{part}, {number}: {said}"
            );
        }
        // A CPU has neither, and the peers were not asked.
        assert_eq!(
            (&said["waits"], said.get("peak_bytes")),
            (&Value::from(0), None)
        );
        assert_eq!(measured[part].as_object().unwrap().len(), 1);
    }
    assert_eq!(
        measured.len(),
        parts.len() + 1,
        "sampling, which counts nothing"
    );

    // Nothing but a check is ever deleted.
    let refused = check(folder.path()).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("holds something else than a check"));
    assert!(out.join("gpu-check.json").exists());
}

/// What becomes of failures, with programs that stand for candor, for a Python without end and for a peer that is killed.
const FAILURES: &str = r##"
import argparse, importlib.machinery, importlib.util, pathlib, sys, types
scripts, out = map(pathlib.Path, sys.argv[1:])
sys.dont_write_bytecode = True
sys.path.insert(0, str(scripts))
import gpu_speed
loader = importlib.machinery.SourceFileLoader("gpu_check", str(scripts / "gpu-check"))
gpu_check = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_check", loader))
loader.exec_module(gpu_check)

def program(name, text):
    path = out / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path

def check(candor, minutes):
    given = {"device": "cuda", "out": out / "check", "no_peers": True, "peer_python": None}
    return gpu_check.Check(argparse.Namespace(candor=candor, minutes=minutes, **given))

# A Python that is not there, and one that hangs.
slow = program("slow", "exec sleep 20")
assert "does not start" in gpu_speed.lacking(out / "none")
assert "in time" in gpu_speed.lacking(slow, 0.2)

# What a peer said before it was killed counts, and is of what it was asked and not of the line's place.
speed = gpu_speed.Speed(types.SimpleNamespace(device="cpu", out=out))
speed.out.mkdir()
answer = '{"asked": "products", "operations_per_sec": 7.0}'
killed = program("killed", f"echo a warning\necho 8\necho '{answer}'\nprintf '{{\"asked\": \"sft 3'\nkill -9 $$")
speed.peer(killed, "plain", ("sft 3", "products"), None)
assert speed.rate == 7.0 and speed.rows == {}, speed.rows
assert len(speed.notes) == 1 and speed.notes[0].startswith("plain ended with -9"), speed.notes

# Time that is up is not the device's failure; another end is.
late = check(slow, 0)
try:
    late.both("rl", "device", ("rl",), {})
    raise AssertionError("it went on")
except gpu_check.TimeUp:
    assert late.rows == [], late.rows
failing = check(program("failing", "exit 3"), 1)
assert failing.both("rl", "device", ("rl",), {}) is None
assert "ended with 3" in failing.rows[0]["error"]

# Why transformers gave no answer.
failing.python = program("mute", "echo RuntimeError: no such GPU >&2")
failing.beside_transformers("x.png", {"logprobs": []}, {})
assert "no such GPU" in failing.rows[1]["note"], failing.rows

# Peers are asked though a stage of candor's failed, which is said in the end.
class Speed(gpu_speed.Speed):
    def candor(self):
        raise gpu_check.Failed("a stage")
    def peers(self, python):
        self.rows["peers"] = {}

gpu_check.Speed = Speed
failing.out.mkdir()
try:
    failing.measure()
    raise AssertionError("nothing is said")
except gpu_check.Failed as error:
    assert str(error) == "a stage"
assert failing.speed["rows"] == {"peers": {}} and failing.speed["notes"] == ["a stage"], failing.speed
"##;

#[test]
fn the_check_of_a_gpu_says_what_failed() {
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts");
    let folder = tempfile::tempdir().unwrap();
    let mut python = Command::new("python3");
    let python = python.args(["-c", FAILURES, scripts]).arg(folder.path());
    let Ok(output) = python.output() else {
        eprintln!("skipped: there is no python3");
        return;
    };
    assert!(output.status.success(), "{}", stderr(&output));
}
