//! A folder with images, prompts and a tiny untrained model, and runs in it.

use std::fs;
use std::path::Path;

use candor_data::formats::candidates::{self, Candidate};
use candor_data::formats::llava;
use candor_data::{Conversation, Turn};
use candor_model::{Bundle, Template};
use candor_recipe::Reader;
use candor_run::Outcome;
use candor_sample::{SampleRecipe, run};
use candor_testing::images::{COLOURS, walls};
use candor_testing::model::TinyModel;
use candor_testing::run::launch;
use tch::Device;
use tempfile::TempDir;

pub const RECIPE: &str = r#"
seed = 3
[run]
out = "out"
chunk = 3
[model]
base = "model"
[data]
root = "data"
images = "."
prompts = "prompts.json"
[sampling]
temperature = 0.7
top_p = 1.0
max_new_tokens = 6
batch_rows = 4
"#;

/// Seven prompts: of one turn, of three, without an answer, without an image; one id is there twice.
pub fn prompts() -> Vec<Conversation> {
    let mut rows: Vec<Conversation> = COLOURS[..3]
        .iter()
        .cycle()
        .take(6)
        .enumerate()
        .map(|(i, (colour, _))| Conversation {
            id: format!("row-{}", i % 5),
            image: Some(format!("{colour}.png")),
            turns: vec![
                Turn::human("<image>\nWhat color is the wall?"),
                Turn::gpt(format!("It is {colour}.")),
            ],
        })
        .collect();
    rows[1].turns.push(Turn::human("Is it a large wall?"));
    rows[1].turns.push(Turn::gpt("Yes, it is."));
    rows[2].turns.pop();
    rows.push(Conversation {
        id: "text".into(),
        image: None,
        turns: vec![Turn::human("What is a wall?"), Turn::gpt("A side.")],
    });
    rows
}

/// A folder with images, prompts and a model.
pub fn prepared() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    walls(&data);
    llava::write(&data.join("prompts.json"), &prompts()).unwrap();
    model(1).save(&dir.path().join("model")).unwrap();
    dir
}

pub fn model(seed: u64) -> Bundle {
    let template = Template::VicunaV1 {
        system: String::new(),
    };
    let text = |row| template.render(&row).unwrap().text;
    TinyModel {
        texts: prompts().into_iter().map(text).collect(),
        max_vocab: 300,
        seed,
        system: "",
        width: 32,
        n_positions: 128,
        feature_layer: -2,
        ..TinyModel::default()
    }
    .bundle()
}

pub fn recipe(dir: &Path, out: &str, sets: &[&str]) -> SampleRecipe {
    let paths = [
        ("run.out", out),
        ("model.base", "model"),
        ("data.root", "data"),
    ];
    let sets = candor_testing::run::sets(dir, &paths, sets);
    SampleRecipe::read(Reader::parse("sample.toml", RECIPE, &sets)).unwrap()
}

/// A whole run's rows.
pub fn sampled(dir: &Path, out: &str, sets: &[&str]) -> Vec<Candidate> {
    let outcome = run(&recipe(dir, out, sets), &launch(false), Device::Cpu).unwrap();
    assert_eq!(outcome, Outcome::Finished);
    candidates::read(&dir.join(out).join("candidates.jsonl")).unwrap()
}

pub const FILES: [&str; 3] = ["candidates.jsonl", "result.json", "metrics.jsonl"];

pub fn assert_same(dir: &Path, left: &str, right: &str) {
    for file in FILES {
        let read = |out: &str| fs::read_to_string(dir.join(out).join(file)).unwrap();
        assert_eq!(read(left), read(right), "{file}");
    }
}
