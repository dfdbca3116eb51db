//! `candor chat` and `candor inspect` on a tiny model that was never trained.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use candor_model::{Bundle, Decoding, Dialogue};
use candor_testing::images::paint;
use candor_testing::model::TinyModel;
use serde_json::Value;
use tch::{Device, Kind};

/// A folder with the model in `model` and an image.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let words = "USER: What is in the picture? ASSISTANT: A red bus. Is it moving? No.";
    TinyModel::knowing(words).write(&folder.path().join("model"));
    paint(&folder.path().join("red.png"), [20, 16], [220, 30, 30]);
    folder
}

/// Runs the binary with text on stdin.
fn candor(folder: &Path, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_candor"))
        .current_dir(folder)
        .args(arguments)
        .env("OMP_NUM_THREADS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its stdin may have closed it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the library answers.
fn expected(folder: &Path, images: &[&str], system: Option<&str>, temperature: f64) -> String {
    let bundle = Bundle::open(&folder.join("model"), Device::Cpu, Kind::Float).unwrap();
    let mut dialogue = Dialogue::new(&bundle, None, system).unwrap();
    for image in images {
        dialogue.show(&folder.join(image)).unwrap();
    }
    let decoding = Decoding {
        max_new_tokens: 9,
        temperature,
        top_p: 1.0,
        ends: bundle.tokenizer.ends,
    };
    dialogue
        .ask("Is it moving?", decoding, 5, |_| true)
        .unwrap()
        .text
}

#[test]
fn a_question_is_answered_from_the_arguments_or_from_stdin() {
    let scene = scene();
    let folder = scene.path();
    let plain = ["chat", "model", "--max-new-tokens", "9", "--seed", "5"];
    let with = |more: &[&str], stdin: &str| {
        let arguments: Vec<&str> = plain.iter().chain(more).copied().collect();
        let output = candor(folder, &arguments, stdin);
        stdout(&output).trim_end().to_owned()
    };
    let greedy = expected(folder, &[], None, 0.0);
    assert_eq!(with(&["--prompt", "Is it moving?"], ""), greedy);
    assert_eq!(with(&[], "Is it moving?\n"), greedy);
    let images = [
        "--image",
        "red.png",
        "--image",
        "red.png",
        "--prompt",
        "Is it moving?",
    ];
    assert_eq!(
        with(&images, ""),
        expected(folder, &["red.png", "red.png"], None, 0.0)
    );
    let drawn = [
        "--system",
        "Be brief.",
        "--temperature",
        "1",
        "--prompt",
        "Is it moving?",
    ];
    assert_eq!(
        with(&drawn, ""),
        expected(folder, &[], Some("Be brief."), 1.0)
    );
}

#[test]
fn what_cannot_be_asked_is_said_plainly() {
    let scene = scene();
    let refused: [(&[&str], &str, &str); 6] = [
        (&["model", "--prompt", " "], "", "the question is empty"),
        (&["model"], "", "the question is empty"),
        (
            &["model", "--prompt", "Hi", "--image", "blue.png"],
            "",
            "blue.png",
        ),
        (
            &["model", "--prompt", "Hi", "--temperature=-1"],
            "",
            "--temperature is -1; give 0 or more",
        ),
        (
            &["model", "--prompt", "Hi", "--top-p", "0"],
            "",
            "--top-p is 0",
        ),
        (&["nothing", "--prompt", "Hi"], "", "nothing"),
    ];
    for (arguments, stdin, words) in refused {
        let arguments: Vec<&str> = std::iter::once("chat")
            .chain(arguments.iter().copied())
            .collect();
        let output = candor(scene.path(), &arguments, stdin);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = stderr(&output);
        assert!(
            said.contains(words) && !said.contains("panicked"),
            "{arguments:?}: {said}"
        );
    }
}

#[test]
fn inspecting_says_what_the_folder_holds_for_people_and_for_scripts() {
    let scene = scene();
    let page = stdout(&candor(scene.path(), &["inspect", "model"], ""));
    for words in [
        "LlavaForConditionalGeneration",
        "model.safetensors, 64 tensors",
        "4 tokens an image",
        "3 stands for an image",
        "<s>Be honest. USER: <image>\\nWhat is in the picture? ASSISTANT: A red bus.</s>",
        "The parts fit together.",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let json = stdout(&candor(scene.path(), &["inspect", "model", "--json"], ""));
    let json: Value = serde_json::from_str(&json).unwrap();
    let parts: u64 = json["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["n_parameters"].as_u64().unwrap())
        .sum();
    assert_eq!(json["n_parameters"], parts);
    let tokens = json["example_tokens"].as_array().unwrap();
    assert_eq!(tokens[0]["id"], 1);
    let image = tokens.iter().position(|token| token["id"] == 3).unwrap();
    let place = |token: &Value| token["position"].as_u64().unwrap();
    assert_eq!(place(&tokens[image + 1]) - place(&tokens[image]), 4);
    // The answer and its end are trained on, the question is not.
    let said: Vec<&str> = tokens
        .iter()
        .filter(|t| t["said"] == true)
        .map(|t| t["text"].as_str().unwrap())
        .collect();
    assert_eq!(said.concat().replace(' ', ""), "Aredbus.</s>No.</s>");
}
