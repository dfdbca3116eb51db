//! Reads a folder of LLaVA conversations with the library and fine-tunes a model on it for a few steps.
//!
//! ```text
//! candor world write --out runs/world --train 64 --preference 8 --rl 8 --eval 150
//! cargo run --release -p candor-sft --example train_on_llava -- runs/world runs/example
//! ```
//!
//! Without a model it makes a tiny one first, which takes a second and knows nothing. With one, a folder of LLaVA 1.5 say,
//! `DATA` needs no more than `images` and `sft/descriptions.json`:
//!
//! ```text
//! cargo run --release -p candor-sft --example train_on_llava -- DATA OUT MODEL
//! ```
//!
//! What is trained and how is the recipe's text below, the same as a recipe file of `candor sft`;
//! `candor recipe fields sft` explains each field.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candor_data::formats::llava;
use candor_recipe::Reader;
use candor_run::{LaunchOptions, Ranks, StopSignal};
use candor_sft::{GroundRecipe, SftRecipe, ground, run};
use tch::Device;

/// A tiny model: a tower of 4 patches, a decoder of two layers, a tokenizer of the words in the data.
const FRESH: &str = r#"
seed = 0
run = { steps = 2, checkpoint_every = 100, keep_checkpoints = 1 }
optimizer = { learning_rate = 1e-3, schedule = "constant", warmup_ratio = 0.0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0, max_grad_norm = 1.0 }
[model]
system = ""
vision = { image_size = 32, patch_size = 16, width = 16, mlp_width = 32, layers = 2, heads = 2, feature_layer = -2 }
text = { width = 24, mlp_width = 48, layers = 2, heads = 2, kv_heads = 1, max_positions = 512 }
[tokenizer]
max_vocab = 400
sources = [{ name = "descriptions", format = "llava", path = "sft/descriptions.json" }]
[data]
images = "images"
instances = "grounding/instances.json"
batch_images = 8
n_held_out = 8
"#;

/// Ten updates of everything but the vision tower.
const RECIPE: &str = r#"
seed = 0
run = { steps = 10, checkpoint_every = 100, keep_checkpoints = 1 }
optimizer = { learning_rate = 1e-2, schedule = "constant", warmup_ratio = 0.0, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.0, max_grad_norm = 1.0 }
[model]
tune = "all_but_tower"
template = "own"
activations = "keep"
[data]
images = "images"
max_tokens = 400
batch = 8
micro_batch = 4
sources = [{ name = "descriptions", format = "llava", path = "sft/descriptions.json" }]
"#;

fn main() -> ExitCode {
    match example() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The libraries' errors say what was found where, and what to do.
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn example() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (data, out, model) = match arguments.as_slice() {
        [data, out] => (data, out, fresh_model(data, out)?),
        [data, out, model] => (data, out, model.clone()),
        _ => return Err("usage: train_on_llava DATA OUT [MODEL]".into()),
    };

    // The reader checks every row: roles that alternate, one `<image>` where there is an image, no empty answer.
    let conversations = llava::read(&data.join("sft/descriptions.json"))?;
    let turns: usize = conversations.iter().map(|one| one.turns.len()).sum();
    println!("{} conversations, {turns} turns", conversations.len());

    // The run reads them again, by the recipe, and refuses what does not fit the model before the first step.
    let run_folder = out.join("sft");
    let sets = [
        set("data.root", data)?,
        set("model.base", &model)?,
        set("run.out", &run_folder)?,
    ];
    // All mistakes of a recipe are reported at once, each with its line.
    let recipe = SftRecipe::read(Reader::parse("the example's recipe", RECIPE, &sets))?;
    run::run(&recipe, &launch(), Device::cuda_if_available())?;

    // A run folder holds its metrics, a line a step, and the model as Hugging Face lays one out.
    let metrics = std::fs::read_to_string(run_folder.join("metrics.jsonl"))?;
    for line in metrics.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        println!(
            "step {}: loss {:.3}",
            line["step"],
            line["loss"].as_f64().unwrap_or(f64::NAN)
        );
    }
    println!("the model is in {}", run_folder.join("model").display());
    Ok(())
}

/// Makes a tiny model from nothing: the stage that gives a fresh tower something to see with.
fn fresh_model(data: &Path, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let run_folder = out.join("fresh");
    let sets = [set("data.root", data)?, set("run.out", &run_folder)?];
    let recipe = GroundRecipe::read(Reader::parse("the fresh model's recipe", FRESH, &sets))?;
    ground::run(&recipe, &launch(), Device::cuda_if_available())?;
    Ok(run_folder.join("model"))
}

/// `key = "path"`, as `--set` takes it.
fn set(key: &str, path: &Path) -> Result<String, Box<dyn Error>> {
    let path = path.to_str().ok_or("the path is not UTF-8")?;
    Ok(format!("{key}={}", toml::Value::from(path)))
}

/// A run from its first step, which nothing but the end of the process interrupts.
fn launch() -> LaunchOptions {
    LaunchOptions {
        resume: false,
        init_from: None,
        resume_command: "delete the folder and run the example again".to_owned(),
        stop: StopSignal::detached(),
        ranks: Ranks::alone(),
    }
}
