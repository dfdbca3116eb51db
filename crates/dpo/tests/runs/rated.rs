//! KTO from answers by themselves, each with a label.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candor_data::formats::preference;
use candor_data::preference::{Side, Verdict};
use candor_dpo::{DpoError, DpoRecipe};
use candor_run::Outcome;
use serde_json::{Value, json};
use tch::Device;

use crate::tiny::{
    assert_same_stepwise, column, json_file, launch, lines, prepared, recipe_of, run, without,
};

const BETA: f64 = 0.5;
const KTO: [&str; 3] = [
    "dpo.loss=\"kto\"",
    "dpo.desirable_weight=1.0",
    "dpo.undesirable_weight=1.5",
];

/// The answers of the comparisons as rows of TRL's, good and bad beside each other.
fn write_rated(folder: &Path, keep: impl Fn(bool) -> bool) {
    let mut text = String::new();
    for row in preference::read(&folder.join("preferences.json")).unwrap() {
        for (side, answer) in [Verdict::First, Verdict::Second]
            .into_iter()
            .zip(&row.outputs)
        {
            let label = row.fewer_hallucinations == side;
            let row = json!({"prompt": "What is there?", "images": [row.image], "completion": answer, "label": label});
            if keep(label) {
                text.push_str(&row.to_string());
                text.push('\n');
            }
        }
    }
    fs::write(folder.join("rated.jsonl"), text).unwrap();
}

/// KTO on the rated answers: as many images are held out as where they are compared.
fn rated(folder: &Path, out: &str, sets: &[&str]) -> Result<DpoRecipe, DpoError> {
    let text = without(&["label_smoothing", "preferences"]);
    let data = [
        "data.rated=[\"rated.jsonl\"]",
        "data.n_validation=16",
        "data.n_held_out=24",
    ];
    recipe_of(&text, folder, out, &[&KTO, &data, sets].concat())
}

fn number(line: &Value, field: &str) -> f64 {
    line[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} of {line}"))
}

#[test]
fn labels_are_learned_and_the_figures_are_those_of_the_formula() {
    let folder = prepared();
    let path = folder.path();
    write_rated(path, |_| true);
    let recipe = rated(path, "kto", &["run.steps=24"]).unwrap();
    assert_eq!(
        candor_dpo::run(&recipe, &launch(false), Device::Cpu).unwrap(),
        Outcome::Finished
    );
    let out = path.join("kto");
    let losses = column(&out, "loss");
    assert!(losses[23] < losses[0] - 0.1, "{losses:?}");
    // The adapter is fresh, so that the policy is the reference: 1 − σ(0) times the weights of the answers, 8 of them.
    let in_32nds = losses[0] * 32.0;
    assert!((in_32nds - in_32nds.round()).abs() < 1e-4, "{losses:?}");
    assert!((0.5..=0.75).contains(&losses[0]), "{losses:?}");

    let result = json_file(&out.join("result.json"));
    let counts = ["n_pairs", "n_validation", "n_train", "n_desirable"].map(|n| result[n].as_u64());
    assert_eq!(counts, [24, 16, 56, 28].map(Some));
    let held_out = lines(&out.join("held_out.jsonl"));
    let z = number(&result, "divergence");
    let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (mut loss, mut rewards) = (0.0, [Vec::new(), Vec::new()]);
    for line in &held_out {
        let reward = number(line, "reward");
        let label = line["label"].as_bool().unwrap();
        assert_eq!(label, line["answer"].as_str().unwrap().contains("wall"));
        loss += if label {
            1.0 - sigma(reward - BETA * z)
        } else {
            1.5 * (1.0 - sigma(BETA * z - reward))
        };
        rewards[usize::from(label)].push(reward);
    }
    assert!(
        (number(&result, "loss") - loss / 24.0).abs() < 1e-9,
        "{result}"
    );
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let [bad, good] = rewards;
    assert!((number(&result, "margin") - (mean(&good) - mean(&bad))).abs() < 1e-9);
    let won = good.iter().flat_map(|g| bad.iter().map(move |b| g > b));
    let accuracy = won.filter(|won| *won).count() as f64 / (good.len() * bad.len()) as f64;
    assert!((number(&result, "accuracy") - accuracy).abs() < 1e-9);
    assert!(accuracy > 0.9, "{result}");
}

#[test]
fn a_blank_answer_is_refused_where_it_is_the_good_one() {
    let folder = prepared();
    let path = folder.path();
    write_rated(path, |_| true);
    let file = path.join("rated.jsonl");
    let blank = json!({"prompt": "What is there?", "completion": " ", "label": true});
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{blank}\n")).unwrap();
    let recipe = rated(path, "rated", &[]).unwrap();
    let message_of_rated = candor_dpo::run(&recipe, &launch(false), Device::Cpu)
        .unwrap_err()
        .to_string();

    let file = path.join("preferences.json");
    let rows = preference::read(&file).unwrap();
    let better = rows[3].preferred().unwrap();
    let blank = |side: Side| {
        let mut rows = rows.clone();
        rows[3].outputs[side.index()].clear();
        preference::write(&file, &rows).unwrap();
    };
    blank(better);
    let message = run(path, "dpo", &[]).unwrap_err().to_string();
    let field = format!("`output_{}`", better.index() + 1);
    for (message, field) in [(message_of_rated, "`completion`"), (message, &field)] {
        for part in [field, "the better answer is blank"] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }
    // From the other it is learned not to be silent.
    blank(better.other());
    run(path, "dpo", &["run.steps=1"]).unwrap();
}

/// An answer by itself has the log-probability that it has beside another.
#[test]
fn the_reference_says_of_an_answer_what_it_says_of_one_of_a_comparison() {
    let folder = prepared();
    let path = folder.path();
    write_rated(path, |_| true);
    run(path, "pairs", &["run.steps=1"]).unwrap();
    let recipe = rated(path, "rated", &["run.steps=1"]).unwrap();
    candor_dpo::run(&recipe, &launch(false), Device::Cpu).unwrap();
    let key = |line: &Value, answer: &str| format!("{} {}", line["image"], line[answer]);
    let before = |line: &Value, logprob: &str, reward: &str| {
        number(line, logprob) - number(line, reward) / BETA
    };
    let mut of_pairs = BTreeMap::new();
    for line in lines(&path.join("pairs/held_out.jsonl")) {
        for side in ["chosen", "rejected"] {
            let [logprob, reward] = ["logprob", "reward"].map(|what| format!("{side}_{what}"));
            of_pairs.insert(key(&line, side), before(&line, &logprob, &reward));
        }
    }
    let rated = lines(&path.join("rated/held_out.jsonl"));
    assert_eq!((rated.len(), of_pairs.len()), (24, 24));
    for line in rated {
        let (found, expected) = (
            before(&line, "logprob", "reward"),
            of_pairs[&key(&line, "answer")],
        );
        assert!((found - expected).abs() < 1e-4, "{line}: {expected}");
    }
}

#[test]
fn a_stopped_run_on_rated_answers_ends_in_the_same_bytes() {
    let folder = prepared();
    let path = folder.path();
    write_rated(path, |_| true);
    let sets = ["run.steps=4", "data.micro_batch=4", "dpo.sft_weight=0.1"];
    let whole = rated(path, "whole", &sets).unwrap();
    let broken = rated(path, "broken", &sets).unwrap();
    let files = [
        "metrics.jsonl",
        "result.json",
        "reference.json",
        "held_out.jsonl",
        "adapter/adapter_model.safetensors",
    ];
    assert_same_stepwise(path, [("whole", &whole), ("broken", &broken)], &files);
}

#[test]
fn answers_of_one_kind_and_losses_of_two_answers_are_refused() {
    let folder = prepared();
    let path = folder.path();
    for kind in [true, false] {
        write_rated(path, |label| label == kind);
        let recipe = rated(path, "kto", &["data.n_validation=8", "data.n_held_out=12"]).unwrap();
        let message = candor_dpo::run(&recipe, &launch(false), Device::Cpu)
            .unwrap_err()
            .to_string();
        let expected = format!(
            "all 28 answers that are trained on, of 48 that are read, have the label {kind}"
        );
        assert!(message.contains("rated.jsonl"), "{message}");
        assert!(message.contains(&expected), "{message}");
    }
    let data = ["data.rated=[\"rated.jsonl\"]"];
    let said = |text: &str, sets: &[&str]| {
        recipe_of(text, path, "kto", &[&data, sets].concat())
            .unwrap_err()
            .to_string()
    };
    let message = said(
        &without(&["preferences"]),
        &["dpo.common_beginning=\"left_out\""],
    );
    for part in ["data.rated", "dpo.loss = \"kto\"", "dpo.common_beginning"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let message = said(&without(&["label_smoothing"]), &KTO);
    assert!(
        message.contains("both of `preferences` and `rated`"),
        "{message}"
    );
}
