//! A tiny model, and comparisons in which the preferred answer can be told by its image.

use std::fs;
use std::path::Path;

use candor_data::formats::preference;
use candor_data::image::ImageProcessor;
use candor_data::{Preference, Turn, Verdict};
use candor_dpo::{DpoError, DpoRecipe};
use candor_model::{Bundle, LlavaConfig, Template, Tokenizer, Vlm};
use candor_recipe::Reader;
use candor_run::{LaunchOptions, Outcome, Ranks, StopSignal};
use serde_json::{Value, json};
use tch::Device;

pub const RECIPE: &str = r#"
seed = 1
[run]
out = "dpo"
steps = 12
checkpoint_every = 5
keep_checkpoints = 2
[model]
base = "base"
tune = "lora"
activations = "keep"
lora = { r = 4, alpha = 8.0, targets = ["q_proj", "v_proj", "down_proj"] }
[data]
root = "."
images = "."
preferences = ["preferences.json"]
max_tokens = 100
batch = 8
micro_batch = 8
n_validation = 8
n_held_out = 12
[dpo]
loss = "sigmoid"
beta = 0.5
label_smoothing = 0.0
logprob = "sum"
common_beginning = "counted"
sft_weight = 0.0
[evaluation]
every = 4
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

const COLOURS: [(&str, [u8; 3]); 4] = [
    ("red", [220, 30, 30]),
    ("green", [30, 200, 40]),
    ("blue", [30, 40, 220]),
    ("white", [240, 240, 240]),
];
const N_IMAGES: usize = 24;

/// Runs one recipe in one go and another stopped at every step, which must end in the same files; returns how often the second was
/// started. The names are those of their folders.
pub fn assert_same_stepwise(
    folder: &Path,
    [(name, whole), (other, stepwise)]: [(&str, &DpoRecipe); 2],
    files: &[&str],
) -> usize {
    candor_dpo::run(whole, &launch(false), Device::Cpu).unwrap();
    let mut starts = 0;
    loop {
        let launch = launch(starts > 0);
        launch.stop.request();
        starts += 1;
        if candor_dpo::run(stepwise, &launch, Device::Cpu).unwrap() == Outcome::Finished {
            break;
        }
    }
    for file in files {
        let bytes = |run: &str| fs::read(folder.join(run).join(file)).unwrap();
        assert!(bytes(name) == bytes(other), "{file} differs");
    }
    starts
}

/// A folder with a base, images and two comparisons an image.
pub fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut rows = Vec::new();
    for i in 0..N_IMAGES {
        let (colour, rgb) = COLOURS[i % COLOURS.len()];
        let image = format!("{i}.png");
        image::RgbImage::from_pixel(16, 16, image::Rgb(rgb))
            .save(path.join(&image))
            .unwrap();
        for (j, extra) in ["", " and a cat"].into_iter().enumerate() {
            rows.push(comparison(i, j, &image, colour, extra));
        }
    }
    preference::write(&path.join("preferences.json"), &rows).unwrap();
    base(path);
    folder
}

/// The preferred answer says there is a wall, the other one a dog; sides alternate.
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
fn base(folder: &Path) {
    let words =
        "USER: What is there? ASSISTANT: There is a red green blue white wall dog and a cat. the";
    let tokenizer = Tokenizer::train((0..20).map(|_| words.to_owned()), 400).unwrap();
    let config: LlavaConfig = serde_json::from_value(json!({
        "image_token_index": tokenizer.image,
        "vision_feature_layer": -1,
        "text_config": {
            "vocab_size": tokenizer.vocab_size(), "hidden_size": 24, "intermediate_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "max_position_embeddings": 160,
        },
        "vision_config": {
            "image_size": 16, "patch_size": 8, "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 2,
        },
    }))
    .unwrap();
    let bundle = Bundle {
        model: Vlm::fresh(config, 3, Device::Cpu).unwrap(),
        tokenizer,
        template: Template::VicunaV1 {
            system: String::new(),
        },
        processor: ImageProcessor::clip(16),
    };
    bundle.save(&folder.join("base")).unwrap();
}

pub fn launch(resume: bool) -> LaunchOptions {
    LaunchOptions {
        resume,
        init_from: None,
        resume_command: "candor dpo --resume".to_owned(),
        stop: StopSignal::detached(),
        ranks: Ranks::alone(),
    }
}

/// A recipe with its folders in `folder` and its run in `<folder>/<out>`.
pub fn recipe_of(
    text: &str,
    folder: &Path,
    out: &str,
    sets: &[&str],
) -> Result<DpoRecipe, DpoError> {
    let inside = |name: &str| folder.join(name).display().to_string();
    let mut all = vec![
        format!("run.out={:?}", inside(out)),
        format!("model.base={:?}", inside("base")),
        format!("data.root={:?}", inside("")),
    ];
    all.extend(sets.iter().map(|set| (*set).to_owned()));
    DpoRecipe::read(Reader::parse("test.toml", text, &all))
}

pub fn recipe(folder: &Path, out: &str, sets: &[&str]) -> Result<DpoRecipe, DpoError> {
    recipe_of(RECIPE, folder, out, sets)
}

/// The recipe without the lines of some keys.
pub fn without(keys: &[&str]) -> String {
    let lines = RECIPE.lines();
    let kept = lines.filter(|line| !keys.iter().any(|key| line.starts_with(&format!("{key} ="))));
    kept.collect::<Vec<_>>().join("\n")
}

pub fn run(folder: &Path, out: &str, sets: &[&str]) -> Result<Outcome, DpoError> {
    candor_dpo::run(&recipe(folder, out, sets)?, &launch(false), Device::Cpu)
}

/// Runs one of the losses, whose own keys are `sets`.
pub fn run_loss(folder: &Path, out: &str, loss: &str, sets: &[&str]) {
    let foreign: &[&str] = match loss {
        "sigmoid" => &[],
        "ipo" | "kto" => &["label_smoothing"],
        "simpo" => &["logprob"],
        _ => &["label_smoothing", "logprob"],
    };
    let loss = format!("dpo.loss={loss:?}");
    let sets = [&[loss.as_str()], sets].concat();
    let recipe = recipe_of(&without(foreign), folder, out, &sets).unwrap();
    let outcome = candor_dpo::run(&recipe, &launch(false), Device::Cpu).unwrap();
    assert_eq!(outcome, Outcome::Finished);
}

pub fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub fn json_file(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A metric of each step that has it.
pub fn column(run: &Path, name: &str) -> Vec<f64> {
    lines(&run.join("metrics.jsonl"))
        .iter()
        .filter_map(|line| line[name].as_f64())
        .collect()
}
