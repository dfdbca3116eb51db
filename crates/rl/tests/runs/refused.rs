//! What stops a run, and what it says then.

use std::fs;
use std::path::Path;

use candor_data::formats::captions;
use candor_reward::Judged;
use candor_rl::models::Models;
use candor_rl::run;
use candor_run::Outcome;
use candor_testing::files::lines;
use candor_testing::run::launch;
use serde_json::Value;
use tch::Device;

use crate::fixture::{
    answered, bundle, facts, finished, prepared, prompts, recipe, shown, try_run,
};
use crate::resume::assert_same;

fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn a_policy_gone_astray_stops_with_its_samples() {
    let dir = prepared();
    let stopped =
        |out: &str, sets: &[&str]| try_run(dir.path(), out, sets).unwrap_err().to_string();
    let message = stopped("kl", &["guard.max_kl=0.001"]);
    assert_says(
        &message,
        &[
            "step 2",
            "nats",
            "guard.max_kl = 0.001",
            "kl.coef",
            "step-2.jsonl",
        ],
    );
    let samples = lines(&dir.path().join("kl/samples/step-2.jsonl"));
    assert_says(&message, &[samples[0]["id"].as_str().unwrap()]);
    // Step 1 was learned from and is on record; step 2 was not.
    assert_eq!(lines(&dir.path().join("kl/metrics.jsonl")).len(), 1);

    let message = stopped("short", &["guard.min_response_tokens=7.9"]);
    assert_says(
        &message,
        &["step 1", "min_response_tokens = 7.9", "length_penalty"],
    );

    let message = stopped("cut", &["sampling.max_new_tokens=2"]);
    assert_says(
        &message,
        &["step 1", "not one response ended", "max_new_tokens"],
    );
    assert!(dir.path().join("cut/samples/step-1.jsonl").exists());
}

/// The guard looks at a step before it is learned from: with another one the run goes on as if it had had that from the start.
#[test]
fn a_run_that_the_guard_stopped_goes_on_with_another_guard() {
    let dir = prepared();
    finished(dir.path(), "whole", &["guard.max_kl=100.0"]);
    let message = try_run(dir.path(), "broken", &["guard.max_kl=0.001"]).unwrap_err();
    let parts = ["step 2", "the steps before it are kept", "--resume"];
    assert_says(&message.to_string(), &parts);
    let out = dir.path().join("broken");
    assert_eq!(lines(&out.join("metrics.jsonl")).len(), 1);
    let again = recipe(dir.path(), "broken", &["guard.max_kl=100.0"]);
    let outcome = run(&again, &launch(true), Device::Cpu).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    let notes = out.join("resumed.jsonl");
    let note = &lines(&notes)[0];
    assert_eq!(note["step"], 1);
    assert_eq!(note["changes"]["guard.max_kl"]["to"], 100.0);
    fs::remove_file(notes).unwrap();
    assert_same(&dir.path().join("whole"), &out);
}

#[test]
fn a_loss_that_is_not_a_number_stops_before_the_weights_change() {
    let dir = prepared();
    // The first update makes logits infinite, the second finds that out.
    let message = try_run(dir.path(), "nan", &["optimizer.learning_rate=1e30"]).unwrap_err();
    assert_says(&message.to_string(), &["step 1", "loss", "red-"]);
}

#[test]
fn parts_that_do_not_fit_are_refused_before_the_run_begins() {
    let dir = prepared();
    let data = dir.path().join("data");
    let refused = |sets: &[&str]| {
        let message = try_run(dir.path(), "out", sets).unwrap_err().to_string();
        assert!(!dir.path().join("out/resolved.toml").exists());
        message
    };
    let message = refused(&["sampling.max_new_tokens=120"]);
    assert_says(&message, &["128 positions", "max_new_tokens"]);
    let message = refused(&["data.max_query_tokens=3"]);
    assert_says(
        &message,
        &["prompts.json", "all 12 prompts", "max_query_tokens"],
    );
    let message = refused(&["data.facts=\"nowhere.json\""]);
    assert_says(&message, &["nowhere.json"]);

    let message = refused(&["model.policy_init=\"none\""]);
    assert_says(&message, &["none/adapter_config.json"]);

    let mut book = facts();
    book.entry("green.png").rationale.clear();
    captions::write(&data.join("facts.json"), &book).unwrap();
    assert_says(
        &refused(&[]),
        &["facts.json", "green-3", "caption_type 3", "aok_"],
    );
}

/// Answers have 8 tokens at most, and this reward prompt does not repeat them: what is around the longest prompt, and 8 more, are room
/// enough, and one token less is not.
#[test]
fn prompts_whose_longest_answer_the_reward_model_cannot_read_are_refused_before_the_run() {
    let dir = prepared();
    let models = Models::open(&recipe(dir.path(), "out", &[]), Device::Cpu).unwrap();
    let wording = &models.reward.as_ref().unwrap().wording;
    let rules = models.judge_base().rules(128, Path::new(""));
    let around: Vec<usize> = prompts()
        .iter()
        .map(|prompt| {
            let item = Judged {
                id: "x",
                conversation: &answered(prompt, ""),
                facts: &shown(prompt),
            };
            wording.put(item, "x", rules).unwrap().ids.len()
        })
        .collect();
    let longest = around.iter().copied().max().unwrap();
    let file = dir.path().join("reward/reward_model.json");
    let trained_on = |max_tokens: usize| {
        let mut written: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        written["max_tokens"] = max_tokens.into();
        fs::write(&file, written.to_string()).unwrap();
    };
    trained_on(longest + 8);
    try_run(dir.path(), "fits", &["run.steps=1"]).expect("every answer fits");

    trained_on(longest + 7);
    let message = try_run(dir.path(), "out", &[]).unwrap_err().to_string();
    let (all, reads) = (prompts(), format!("reads {longest} tokens of prompt"));
    let limit = format!("more than the {} that it was trained on", longest + 7);
    let refused = all.iter().zip(&around).filter(|(_, n)| **n == longest);
    let ids: Vec<&str> = refused
        .map(|(row, _)| row.conversation.id.as_str())
        .collect();
    let parts = [reads.as_str(), "sampling.max_new_tokens = 8", &limit];
    assert_says(&message, &[&parts, &ids[..]].concat());
    assert!(!dir.path().join("out/resolved.toml").exists());

    let sets = ["data.on_bad_row=\"skip\"", "run.steps=1"];
    try_run(dir.path(), "skips", &sets).expect("the others are asked");
    let result = fs::read_to_string(dir.path().join("skips/result.json")).unwrap();
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["n_prompts"], all.len() - ids.len());
    assert_eq!(result["skipped"]["too_long"], ids.len());
}

#[test]
fn a_damaged_image_is_named_with_all_prompts_that_show_it() {
    let dir = prepared();
    let image = dir.path().join("data/green.png");
    let whole = fs::read(&image).unwrap();
    fs::write(&image, &whole[..whole.len() / 2]).unwrap();
    let message = try_run(dir.path(), "half", &[]).unwrap_err().to_string();
    let parts = [
        "4 rows cannot be used (4 unreadable_image):",
        "prompts.json: row 4 (id \"green-1\"), field `image`: ",
        "prompts.json: row 5 (id \"green-7\"), field `image`: ",
        "prompts.json: row 6 (id \"green-6\"), field `image`: ",
        "prompts.json: row 7 (id \"green-3\"), field `image`: ",
        "\ndata.on_bad_row = \"skip\" leaves such rows out",
    ];
    assert_says(&message, &parts);
}

/// As of a reward model that was hardly trained: all its scores are one.
#[test]
fn scores_without_a_spread_are_not_divided_by_it() {
    let dir = prepared();
    let file = dir.path().join("reward/reward_model.json");
    let mut written: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    written["score_std"] = 0.0.into();
    fs::write(&file, written.to_string()).unwrap();
    let message = try_run(dir.path(), "held", &["score.normalise=\"held_out\""]).unwrap_err();
    let parts = ["spread 0", "score.normalise = \"none\""];
    assert_says(&message.to_string(), &parts);
    let run = try_run(dir.path(), "none", &["score.normalise=\"none\""]);
    run.expect("raw scores need no spread");
}

/// What such a model says of a sentence is no label.
#[test]
fn segments_are_not_paid_by_a_reward_model_of_comparisons() {
    let dir = prepared();
    let sets = [
        "score.position=\"segments\"",
        "score.normalise=\"none\"",
        "run.steps=1",
    ];
    let message = try_run(dir.path(), "refused", &sets).unwrap_err();
    let parts = ["trained on comparisons", "data.rated", "\"sentences\""];
    assert_says(&message.to_string(), &parts);
    let folder = dir.path().join("reward").display().to_string();
    let term = format!(
        "rewards=[{{ name = \"objects\", kind = \"segments\", weight = 1.0, reward = {folder:?} }}]"
    );
    let message = try_run(dir.path(), "term", &[term.as_str(), "run.steps=1"]).unwrap_err();
    let parts = ["trained on comparisons", "data.rated", "\"objects\""];
    assert_says(&message.to_string(), &parts);
    let file = dir.path().join("reward/reward_model.json");
    let mut written: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    written["rated"] = true.into();
    fs::write(&file, written.to_string()).unwrap();
    let run = try_run(dir.path(), "paid", &sets);
    run.expect("a reward model of rated answers labels sentences");
}

#[test]
fn bases_of_two_families_are_refused() {
    let dir = prepared();
    let mut other = bundle(2);
    let words = "quite another family of words and tokens ".repeat(9);
    other.tokenizer = candor_model::Tokenizer::train([words].into_iter(), 300).unwrap();
    let own = dir.path().join("own-model");
    other.save(&own).unwrap();
    let path = dir.path().join("reward/reward_model.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["base"]["folder"] = own.display().to_string().into();
    fs::write(&path, json.to_string()).unwrap();
    let message = try_run(dir.path(), "out", &[]).unwrap_err().to_string();
    assert_says(
        &message,
        &[
            "own-model/tokenizer.json",
            "another tokenizer",
            "one family",
            "model.critic = \"policy\"",
        ],
    );
}
