//! A tiny base model, and comparisons in which the preferred response can be told.

use std::fs;
use std::path::Path;

use candor_data::formats::{captions, preference};
use candor_data::image::ImageProcessor;
use candor_data::{FactBook, Preference, Turn, Verdict};
use candor_model::{Bundle, LlavaConfig, Template, Tokenizer, Vlm};
use candor_recipe::Reader;
use candor_reward::{RewardError, RewardRecipe};
use candor_run::{Launch, Outcome, StopSignal};
use serde_json::{Value, json};
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
readout = "last_token"
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

pub const COLOURS: [(&str, [u8; 3]); 4] = [
    ("red", [220, 30, 30]),
    ("green", [30, 200, 40]),
    ("blue", [30, 40, 220]),
    ("white", [240, 240, 240]),
];
const N_IMAGES: usize = 24;

/// A folder with a base, pictures, facts and two comparisons a picture.
pub fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut book = FactBook::new();
    let mut rows = Vec::new();
    for i in 0..N_IMAGES {
        let (colour, rgb) = COLOURS[i % COLOURS.len()];
        let image = format!("{i}.png");
        image::RgbImage::from_pixel(16, 16, image::Rgb(rgb))
            .save(path.join(&image))
            .unwrap();
        book.entry(&image).captions =
            vec![format!("a {colour} wall"), format!("the wall is {colour}")];
        for (j, extra) in ["", " and a cat"].into_iter().enumerate() {
            rows.push(comparison(i, j, &image, colour, extra));
        }
    }
    captions::write(&path.join("facts.json"), &book).unwrap();
    preference::write(&path.join("preferences.json"), &rows).unwrap();
    base(path);
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
fn base(folder: &Path) {
    let words = "USER: Facts:\n- a red green blue white wall\nIs it so? ASSISTANT: What is there? \
                 There is a dog and a cat. the";
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

pub fn launch(resume: bool) -> Launch {
    Launch {
        resume,
        init_from: None,
        resume_command: "candor reward --resume".to_owned(),
        stop: StopSignal::detached(),
    }
}

/// The recipe with its folders in `folder` and its run in `<folder>/<out>`.
pub fn recipe(folder: &Path, out: &str, sets: &[&str]) -> Result<RewardRecipe, RewardError> {
    let inside = |name: &str| folder.join(name).display().to_string();
    let mut all = vec![
        format!("run.out={:?}", inside(out)),
        format!("model.base={:?}", inside("base")),
        format!("data.root={:?}", inside("")),
    ];
    all.extend(sets.iter().map(|set| (*set).to_owned()));
    RewardRecipe::read(Reader::parse("test.toml", RECIPE, &all))
}

pub fn run(folder: &Path, out: &str, sets: &[&str]) -> Result<Outcome, RewardError> {
    candor_reward::run(&recipe(folder, out, sets)?, &launch(false), Device::Cpu)
}

/// The message of a run that must fail.
pub fn refusal(folder: &Path, out: &str, sets: &[&str]) -> String {
    run(folder, out, sets).unwrap_err().to_string()
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
