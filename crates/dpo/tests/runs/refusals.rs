//! What a run refuses, and in which words.

use std::fs;

use candor_data::formats::preference;
use tch::Device;

use crate::tiny::{launch, prepared, recipe, recipe_of, run, without};

/// The message of a run that must fail.
fn refusal(folder: &std::path::Path, out: &str, sets: &[&str]) -> String {
    run(folder, out, sets).unwrap_err().to_string()
}

fn contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn a_recipe_says_all_that_is_wrong_with_its_objective() {
    let folder = prepared();
    let sets = [
        "dpo.beta=0.0",
        "dpo.label_smoothing=0.5",
        "dpo.logprob=\"median\"",
        "dpo.gamma=1.0",
        "dpo.changed_weight=-1.0",
    ];
    let message = recipe(folder.path(), "dpo", &sets).unwrap_err().to_string();
    contains(
        &message,
        &[
            "dpo.beta",
            "dpo.label_smoothing",
            "\"median\"",
            "dpo.gamma",
            "dpo.changed_weight",
        ],
    );
    // What another loss has is not taken in silence.
    let text = without(&["label_smoothing", "logprob"]);
    let sets = ["dpo.loss=\"orpo\"", "dpo.anchor=0.0"];
    let message = recipe_of(&text, folder.path(), "dpo", &sets)
        .unwrap_err()
        .to_string();
    contains(&message, &["dpo.anchor"]);
}

#[test]
fn a_packed_base_is_not_trained() {
    let folder = prepared();
    let sets = [
        "model.tune=\"all_but_tower\"",
        "model.base_precision=\"nf4\"",
    ];
    let message = recipe_of(&without(&["lora"]), folder.path(), "dpo", &sets)
        .unwrap_err()
        .to_string();
    contains(&message, &["model.base_precision", "tune = \"lora\""]);
}

#[test]
fn an_answer_that_is_too_long_is_named_with_its_field() {
    let folder = prepared();
    let path = folder.path();
    let file = path.join("preferences.json");
    let mut rows = preference::read(&file).unwrap();
    rows[3].outputs[0] = "There is a dog. ".repeat(30);
    preference::write(&file, &rows).unwrap();
    let message = refusal(path, "dpo", &[]);
    contains(
        &message,
        &[
            "preferences.json",
            "row 3",
            "output_1",
            "with its context",
            "data.max_tokens",
        ],
    );
    run(path, "dpo", &["data.on_bad_row=\"skip\"", "run.steps=1"]).unwrap();
    let result = crate::tiny::json_file(&path.join("dpo/result.json"));
    assert_eq!(result["n_skipped"], 1, "{result}");
}

#[test]
fn kto_needs_another_prompt() {
    let folder = prepared();
    let path = folder.path();
    let file = path.join("preferences.json");
    let mut rows = preference::read(&file).unwrap();
    for row in &mut rows {
        row.image = None;
        row.turns[0].value = "What is there?".to_owned();
    }
    preference::write(&file, &rows).unwrap();
    let sets = [
        "dpo.loss=\"kto\"",
        "dpo.desirable_weight=1.0",
        "dpo.undesirable_weight=1.0",
    ];
    let recipe = recipe_of(&without(&["label_smoothing"]), path, "dpo", &sets).unwrap();
    let message = candor_dpo::run(&recipe, &launch(false), Device::Cpu)
        .unwrap_err()
        .to_string();
    contains(&message, &["answers to other prompts", "use another loss"]);
}

#[test]
fn a_reference_of_something_else_is_refused_on_resume() {
    let folder = prepared();
    let path = folder.path();
    let recipe = recipe(path, "dpo", &[]).unwrap();
    let stopped = launch(false);
    stopped.stop.request();
    candor_dpo::run(&recipe, &stopped, Device::Cpu).unwrap();
    let file = path.join("dpo/reference.json");
    let text = fs::read_to_string(&file).unwrap();
    let resume = || {
        candor_dpo::run(&recipe, &launch(true), Device::Cpu)
            .unwrap_err()
            .to_string()
    };
    fs::write(
        &file,
        text.replacen("fingerprint\":\"", "fingerprint\":\"0", 1),
    )
    .unwrap();
    contains(
        &resume(),
        &["reference.json", "other comparisons", "delete the file"],
    );
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    contains(&resume(), &["reference.json", "damaged", "delete the file"]);
}
