//! Every stage on a Qwen2.5-VL, from its folder on the hub to a merged model, by the shipped recipes: images of all
//! shapes, a policy that learns, a reward model that is shown facts, PPO, GRPO and DPO. Only sizes are changed, and folders.
//! And on a LLaVA-OneVision, whose images are tiles.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use candor_model::{ModelConfig, Vlm};
use serde_json::{Value, json};
use tch::Device;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
/// Three portraits and panoramas, one that is smaller than a token, one that is a token high.
const SIZES: [[u32; 2]; 6] = [
    [60, 200],
    [200, 60],
    [40, 40],
    [120, 90],
    [31, 17],
    [300, 28],
];

fn run(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_candor"))
        .current_dir(folder)
        .args(words)
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap()
}

fn candor(folder: &Path, words: &[&str]) -> String {
    let output = run(folder, words);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {message}");
    String::from_utf8(output.stdout).unwrap()
}

/// The words that run a stage by a shipped recipe, with these fields, apart by spaces, replaced.
fn words(command: &str, recipe: &str, fields: &str) -> Vec<String> {
    let recipe = format!("{ROOT}/recipes/{recipe}");
    let fields = ["data.root=.", "data.images=images"]
        .into_iter()
        .chain(fields.split_whitespace());
    let sets = fields.flat_map(|field| ["--set".to_owned(), field.to_owned()]);
    [command.to_owned(), recipe]
        .into_iter()
        .chain(sets)
        .collect()
}

fn stage(folder: &Path, command: &str, recipe: &str, fields: &str) {
    let words = words(command, recipe, fields);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    candor(folder, &words);
}

fn write(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

/// Images, conversations about them, comparisons, prompts and facts.
fn prepare(folder: &Path) {
    fs::create_dir(folder.join("images")).unwrap();
    for (at, [width, height]) in SIZES.into_iter().enumerate() {
        let paint = |x: u32, y: u32| {
            let at = at as u32;
            image::Rgb([(x * 7 + at * 40) as u8, (y * 5) as u8, ((x + y) * 3) as u8])
        };
        let image = image::RgbImage::from_fn(width, height, paint);
        image.save(folder.join(format!("images/{at}.png"))).unwrap();
    }
    let asked = json!({"from": "human", "value": "<image>\nIs the dog red?"});
    let said = |words: &str| json!({"from": "gpt", "value": words});
    let row = |i: usize, more: Value| {
        let mut row = json!({"id": format!("r{i}"), "image": format!("{}.png", i % SIZES.len())});
        row.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        row
    };
    let talk = |i: usize| {
        json!([
            asked,
            said(if i.is_multiple_of(2) { "Yes." } else { "No." })
        ])
    };
    let rows = |of: &dyn Fn(usize) -> Value| (0..24).map(|i| row(i, of(i))).collect::<Value>();
    write(
        &folder.join("talk.json"),
        &rows(&|i| json!({"conversations": talk(i)})),
    );
    let prompts = |i| json!({"conversations": talk(i), "caption_type": 1, "length_bonus": 1.0});
    write(&folder.join("prompts.json"), &rows(&prompts));
    let compared = |i: usize| {
        json!({
            "conversations": [asked], "output_1": said("Yes."), "output_2": said("No, the ball is."),
            "preference": 1 + i % 2, "hallucination": true,
        })
    };
    write(&folder.join("compared.json"), &rows(&compared));
    let names = (0..SIZES.len()).map(|at| format!("{at}.png"));
    let facts: Value = names
        .map(|name| (name, json!(["A red dog on the beach."])))
        .collect();
    write(&folder.join("facts.json"), &facts);
}

fn files(folder: &Path, names: &[&str]) -> Vec<Vec<u8>> {
    let read = |name: &&str| fs::read(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    names.iter().map(read).collect()
}

const SMALL: &str = "data.max_tokens=500 data.batch=8 data.micro_batch=4";
const BASE: &str = "model.base=sft/model model.base_precision=f32";
const TALK: &str = r#"data.sources=[{name="talk",format="llava",path="talk.json",count=24}]"#;
const COMPARED: &str =
    r#"data.preferences=["compared.json"] data.n_validation=4 data.n_held_out=4"#;

/// A policy that has learned to end its answers, its samples, a reward model, and what PPO starts from.
fn before_ppo(folder: &Path, hub: &str) {
    let learns = "optimizer.learning_rate=1e-2 run.epochs=30 model.activations=keep";
    let fields = format!("run.out=sft model.base={hub} {SMALL} {TALK} {learns}");
    stage(folder, "sft", "llava-7b-224/1-sft.toml", &fields);

    let few = "prompts.count=12 sampling.max_new_tokens=12 run.chunk=6";
    let fields = format!("run.out=sample {BASE} data.prompts=talk.json {few}");
    stage(folder, "sample", "qwen2.5-vl-7b/2-sample.toml", &fields);
    let candidates = fs::read_to_string(folder.join("sample/candidates.jsonl")).unwrap();
    assert_eq!(candidates.lines().count(), 12);

    let prompt = format!("prompt.file={ROOT}/recipes/demo/reward-facts.txt");
    let few = "run.steps=3 evaluation.every=2 data.facts=facts.json";
    let fields = format!("run.out=reward {BASE} {SMALL} {COMPARED} {prompt} {few}");
    stage(folder, "reward", "qwen2.5-vl-7b/3-reward.toml", &fields);

    let fields = format!("run.out=init {BASE} {SMALL} {TALK}");
    stage(folder, "sft", "qwen2.5-vl-7b/4-policy-init.toml", &fields);
}

fn reinforce(folder: &Path, out: &str, recipe: &str, more: &str) {
    let parts = "model.policy_init=init/adapter model.reward=reward data.prompts=prompts.json data.facts=facts.json";
    let few =
        "run.steps=2 run.checkpoint_every=1 sampling.max_new_tokens=16 guard.min_response_tokens=1";
    let rows = "batch.rollout_batch=8 batch.mini_batch=4 batch.micro_batch=2";
    let fields = format!("run.out={out} {BASE} {parts} {few} {rows} {more}");
    stage(folder, "rl", &format!("qwen2.5-vl-7b/{recipe}"), &fields);
}

/// The ids that a model answers with.
fn ask(folder: &Path, model: &[&str]) -> Value {
    let question = "--image images/1.png --prompt red? --precision f32 --max-new-tokens 6 --json";
    let question: Vec<&str> = question.split_whitespace().collect();
    let answer = candor(folder, &[&["chat"][..], model, &question].concat());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["ids"].clone()
}

#[test]
fn all_stages_run_on_qwen2_5_vl() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let hub = format!("{ROOT}/crates/model/tests/golden/qwen/folders/published");
    before_ppo(folder, &hub);
    reinforce(folder, "ppo", "5-ppo.toml", "");
    // The same again has the same bytes.
    reinforce(folder, "again", "5-ppo.toml", "");
    let made = ["adapter/adapter_model.safetensors", "metrics.jsonl"];
    assert!(files(&folder.join("ppo"), &made) == files(&folder.join("again"), &made));
    reinforce(
        folder,
        "grpo",
        "grpo/5-grpo.toml",
        "sampling.samples_per_prompt=4",
    );
    let fields = format!("run.out=dpo {BASE} {SMALL} {COMPARED} run.epochs=1");
    stage(folder, "dpo", "qwen2.5-vl-7b/dpo/4-dpo.toml", &fields);

    let merge = "export sft/model --adapter ppo/adapter --merge --out merged";
    candor(folder, &merge.split_whitespace().collect::<Vec<_>>());
    let apart = ask(folder, &["sft/model", "--adapter", "ppo/adapter"]);
    assert_eq!(ask(folder, &["merged"]), apart);

    // An image that no tower takes is named before any training.
    let strip = image::RgbImage::new(500, 2);
    strip.save(folder.join("images/2.png")).unwrap();
    let fields = format!("run.out=strip {BASE} {SMALL} {TALK}");
    let words = words("sft", "qwen2.5-vl-7b/4-policy-init.toml", &fields);
    let output = run(
        folder,
        &words.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    let named = message.contains("2.png") && message.contains("200 times");
    assert!(named, "{message}");
}

/// A LLaVA-OneVision of fresh weights and small tiles, with the text of a folder on the hub.
fn onevision(folder: &Path) {
    let from = format!("{ROOT}/crates/model/tests/golden/tiled/folders/onevision");
    let (from, to) = (Path::new(&from), folder.join("hub"));
    fs::create_dir(&to).unwrap();
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.json",
    ] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(from.join(name)).unwrap()).unwrap()
    };
    let pinpoints = json!([[42, 84], [84, 42], [84, 84], [126, 42]]);
    let mut config = read("config.json");
    config["image_grid_pinpoints"] = pinpoints.clone();
    config["vision_config"]["image_size"] = json!(42);
    let config = ModelConfig::of_json(&config.to_string()).unwrap();
    let model = Vlm::fresh(config, 0, Device::Cpu).unwrap();
    model.save(&to).unwrap();
    let mut images = read("preprocessor_config.json");
    images["image_grid_pinpoints"] = pinpoints;
    images["size"] = json!({"height": 42, "width": 42});
    write(&to.join("preprocessor_config.json"), &images);
    let mut counts = read("processor_config.json");
    counts["num_image_tokens"] = json!(9);
    write(&to.join("processor_config.json"), &counts);
    // Its own template trains no token that ends an answer.
    let chatml = json!({"kind": "chatml", "system": "You are a helpful assistant."});
    write(&to.join("template.json"), &chatml);
}

#[test]
fn all_stages_run_on_llava_onevision() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    onevision(folder);
    let page = candor(folder, &["inspect", "hub"]);
    for words in [
        "LlavaOnevisionForConditionalGeneration",
        "tiles of 42 pixels",
        "fit together",
    ] {
        assert!(page.contains(words), "{page}");
    }
    before_ppo(folder, "hub");
    reinforce(folder, "ppo", "5-ppo.toml", "");
    reinforce(folder, "again", "5-ppo.toml", "");
    let made = ["adapter/adapter_model.safetensors", "metrics.jsonl"];
    assert!(files(&folder.join("ppo"), &made) == files(&folder.join("again"), &made));
    let merge = "export sft/model --adapter ppo/adapter --merge --out merged";
    candor(folder, &merge.split_whitespace().collect::<Vec<_>>());
    let apart = ask(folder, &["sft/model", "--adapter", "ppo/adapter"]);
    assert_eq!(ask(folder, &["merged"]), apart);
}
