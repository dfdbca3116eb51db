//! Training from answers by themselves, each called good or bad.

use std::fs;
use std::path::Path;

use candor_data::formats::preference;
use candor_recipe::Reader;
use candor_reward::{RewardError, RewardRecipe};
use candor_run::Outcome;
use candor_testing::files::{json, lines};
use candor_testing::run::launch;
use serde_json::json as value;
use tch::Device;

use crate::tiny::{RECIPE, prepared};

/// Both answers of each comparison by themselves, the preferred ones as good.
fn rate(folder: &Path) {
    let mut text = String::new();
    for row in preference::read(&folder.join("preferences.json")).unwrap() {
        for (answer, label) in [(row.chosen(), true), (row.rejected(), false)] {
            let row = value!({
                "id": format!("{}-{label}", row.id),
                "prompt": "What is there?",
                "completion": answer.unwrap(),
                "label": label,
                "image": row.image,
            });
            text.push_str(&row.to_string());
            text.push('\n');
        }
    }
    fs::write(folder.join("rated.jsonl"), text).unwrap();
}

fn recipe(folder: &Path, out: &str, sets: &[&str]) -> Result<RewardRecipe, RewardError> {
    let text = RECIPE
        .replace(
            "preferences = [\"preferences.json\"]",
            "rated = [\"rated.jsonl\"]",
        )
        .replace("centering_coef = 1e-3", "centering_coef = 0.0");
    let paths = [("run.out", out), ("model.base", "base"), ("data.root", "")];
    let sets = candor_testing::run::sets(folder, &paths, sets);
    RewardRecipe::read(Reader::parse("test.toml", &text, &sets))
}

#[test]
fn good_and_bad_answers_are_told_apart_by_the_sign_of_their_score() {
    let folder = prepared();
    let path = folder.path();
    rate(path);
    let recipe = |out: &str, sets: &[&str]| recipe(path, out, sets).unwrap();
    let run = |out: &str, sets: &[&str]| {
        let outcome = candor_reward::run(&recipe(out, sets), &launch(false), Device::Cpu);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        path.join(out)
    };
    let out = run("rated", &["run.steps=64"]);
    let metrics = lines(&out.join("metrics.jsonl"));
    let first = metrics[0]["loss"].as_f64().unwrap();
    // Every score is 0 at first, and every answer as likely good as bad.
    assert!((first - 2_f64.ln()).abs() < 1e-6, "{first}");
    let result = json(&out.join("result.json"));
    assert!(result["accuracy"].as_f64().unwrap() > 0.9, "{result}");
    assert_eq!(result["n_pairs"], 12);
    assert_eq!(result["n_train"], 76);
    assert_eq!(result["n_desirable"], 38);
    assert_eq!(json(&out.join("reward_model.json"))["rated"], true);
    for line in lines(&out.join("held_out.jsonl")) {
        let [score, p] = ["score", "p"].map(|name| line[name].as_f64().unwrap());
        assert!((p - 1.0 / (1.0 + (-score).exp())).abs() < 1e-9, "{line}");
        let is_good = line["answer"].as_str().unwrap().contains("wall");
        assert_eq!(line["label"], is_good, "{line}");
        assert_eq!(
            line["right"],
            (score > 0.0) == is_good && score != 0.0,
            "{line}"
        );
    }
    // How an update is cut into passes changes the last bits alone.
    let losses = |micro_batch: &str| {
        let out = run(
            &format!("by-{micro_batch}"),
            &["run.steps=3", &format!("data.micro_batch={micro_batch}")],
        );
        let metrics = lines(&out.join("metrics.jsonl"));
        let losses = metrics.iter().map(|line| line["loss"].as_f64().unwrap());
        losses.collect::<Vec<f64>>()
    };
    for (one, eight) in losses("1").into_iter().zip(losses("8")) {
        assert!((one - eight).abs() < 1e-5, "{one} {eight}");
    }
}

#[test]
fn what_rated_answers_cannot_teach_is_refused() {
    let folder = prepared();
    let path = folder.path();
    rate(path);
    let mistake = recipe(path, "out", &["loss.centering_coef=0.1"]).unwrap_err();
    let message = mistake.to_string();
    assert!(message.contains("loss.centering_coef"), "{message}");
    let text = fs::read_to_string(path.join("rated.jsonl")).unwrap();
    let good: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\"label\":true"))
        .collect();
    fs::write(path.join("rated.jsonl"), good.join("\n")).unwrap();
    let recipe = recipe(path, "out", &[]).unwrap();
    let error = candor_reward::run(&recipe, &launch(false), Device::Cpu).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("28 are good and 0 bad"), "{message}");
}
