//! A handful of drawn images, conversations about them, and recipes of both stages.

use std::path::Path;

use candor_data::formats::{coco, llava};
use candor_data::{Conversation, Turn};
use candor_recipe::Reader;
use candor_run::Outcome;
use candor_sft::{GroundRecipe, SftError, SftRecipe, ground, run};
use candor_testing::images::{COLOURS, walls};
use candor_testing::run::launch;
use tch::Device;

pub const GROUND: &str = r#"
seed = 1
[run]
out = "ground"
steps = 4
checkpoint_every = 100
keep_checkpoints = 1
[model]
system = ""
[model.vision]
image_size = 16
patch_size = 8
width = 16
mlp_width = 32
layers = 2
heads = 2
feature_layer = -2
[model.text]
width = 24
mlp_width = 48
layers = 2
heads = 2
kv_heads = 1
max_positions = 256
[tokenizer]
max_vocab = 400
sources = [{ name = "t", format = "llava", path = "talk.json" }]
[data]
root = "."
images = "."
instances = "instances.json"
batch_images = 2
n_held_out = 1
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

pub const SFT: &str = r#"
seed = 1
[run]
out = "sft"
steps = 6
checkpoint_every = 100
keep_checkpoints = 1
[model]
base = "ground/model"
tune = "all_but_tower"
template = "own"
activations = "keep"
[data]
root = "."
images = "."
max_tokens = 200
batch = 8
micro_batch = 8
sources = [{ name = "t", format = "llava", path = "talk.json" }]
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

/// A folder with images, conversations about them, and a model that has seen them.
pub fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    walls(path);
    let mut rows = Vec::new();
    for (name, _) in &COLOURS[..3] {
        let file = format!("{name}.png");
        let turns = vec![
            Turn::human("<image>\nWhat color is it?"),
            Turn::gpt(format!("It is {name}.")),
        ];
        rows.push(Conversation {
            id: (*name).to_owned(),
            image: Some(file),
            turns,
        });
    }
    for i in 0..5 {
        let turns = vec![
            Turn::human(format!("Say the number {i}.")),
            Turn::gpt(format!("The number is {i}. Yes.")),
        ];
        rows.push(Conversation {
            id: format!("text-{i}"),
            image: None,
            turns,
        });
    }
    llava::write(&path.join("talk.json"), &rows).unwrap();
    let images = COLOURS[..3]
        .iter()
        .enumerate()
        .map(|(i, (name, _))| coco::Image {
            id: i as u64,
            file_name: format!("{name}.png"),
            width: Some(16),
            height: Some(16),
        });
    let annotations = COLOURS[..3]
        .iter()
        .enumerate()
        .map(|(i, (name, _))| coco::Instance {
            id: i as u64,
            image_id: i as u64,
            category_id: 1,
            bbox: [0.0, 0.0, 8.0, 8.0],
            area: None,
            iscrowd: None,
            attributes: vec![(*name).to_owned()],
        });
    let instances = coco::Instances {
        images: images.collect(),
        categories: vec![coco::Category {
            id: 1,
            name: "wall".to_owned(),
            supercategory: None,
        }],
        annotations: annotations.collect(),
    };
    coco::write_instances(&path.join("instances.json"), &instances).unwrap();
    grounded(Device::Cpu, path, &[]);
    folder
}

/// Makes a model and lets it see the images.
pub fn grounded(device: Device, folder: &Path, sets: &[&str]) {
    let recipe = GroundRecipe::read(reader(GROUND, folder, &["data.root", "run.out"], sets));
    let outcome = ground::run(&recipe.unwrap(), &launch(false), device).unwrap();
    assert_eq!(outcome, Outcome::Finished);
}

/// A recipe whose folders are made to lie in `folder`.
pub fn reader(text: &str, folder: &Path, folders: &[&str], sets: &[&str]) -> Reader {
    let table: toml::Table = text.parse().unwrap();
    let mut all = Vec::new();
    for key in folders {
        let value = key
            .split('.')
            .fold(&toml::Value::Table(table.clone()), |v, part| &v[part])
            .clone();
        let relative = value.as_str().unwrap().to_owned();
        all.push(format!(
            "{key}={:?}",
            folder.join(relative).display().to_string()
        ));
    }
    all.extend(sets.iter().map(|set| (*set).to_owned()));
    Reader::parse("test.toml", text, &all)
}

pub fn sft(folder: &Path, sets: &[&str]) -> Result<Outcome, SftError> {
    sft_on(Device::Cpu, folder, sets)
}

pub fn sft_on(device: Device, folder: &Path, sets: &[&str]) -> Result<Outcome, SftError> {
    let defaults = ["data.root", "model.base"];
    let recipe = SftRecipe::read(reader(SFT, folder, &defaults, sets)).unwrap();
    run::run(&recipe, &launch(false), device)
}
