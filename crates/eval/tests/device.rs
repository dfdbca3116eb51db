//! An evaluation on another device than the CPU: the same answers and verdicts, and few copies.
//!
//! The device is a pretend one in host memory (`candor-pretend-cuda`), which has the CPU's bits.

use std::collections::BTreeMap;
use std::path::Path;

use candor_data::formats;
use candor_eval::EvalRecipe;
use candor_model::Template;
use candor_pretend_cuda::{FIRST, PretendCuda, SECOND};
use candor_recipe::Reader;
use candor_run::{Ranks, StopSignal};
use candor_testing::files::{assert_same, files};
use candor_testing::model::TinyModel;
use candor_world::{World, WorldConfig};
use tch::Device;

const RECIPE: &str = include_str!("../../../recipes/demo/6-eval.toml");
/// Scenes of evaluation, each described once.
const N_SCENES: usize = 150;

/// A world, and a model that has learned nothing, but whose tokens are the world's words.
fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = WorldConfig {
        seed: 3,
        n_train: 30,
        n_preference: 0,
        n_rl: 0,
        n_eval: N_SCENES,
        image_px: 32,
        ..WorldConfig::default()
    };
    candor_world::write(&World::generate(&config).unwrap(), dir.path()).unwrap();
    let descriptions = formats::llava::read(&dir.path().join("sft/descriptions.json")).unwrap();
    let template = Template::VicunaV1 {
        system: String::new(),
    };
    let text = |row| template.render(row).unwrap().text;
    TinyModel {
        texts: descriptions.iter().map(text).collect(),
        seed: 1,
        system: "",
        width: 32,
        n_positions: 512,
        image_px: 32,
        feature_layer: -2,
        ..TinyModel::default()
    }
    .bundle()
    .save(&dir.path().join("model"))
    .unwrap();
    dir
}

/// The files of an evaluation that name no folder.
fn evaluated(folder: &Path, out: &str, device: Device) -> BTreeMap<String, Vec<u8>> {
    let out = folder.join(out);
    let sets = [
        format!("data.root=\"{}\"", folder.display()),
        format!("model.base=\"{}\"", folder.join("model").display()),
        format!("run.out=\"{}\"", out.display()),
        "run.benchmarks=[\"chair\"]".to_owned(),
        "answers.max_new_tokens=8".to_owned(),
        "answers.batch_rows=50".to_owned(),
    ];
    let recipe = EvalRecipe::read(Reader::parse("6-eval.toml", RECIPE, &sets)).unwrap();
    let stop = StopSignal::detached();
    let results = candor_eval::run(&recipe, &stop, device, &Ranks::alone()).unwrap();
    assert!(results.is_some(), "nobody asked to stop");
    let mut all = files(&out);
    all.retain(|name, _| name.starts_with("answers/") || name.starts_with("verdicts/"));
    let names: Vec<&String> = all.keys().collect();
    assert_eq!(names, ["answers/chair.jsonl", "verdicts/chair.jsonl"]);
    all
}

/// Fifty answers are written at a time, of eight tokens each, and an answer that ends gives its place to the next: the host waits for
/// the tokens of all of them together, and not for each answer's.
#[test]
fn answers_and_verdicts_are_the_cpus_and_the_host_waits_for_tokens_and_images() {
    let devices = PretendCuda::take();
    let dir = prepared();
    let host = evaluated(dir.path(), "host", Device::Cpu);
    assert_eq!(devices.traffic().to_device.n, 0);
    assert_same(&host, &evaluated(dir.path(), "first", FIRST));
    let traffic = devices.traffic();
    println!("{traffic:?}");
    assert!(traffic.to_host.n > 0 && traffic.to_host.n <= N_SCENES as u64 / 2);
    assert_eq!(traffic.between.n, 0);
    assert_eq!(devices.held(SECOND).peak, 0);
}
