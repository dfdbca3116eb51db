//! A tiny base model, and comparisons in which the preferred response can be told.

use std::path::Path;

use candor_data::formats::{captions, preference};
use candor_data::{FactBook, Preference, Turn, Verdict};
use candor_recipe::Reader;
use candor_reward::{RewardError, RewardRecipe};
use candor_run::Outcome;
use candor_testing::images::{COLOURS, wall};
use candor_testing::model::TinyModel;
use candor_testing::run::launch;
use tch::Device;

pub const RECIPE: &str = r#"
seed = 1
[run]
out = "reward"
steps = 24
checkpoint_every = 5
keep_checkpoints = 2
[model]
base = "base"
activations = "keep"
lora = { r = 4, alpha = 8.0, targets = ["q_proj", "v_proj", "down_proj"] }
[prompt]
text = "Facts:\n{facts}\nIs it so?"
bullet = "- "
caption_order = "file"
pooling = "last_token"
[data]
root = "."
images = "."
preferences = ["preferences.json"]
facts = "facts.json"
max_tokens = 120
batch = 8
micro_batch = 8
n_validation = 8
n_held_out = 12
[loss]
centering_coef = 1e-3
centering_over = "batch"
[evaluation]
every = 4
patience = 0
[optimizer]
learning_rate = 1e-2
schedule = "constant"
warmup_ratio = 0.0
beta1 = 0.9
beta2 = 0.999
eps = 1e-8
weight_decay = 0.0
max_grad_norm = 1.0
"#;

const N_IMAGES: usize = 24;

/// A folder with a base, images, facts and two comparisons an image.
pub fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut book = FactBook::new();
    let mut rows = Vec::new();
    for i in 0..N_IMAGES {
        let (colour, rgb) = COLOURS[i % COLOURS.len()];
        let image = format!("{i}.png");
        wall(&path.join(&image), rgb);
        book.entry(&image).captions =
            vec![format!("a {colour} wall"), format!("the wall is {colour}")];
        for (j, extra) in ["", " and a cat"].into_iter().enumerate() {
            rows.push(comparison(i, j, &image, colour, extra));
        }
    }
    captions::write(&path.join("facts.json"), &book).unwrap();
    preference::write(&path.join("preferences.json"), &rows).unwrap();
    base(path, 1);
    folder
}

/// The preferred response says there is a wall, the other one a dog; sides alternate.
fn comparison(i: usize, j: usize, image: &str, colour: &str, extra: &str) -> Preference {
    let said = |thing: &str| format!("There is a {colour} {thing}{extra}.");
    let first = i.is_multiple_of(3);
    let (one, two) = if first {
        ("wall", "dog")
    } else {
        ("dog", "wall")
    };
    Preference {
        id: format!("{i}-{j}"),
        image: Some(image.to_owned()),
        turns: vec![Turn::human("<image>\nWhat is there?")],
        original_answer: None,
        outputs: [said(one), said(two)],
        fewer_hallucinations: if first {
            Verdict::First
        } else {
            Verdict::Second
        },
        more_helpful: None,
        record: None,
        explanation: None,
    }
}

/// A model that was never trained, as a bundle in `<folder>/base`.
/// The base, whose two heads read so many of keys and values.
pub fn base(folder: &Path, n_kv_heads: i64) {
    let words = "USER: Facts:\n- a red green blue white wall\nIs it so? ASSISTANT: What is there? \
                 There is a dog and a cat. the";
    TinyModel {
        system: "",
        n_kv_heads,
        n_positions: 160,
        ..TinyModel::knowing(words)
    }
    .write(&folder.join("base"));
}

/// The recipe with its folders in `folder` and its run in `<folder>/<out>`.
pub fn recipe(folder: &Path, out: &str, sets: &[&str]) -> Result<RewardRecipe, RewardError> {
    let paths = [("run.out", out), ("model.base", "base"), ("data.root", "")];
    let sets = candor_testing::run::sets(folder, &paths, sets);
    RewardRecipe::read(Reader::parse("test.toml", RECIPE, &sets))
}

pub fn run(folder: &Path, out: &str, sets: &[&str]) -> Result<Outcome, RewardError> {
    candor_reward::run(&recipe(folder, out, sets)?, &launch(false), Device::Cpu)
}

/// The message of a run that must fail.
pub fn refusal(folder: &Path, out: &str, sets: &[&str]) -> String {
    run(folder, out, sets).unwrap_err().to_string()
}
