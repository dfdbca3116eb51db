//! `candor eval run` as a process: killed and continued, scored, and scored again from its own answers.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use candor_testing::images::paint;
use candor_testing::model::TinyModel;

use serde_json::{Value, json};

/// A folder with the model in `model`, images in `images` and POPE's questions about them.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words = "USER: Is there a bus in the image? ASSISTANT: A red bus. Yes, no.";
    TinyModel::knowing(words).write(&folder.path().join("model"));
    std::fs::create_dir(folder.path().join("images")).unwrap();
    let mut questions = String::new();
    for n in 0..8_u8 {
        paint(
            &folder.path().join(format!("images/{n}.png")),
            [20, 16],
            [30 * n, 30, 30],
        );
        for (k, thing) in ["bus", "dog", "cup", "tree", "red bus"].iter().enumerate() {
            let id = usize::from(n) * 5 + k;
            let label = ["yes", "no"][k % 2];
            writeln!(
                questions,
                r#"{{"question_id":{id},"image":"{n}.png","text":"Is there a {thing} in the image?","label":"{label}"}}"#
            )
            .unwrap();
        }
    }
    std::fs::write(folder.path().join("pope_random.jsonl"), questions).unwrap();
    folder
}

/// The command that asks everything, three questions at a time.
fn command(folder: &Path, out: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_candor"));
    command
        .current_dir(folder)
        .args(["eval", "run", "--benchmark", "pope", "--model", "model"])
        .args(["--questions", "pope_random.jsonl", "--images", "images"])
        .args(["--max-new-tokens", "60", "--batch-rows", "3", "--json"])
        .args(["--out", out])
        .env("OMP_NUM_THREADS", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The results that it printed.
fn stdout(output: &Output) -> Value {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    results["benchmarks"]["pope"].clone()
}

/// The lines that a run wrote, whatever it was called.
fn written(folder: &Path, out: &str) -> Vec<Vec<u8>> {
    let files = [
        "answers.log",
        "answers/pope_random.jsonl",
        "verdicts/pope.jsonl",
    ];
    let read = |file: &str| std::fs::read(folder.join(out).join(file)).unwrap();
    files.into_iter().map(read).collect()
}

#[test]
fn a_killed_run_is_continued_to_the_same_bytes() {
    let folder = scene();
    let whole = stdout(&command(folder.path(), "whole").output().unwrap());
    assert_eq!(whole["n"], json!(40));

    let mut child = command(folder.path(), "killed").spawn().unwrap();
    let log = folder.path().join("killed/answers.log");
    // The head and two batches.
    while std::fs::read_to_string(&log).map_or(0, |text| text.lines().count()) < 3 {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let continued = stdout(&command(folder.path(), "killed").output().unwrap());
    assert_eq!(
        written(folder.path(), "killed"),
        written(folder.path(), "whole")
    );
    assert_eq!(continued["figures"], whole["figures"]);

    // Ranks share out the images, each of which is in two batches.
    let mut shared = command(folder.path(), "shared");
    let shared = stdout(&shared.args(["--ranks", "3"]).output().unwrap());
    assert_eq!(
        written(folder.path(), "shared"),
        written(folder.path(), "whole")
    );
    assert_eq!(shared["figures"], whole["figures"]);

    // Its answers are in the format that any tool's may have.
    let again = Command::new(env!("CARGO_BIN_EXE_candor"))
        .current_dir(folder.path())
        .args(["eval", "score", "--benchmark", "pope", "--json"])
        .args(["--questions", "pope_random.jsonl"])
        .args(["--answers", "whole/answers/pope_random.jsonl"])
        .args(["--out", "again"])
        .output()
        .unwrap();
    assert_eq!(stdout(&again)["figures"], whole["figures"]);
}

#[cfg(unix)]
#[test]
fn a_run_that_a_signal_ended_is_no_success() {
    let folder = scene();
    let signalled = |signal: &str, out: &str| {
        let mut child = command(folder.path(), out).spawn().unwrap();
        let log = folder.path().join(out).join("answers.log");
        while std::fs::read_to_string(&log).map_or(0, |text| text.lines().count()) < 2 {
            assert!(child.try_wait().unwrap().is_none(), "the run has ended");
            std::thread::sleep(Duration::from_millis(1));
        }
        let kill = format!("kill -{signal} {}", child.id());
        Command::new("sh").args(["-c", &kill]).status().unwrap();
        child.wait_with_output().unwrap()
    };
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        // On a busy machine the run may be done before the signal comes; then again.
        let outs = (0..20).map(|attempt| format!("stopped-{signal}-{attempt}"));
        let ended = outs.map(|out| (signalled(signal, &out), out));
        let mut ended = ended.filter(|(output, _)| !output.status.success());
        let (output, out) = ended.next().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(output.stdout.is_empty());
        assert!(!folder.path().join(&out).join("results.json").exists());
    }
}

#[test]
fn a_limit_is_told_and_a_missing_image_is_something_to_mend() {
    let folder = scene();
    let output = command(folder.path(), "some")
        .args(["--limit", "7"])
        .output()
        .unwrap();
    let some = stdout(&output);
    assert_eq!((&some["n"], &some["limit"]), (&json!(7), &json!(7)));

    std::fs::remove_file(folder.path().join("images/1.png")).unwrap();
    let output = command(folder.path(), "none").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        errors.contains("1 of 8 images") && errors.contains("1.png") && errors.contains("\"5\""),
        "{errors}"
    );
}

#[test]
fn a_suite_is_one_page_with_published_numbers_and_its_end_says_what_is_missing() {
    let folder = scene();
    let data = folder.path().join("data");
    for within in ["pope", "coco"] {
        std::fs::create_dir_all(data.join(within)).unwrap();
    }
    std::fs::rename(folder.path().join("images"), data.join("coco/val2014")).unwrap();
    for split in ["random", "popular", "adversarial"] {
        let file = data.join(format!("pope/coco_pope_{split}.jsonl"));
        std::fs::copy(folder.path().join("pope_random.jsonl"), file).unwrap();
    }
    let suite = |json: bool| {
        Command::new(env!("CARGO_BIN_EXE_candor"))
            .current_dir(folder.path())
            .args(["eval", "suite", "model", "again=model", "--suite", "paper"])
            .args(["--data", "data", "--out", "suite", "--limit", "10"])
            .args(["--max-new-tokens", "4", "--best", "pope.accuracy"])
            .args(json.then_some("--json"))
            .env("OMP_NUM_THREADS", "1")
            .output()
            .unwrap()
    };
    let output = suite(true);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let end = &errors[errors
        .find("4 benchmarks were not measured")
        .expect(&errors)..];
    for missing in [
        "MMHal-Bench: put there data/mmhal_bench/response_template.json, data/mmhal_bench/images: ",
        "LLaVA-Bench: put there ",
        "MMBench: put there ",
        "CHAIR: put there data/coco/annotations/instances_val2014.json",
    ] {
        assert!(end.contains(missing), "{missing}\n{end}");
    }
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    let pope = &results["suite"]["tables"][1];
    assert_eq!(pope["benchmark"], "pope");
    let names: Vec<&str> = pope["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["model"].as_str().unwrap())
        .collect();
    assert_eq!(names[..3], ["model", "again", "LLaVA 7B"]);
    // Both are one model, so every difference is none.
    let again = &pope["lines"][1]["cells"][0];
    assert_eq!(again["against_first"]["difference"], json!(0.0));
    assert_eq!(again["n"], json!(30));
    let read =
        |name: &str| std::fs::read_to_string(folder.path().join("suite").join(name)).unwrap();
    assert_eq!(read("results.json").as_bytes(), output.stdout);
    assert!(read("table.tex").contains("LLaVA-RLHF 7B\\textsuperscript{1} & -- & $0.833$"));
    assert!(read("report.html").contains("href=\"#not-measured\""));
    assert!(read("runs/again/pope/results.json").contains("\"limit\": 10"));
    // Of equally good ones the first; it has no adapter to keep.
    let best: Value = serde_json::from_str(&read("best.json")).unwrap();
    assert_eq!(
        (&best["run"], &best["n_runs"]),
        (&json!("model"), &json!(2))
    );
    assert_eq!(best["value"], again["value"]);
    assert!(!folder.path().join("suite/best").exists());
    // Once more as a table: nothing is answered again, or words that no model said would be gone; and what was not measured
    // stands in it.
    let before = read("runs/model/pope/answers.log");
    let before = before.replacen("\"text\":\"", "\"text\":\"Yes, kept. ", 1);
    std::fs::write(
        folder.path().join("suite/runs/model/pope/answers.log"),
        &before,
    )
    .unwrap();
    let table = suite(false);
    let shown = String::from_utf8(table.stdout).unwrap();
    for expected in [
        "not measured: CHAIR: put there",
        "WARNING: model, POPE: asked the first 10 questions of each file",
        "WARNING: again, POPE: asked the first 10 questions of each file",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    assert_eq!(read("runs/model/pope/answers.log"), before);
    assert!(read("runs/model/pope/verdicts/pope.jsonl").contains("Yes, kept."));
    // One at a time in a folder.
    let held = candor_run::lock(&folder.path().join("suite")).unwrap();
    let refused = suite(false);
    assert_eq!(refused.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(errors.contains("suite is in use by process"), "{errors}");
    drop(held);
}

#[test]
fn an_adapter_without_weights_is_named_before_a_suite_asks_anything() {
    let folder = scene();
    let half = folder.path().join("half");
    std::fs::create_dir(&half).unwrap();
    let config =
        json!({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"]});
    std::fs::write(half.join("adapter_config.json"), config.to_string()).unwrap();
    let is_named = |adapter: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_candor"))
            .current_dir(folder.path())
            .args(["eval", "suite", "model", &format!("model+{adapter}")])
            .args(["--suite", "paper", "--data", "images", "--out", "suite"])
            .env("OMP_NUM_THREADS", "1")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_named = errors.contains(adapter) && errors.contains("adapter_model.safetensors");
        assert!(is_named, "{errors}");
    };
    is_named("half");
    // The best one of an earlier command, which was killed after it had set it aside, is looked at in its place.
    std::fs::rename(&half, folder.path().join("suite/best.before")).unwrap();
    is_named("suite/best");
}
