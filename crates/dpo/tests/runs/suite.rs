//! Benchmarks by which a run measures itself.

use candor_testing::pope;

use crate::tiny::{assert_same_stepwise, json_file, lines, prepared, recipe, run};

/// The best weights so far are part of a checkpoint, or those of a run that begins again at every step would be lost.
#[test]
fn a_run_that_measures_itself_ends_in_the_same_bytes_when_it_is_stopped_at_every_step() {
    let folder = prepared();
    let path = folder.path();
    let data = path.join("bench");
    pope::write(&data, |split| {
        let (thing, label) = [("dog", "no"), ("cat", "no"), ("wall", "yes")][split];
        let question = format!("Is there a {thing}?");
        vec![["red.png".to_owned(), question, label.to_owned()]]
    });
    let data = format!("suite.data={:?}", data.display().to_string());
    let sets = [
        "run.steps=6",
        &data,
        "suite.every=3",
        "suite.benchmarks=[\"pope\"]",
        "suite.best=\"pope.accuracy\"",
        "suite.max_new_tokens=6",
    ];
    let whole = recipe(path, "whole", &sets).unwrap();
    let stepwise = recipe(path, "stepwise", &sets).unwrap();
    let files = [
        "metrics.jsonl",
        "result.json",
        "best.json",
        "best/adapter/adapter_model.safetensors",
        "best/adapter/adapter_config.json",
        "suite/step-3/pope/answers/pope_popular.jsonl",
        "suite/step-6/pope/verdicts/pope.jsonl",
    ];
    let runs = [("whole", &whole), ("stepwise", &stepwise)];
    assert_eq!(assert_same_stepwise(path, runs, &files), 6);
    let best = json_file(&path.join("whole/best.json"));
    assert!([3, 6].contains(&best["step"].as_u64().unwrap()), "{best}");
    // What is trained and measured otherwise is what a run without the suite has.
    run(path, "plain", &["run.steps=6"]).unwrap();
    let plain = lines(&path.join("plain/metrics.jsonl"));
    for (mut line, plain) in lines(&path.join("whole/metrics.jsonl"))
        .into_iter()
        .zip(plain)
    {
        let suite = line.as_object_mut().unwrap().remove("suite");
        let step = line["step"].as_u64().unwrap();
        assert_eq!(suite.is_some(), step.is_multiple_of(3), "step {step}");
        assert_eq!(line, plain);
    }
}
