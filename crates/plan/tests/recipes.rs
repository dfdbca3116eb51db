//! Every shipped recipe loads, and the pipelines plan as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candor_data::image::ImageProcessor;
use candor_model::{LlavaConfig, Template, Tokenizer};
use candor_plan::{Plan, Planner};
use serde_json::json;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The recipes of a folder, in the order of their names.
fn recipes(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(recipes(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// An override of a path.
fn set(key: &str, path: &Path) -> String {
    format!("{key}={:?}", path.display().to_string())
}

/// The overrides that a recipe needs where the working folder is not the repository's: its prompt file.
fn sets(recipe: &Path) -> Vec<String> {
    let text = fs::read_to_string(recipe).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let file = table.get("prompt").and_then(|prompt| prompt.get("file"));
    let file = file.and_then(toml::Value::as_str);
    file.map(|file| set("prompt.file", &root().join(file)))
        .into_iter()
        .collect()
}

fn plan(planner: &mut Planner, recipe: &Path, more: &[String]) -> Plan {
    let sets = [sets(recipe), more.to_vec()].concat();
    planner
        .plan(recipe, &sets)
        .unwrap_or_else(|error| panic!("{}: {error}", recipe.display()))
}

#[test]
fn every_shipped_recipe_is_without_mistakes() {
    let mut stages: BTreeMap<&str, usize> = BTreeMap::new();
    for recipe in recipes(&root().join("recipes")) {
        let plan = plan(&mut Planner::default(), &recipe, &[]);
        *stages.entry(plan.stage).or_default() += 1;
        let head = fs::read_to_string(&recipe).unwrap();
        let head: String = head
            .lines()
            .take_while(|line| line.starts_with('#'))
            .collect();
        let hardware = ["Hardware: ", "Needs ", "needs "]
            .iter()
            .any(|word| head.contains(word));
        let of_ppo = recipe
            .parent()
            .is_some_and(|folder| folder.ends_with("ppo"));
        assert!(
            hardware || of_ppo,
            "{} does not say what it needs",
            recipe.display()
        );
    }
    let all = ["eval", "ground", "reward", "rl", "sample", "sft"];
    assert!(stages.keys().eq(all.iter()), "{stages:?}");
}

/// The folder of a model of full size: all but its weights.
fn model(folder: &Path, [width, inner, layers]: [i64; 3], pixels: u32) {
    fs::create_dir_all(folder).unwrap();
    let words = "USER: What is in the picture? ASSISTANT: A red bus.";
    let tokenizer = Tokenizer::train((0..20).map(|_| words.to_owned()), 400).unwrap();
    tokenizer.save_folder(folder).unwrap();
    let template = serde_json::to_string(&Template::vicuna_v1()).unwrap();
    fs::write(folder.join("template.json"), template).unwrap();
    ImageProcessor::clip(pixels)
        .write(&folder.join("preprocessor_config.json"))
        .unwrap();
    let config: LlavaConfig = serde_json::from_value(json!({
        "image_token_index": tokenizer.image,
        "text_config": {
            "vocab_size": 32000, "hidden_size": width, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": width / 128, "max_position_embeddings": 4096,
        },
        "vision_config": {
            "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
            "image_size": pixels, "patch_size": 14,
        },
    }))
    .unwrap();
    config.write(&folder.join("config.json")).unwrap();
}

#[test]
fn a_pipeline_is_planned_on_the_model_that_its_first_recipe_starts_from() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("7b");
    model(&base, [4096, 11008, 32], 224);
    let folder = root().join("recipes/llava-7b-224");
    let mut planner = Planner::default();
    let sft = plan(
        &mut planner,
        &folder.join("1-sft.toml"),
        &[set("model.base", &base)],
    );
    let sft = sft.memory.unwrap();
    // By hand: 6,738,415,616 in the decoder, 303,179,776 in the tower, 20,979,712 in the projector; 4 bytes each, and 12
    // more but in the tower.
    assert_eq!(
        sft.weights_bytes,
        4 * (6_738_415_616 + 303_179_776 + 20_979_712)
    );
    assert_eq!(sft.trained_bytes, 12 * (6_738_415_616 + 20_979_712));

    let init = plan(&mut planner, &folder.join("4-policy-init.toml"), &[]);
    let memory = init
        .memory
        .expect("the model that 1-sft.toml writes has the sizes of what it starts from");
    let adapter = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104);
    assert_eq!(memory.weights_bytes, 2 * 7_062_575_104 + adapter);
    assert_eq!(memory.trained_bytes, 3 * adapter);

    // The reward model stands on the 13B, which no recipe so far has made.
    let reward = plan(&mut planner, &folder.join("3-reward.toml"), &[]);
    assert_eq!(reward.memory, None);
    assert!(
        reward.notes[0].contains("runs/llava-13b-336/sft/model is not here"),
        "{:?}",
        reward.notes
    );
    let other = dir.path().join("13b");
    model(&other, [5120, 13824, 40], 336);
    let sft = root().join("recipes/llava-13b-336/1-sft.toml");
    plan(&mut planner, &sft, &[set("model.base", &other)]);
    let reward = plan(&mut planner, &folder.join("3-reward.toml"), &[])
        .memory
        .unwrap();
    let ppo = plan(&mut planner, &folder.join("5-ppo.toml"), &[]);
    let memory = ppo.memory.unwrap();
    // Both bases and twice both adapters.
    let expected =
        reward.weights_bytes + reward.trained_bytes / 3 + 2 * 7_062_575_104 + 2 * adapter;
    assert_eq!(memory.weights_bytes, expected);
    assert!(
        ppo.notes
            .iter()
            .all(|note| !note.contains("neither data nor memory")),
        "{:?}",
        ppo.notes
    );
}

#[test]
fn mistakes_and_strangers_are_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.toml");
    fs::write(&path, "seed = 1\n").unwrap();
    let message = Planner::default().plan(&path, &[]).unwrap_err().to_string();
    assert!(
        message.contains("x.toml") && message.contains("no stage has a recipe like this"),
        "{message}"
    );
    let recipe = root().join("recipes/demo/1-sft.toml");
    let sets = ["data.batch=0".to_owned(), "typo=1".to_owned()];
    let message = Planner::default()
        .plan(&recipe, &sets)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("data.batch") && message.contains("typo"),
        "{message}"
    );
}
