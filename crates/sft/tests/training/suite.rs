//! Benchmarks by which a run measures itself: of a whole model, and what is refused.

use std::fs;
use std::path::Path;

use candor_sft::SftRecipe;
use candor_testing::files::{json, lines};
use candor_testing::pope;

use crate::out;
use crate::tiny::{SFT, prepared, reader, sft};

/// POPE about one of the walls, in the folder `bench`.
fn bench(folder: &Path) {
    let question = ["red.png", "Is the number 3?", "yes"].map(str::to_owned);
    pope::write(&folder.join("bench"), |_| vec![question.clone()]);
}

/// Whatever is answered, and however well, the first of equally good steps is the best: there is one question alone, in
/// three files, whose answer is right or not.
#[test]
fn the_best_whole_model_is_that_of_a_run_that_ends_there() {
    let folder = prepared();
    let path = folder.path();
    bench(path);
    let data = format!("suite.data={:?}", path.join("bench").display().to_string());
    let sets = [
        &*out(path, "measured"),
        &data,
        "suite.every=2",
        "suite.benchmarks=[\"pope\"]",
        "suite.best=\"pope.accuracy\"",
        "suite.max_new_tokens=4",
    ];
    sft(path, &sets).unwrap();
    let run = path.join("measured");
    let measured: Vec<(u64, f64)> = lines(&run.join("metrics.jsonl"))
        .iter()
        .filter_map(|line| {
            let accuracy = line.get("suite")?["pope"]["accuracy"].as_f64()?;
            Some((line["step"].as_u64()?, accuracy))
        })
        .collect();
    let steps: Vec<u64> = measured.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [2, 4, 6]);
    let highest = measured.iter().map(|(_, of)| *of).fold(0.0, f64::max);
    let first = measured.iter().find(|(_, of)| *of >= highest).unwrap();
    let best = json(&run.join("best.json"));
    assert_eq!(best["step"].as_u64(), Some(first.0));
    assert_eq!(best["weights"], "best/model");
    let model = |run: &str| fs::read(path.join(run).join("model.safetensors")).unwrap();
    sft(path, &[&out(path, "plain")]).unwrap();
    assert!(model("measured/model") == model("plain/model"));
    let steps = format!("run.steps={}", first.0);
    sft(path, &[&*out(path, "short"), &steps]).unwrap();
    assert!(model("measured/best/model") == model("short/model"));
    assert_eq!(
        json(&run.join("best/model/template.json")),
        json(&run.join("model/template.json"))
    );
}

#[test]
fn a_recipe_names_what_can_be_measured() {
    let folder = prepared();
    let said = |sets: &[&str]| {
        let all = [&["suite.every=2", "suite.data=\"bench\""], sets].concat();
        let recipe = reader(SFT, folder.path(), &["data.root", "model.base"], &all);
        SftRecipe::read(recipe).unwrap_err().to_string()
    };
    let pope = "suite.benchmarks=[\"pope\"]";
    for (sets, parts) in [
        (
            vec!["suite.benchmarks=[\"popo\"]", "suite.best=\"pope.f1\""],
            ["there is no benchmark \"popo\"", "1 mistake"],
        ),
        (
            vec!["suite.benchmarks=[\"pope\", \"chair\", \"pope\"]"],
            ["\"pope\" is named twice", "1 mistake"],
        ),
        (
            vec![pope, "suite.best=\"amber.chair\""],
            ["suite.benchmarks has no benchmark \"amber\"", "it has pope"],
        ),
        (
            vec![pope, "suite.best=\"pope.yes_ratio\""],
            ["suite.best", "accuracy, precision, recall, f1"],
        ),
        (
            vec![pope, "model.template=\"plain\""],
            ["suite: model.template", "captions alone"],
        ),
        (vec![], ["suite.benchmarks", "missing"]),
    ] {
        let message = said(&sets);
        for part in parts {
            assert!(message.contains(part), "{part} in {message}");
        }
    }
}
