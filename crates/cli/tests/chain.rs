//! The shipped recipes of a model, from stage 0 to 6, on a tiny model and a small world: the first starts from what
//! `candor join` makes of a decoder and a tower, each other from what those before it wrote, in the folders and the precision
//! that they name. Only sizes are changed, and the folder of the data.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use candor_model::tensor_file;
use serde_json::{Value, json};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn candor(folder: &Path, words: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_candor"))
        .current_dir(folder)
        .args(words)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn stage(folder: &Path, command: &str, recipe: &str, sizes: &[&str]) {
    let recipe = format!("recipes/{recipe}");
    let sets = sizes.iter().flat_map(|size| ["--set", *size]);
    let words: Vec<&str> = [command, &recipe].into_iter().chain(sets).collect();
    candor(folder, &words);
}

/// Leaves of an original LLaVA what a Vicuna is published as: the decoder, and a configuration that knows no images.
fn leave_the_decoder(folder: &Path) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let fields = config.as_object_mut().unwrap();
    fields.retain(|name, _| !name.contains("mm_") && name != "image_aspect_ratio");
    fields.insert("model_type".to_owned(), json!("llama"));
    fields.insert("architectures".to_owned(), json!(["LlamaForCausalLM"]));
    fs::write(&path, config.to_string()).unwrap();
    let weights = folder.join("model.safetensors");
    let mut tensors = tensor_file::read(&weights).unwrap();
    let n_all = tensors.len();
    tensors.retain(|name, _| !name.contains("mm_projector"));
    assert_eq!(n_all - tensors.len(), 4);
    let tensors = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
    tensor_file::write(&weights, tensors, None).unwrap();
}

/// What `candor join` makes of a decoder that speaks, somewhat, and a tower that sees.
fn join(folder: &Path) {
    let sizes = [
        "data.root=world",
        "run.out=ground",
        "run.steps=4",
        "run.checkpoint_every=4",
        "data.batch_images=4",
        "data.n_held_out=4",
        "model.vision.layers=2",
        "model.text.layers=2",
        "model.text.max_positions=2048",
    ];
    stage(folder, "ground", "demo/0-ground.toml", &sizes);
    let sizes = [
        "data.root=world",
        "model.base=ground/model",
        "run.out=talker",
        "run.steps=40",
        "data.epoch_rows=640",
        "data.max_tokens=1024",
        "model.template=vicuna_v1",
    ];
    stage(folder, "sft", "demo/1-sft.toml", &sizes);
    let export = ["export", "talker/model", "--format", "llava"];
    candor(folder, &[&export[..], &["--out", "decoder"]].concat());
    fs::rename(folder.join("decoder/vision_tower"), folder.join("tower")).unwrap();
    leave_the_decoder(&folder.join("decoder"));
    fs::create_dir_all(folder.join("models/llava-7b-224")).unwrap();
    candor(
        folder,
        &[
            "join",
            "--decoder",
            "decoder",
            "--tower",
            "tower",
            "--out",
            "models/llava-7b-224/joined",
        ],
    );
}

/// A small world under the names of the public files, and a model where the first recipe looks for it.
fn prepare(folder: &Path) {
    symlink(format!("{ROOT}/recipes"), folder.join("recipes")).unwrap();
    candor(
        folder,
        &[
            "world",
            "write",
            "--out",
            "world",
            "--train",
            "40",
            "--preference",
            "40",
            "--rl",
            "40",
            "--eval",
            "150",
        ],
    );
    join(folder);

    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    for (public, ours) in [
        ("blip_laion_cc_sbu_558k.json", "pretrain/captions.json"),
        ("llava_instruct_150k.json", "sft/conversations.json"),
        (
            "v2_OpenEnded_mscoco_train2014_questions.json",
            "sft/vqa_questions.json",
        ),
        (
            "v2_mscoco_train2014_annotations.json",
            "sft/vqa_annotations.json",
        ),
        ("aokvqa_v1p0_train.json", "sft/aokvqa.json"),
        ("flickr30k_results.token", "sft/captions.token"),
        ("preference_prompts_10k.json", "preference/prompts.json"),
        ("image_to_caption.json", "facts/image_to_caption.json"),
        ("llava_ppo50k-aokvqa12k-vqa10k.json", "rl/prompts.json"),
        ("coco_pope_random.jsonl", "eval/pope_random.jsonl"),
        ("coco_pope_popular.jsonl", "eval/pope_popular.jsonl"),
        ("coco_pope_adversarial.jsonl", "eval/pope_adversarial.jsonl"),
    ] {
        symlink(folder.join("world").join(ours), data.join(public)).unwrap();
    }
    // COCO's images are .jpg, and what an image is, is told by its content.
    for name in ["pretrain_images", "images", "val2014"] {
        let images = data.join(name);
        fs::create_dir(&images).unwrap();
        for entry in fs::read_dir(folder.join("world/images")).unwrap() {
            let path = entry.unwrap().path();
            let own = images.join(path.file_name().unwrap());
            symlink(&path, &own).unwrap();
            symlink(&path, own.with_extension("jpg")).unwrap();
        }
    }
}

#[test]
fn the_shipped_recipes_of_a_model_chain_from_stage_0_to_6() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let batch = ["data.batch=4", "data.micro_batch=2"];
    let stage = |command: &str, recipe: &str, sizes: &[&str]| {
        stage(folder, command, &format!("llava-7b-224/{recipe}"), sizes);
    };
    let sft = |recipe: &str, counts: &[&str]| {
        stage("sft", recipe, &[&batch, counts].concat());
    };
    sft("0-pretrain.toml", &["data.sources[0].count=8"]);
    sft(
        "1-sft.toml",
        &[
            "run.epochs=1",
            "data.sources[0].count=8",
            "data.sources[1].count=4",
            "data.sources[2].count=4",
            "data.sources[3].count=4",
        ],
    );
    stage(
        "sample",
        "2-sample.toml",
        &["prompts.count=40", "sampling.max_new_tokens=40"],
    );
    // People compare the answers; here the world's own annotator does.
    candor(
        folder,
        &[
            "world",
            "annotate",
            "--world",
            "world",
            "--candidates",
            "runs/llava-7b-224/sample/candidates.jsonl",
            "--out",
            "data/llava_7b_v1_preference.json",
        ],
    );
    let few = [
        "run.steps=6",
        "data.n_validation=2",
        "data.n_held_out=8",
        "evaluation.every=3",
    ];
    stage("reward", "3-reward.toml", &[&batch[..], &few].concat());
    sft(
        "4-policy-init.toml",
        &["data.sources[0].count=4", "data.sources[1].count=4"],
    );
    let sizes = [
        "run.steps=1",
        "batch.rollout_batch=16",
        "batch.mini_batch=16",
        "sampling.max_new_tokens=40",
    ];
    stage("rl", "5-ppo.toml", &sizes);
    stage("eval", "6-eval.toml", &["answers.max_new_tokens=4"]);

    let runs = folder.join("runs/llava-7b-224");
    let results: Value =
        serde_json::from_slice(&fs::read(runs.join("eval/results.json")).unwrap()).unwrap();
    let asked = fs::read_to_string(folder.join("world/eval/pope_random.jsonl")).unwrap();
    let n = asked.lines().count();
    assert_eq!(results["benchmarks"]["pope"]["n"], 3 * n, "{results}");
    let answers = fs::read_to_string(runs.join("eval/answers/pope_random.jsonl")).unwrap();
    assert_eq!(answers.lines().count(), n);
    // What the run folder keeps is the whole, the overlay's values among it.
    let resolved: toml::Table = fs::read_to_string(runs.join("ppo/resolved.toml"))
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(resolved["kl"]["estimator"].as_str(), Some("k1"));
    assert_eq!(resolved["model"]["base_precision"].as_str(), Some("bf16"));
    assert!(!resolved.contains_key("extends"), "{resolved}");
}
