//! A tiny model of each family in a folder: as the hub has them, with the real geometry of images where that is small, and with
//! small tiles where it is not.

use std::fs;
use std::path::{Path, PathBuf};

use candor_model::{ModelConfig, Vlm};
use candor_testing::model::TinyModel;
use serde_json::{Value, json};
use tch::Device;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/golden");
/// Side of a tile in pixels; it has three patches to a side.
const TILE: i64 = 42;

pub fn llava(to: &Path) {
    let words = "USER: Is the dog red? ASSISTANT: Yes. No, the ball is. A red dog on the beach. Facts: statement true?";
    TinyModel {
        n_positions: 640,
        ..TinyModel::knowing(words)
    }
    .write(to);
}

pub fn qwen2_5_vl(to: &Path) {
    copy("qwen/folders/published", to);
}

pub fn qwen3_vl(to: &Path) {
    copy("qwen/folders/deep", to);
}

pub fn llava_next(to: &Path) {
    with_small_tiles("vicuna", to);
    let size =
        json!({"size": {"shortest_edge": TILE}, "crop_size": {"height": TILE, "width": TILE}});
    edit(&to.join("preprocessor_config.json"), &size);
}

pub fn llava_onevision(to: &Path) {
    with_small_tiles("onevision", to);
    let size = json!({"size": {"height": TILE, "width": TILE}});
    edit(&to.join("preprocessor_config.json"), &size);
    edit(
        &to.join("processor_config.json"),
        &json!({"num_image_tokens": 9}),
    );
    // Its own template trains no token that ends an answer.
    let qwen = json!({"kind": "qwen", "system": "Be brief."});
    fs::write(to.join("template.json"), qwen.to_string()).unwrap();
}

/// A LLaVA of fresh weights and small tiles, with everything else of a folder as the hub has it.
fn with_small_tiles(name: &str, to: &Path) {
    copy(&format!("tiled/folders/{name}"), to);
    for file in fs::read_dir(to).unwrap().map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("model") {
            fs::remove_file(file).unwrap();
        }
    }
    let side = |n: i64| n * TILE;
    let pinpoints = [[1, 2], [2, 1], [2, 2], [3, 1]].map(|tiles: [i64; 2]| tiles.map(side));
    let pinpoints = json!({"image_grid_pinpoints": pinpoints});
    edit(&to.join("preprocessor_config.json"), &pinpoints);
    let config = to.join("config.json");
    edit(&config, &pinpoints);
    edit(&config, &json!({"vision_config": {"image_size": TILE}}));
    let text = fs::read_to_string(config).unwrap();
    let model = Vlm::fresh(ModelConfig::of_json(&text).unwrap(), 0, Device::Cpu).unwrap();
    model.save(to).unwrap();
}

fn copy(golden: &str, to: &Path) {
    fs::create_dir(to).unwrap();
    for file in fs::read_dir(PathBuf::from(GOLDEN).join(golden)).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Puts fields into a JSON file, into objects of the same name where there are such.
fn edit(path: &Path, fields: &Value) {
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    put(&mut json, fields);
    fs::write(path, json.to_string()).unwrap();
}

fn put(into: &mut Value, fields: &Value) {
    match (into.as_object_mut(), fields.as_object()) {
        (Some(into), Some(fields)) => {
            for (name, value) in fields {
                put(into.entry(name).or_insert(Value::Null), value);
            }
        }
        _ => *into = fields.clone(),
    }
}
