//! Every stage on a Qwen2.5-VL, from its folder on the hub to a merged model, by the shipped recipes: pictures of all
//! shapes, a policy that learns, a reward model that is shown facts, PPO, GRPO and DPO. Only sizes are changed, and folders.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

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

fn stage(folder: &Path, command: &str, recipe: &str, sizes: &[&str]) {
    let recipe = format!("{ROOT}/recipes/{recipe}");
    let common = ["data.root=.", "data.images=images"];
    let sets = common.iter().chain(sizes);
    let sets = sets.flat_map(|size| ["--set", *size]);
    let words: Vec<&str> = [command, &recipe].into_iter().chain(sets).collect();
    candor(folder, &words);
}

fn write(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

/// Pictures, conversations about them, comparisons, prompts and facts.
fn prepare(folder: &Path) {
    fs::create_dir(folder.join("images")).unwrap();
    for (at, [width, height]) in SIZES.into_iter().enumerate() {
        let paint = |x: u32, y: u32| {
            let at = at as u32;
            image::Rgb([(x * 7 + at * 40) as u8, (y * 5) as u8, ((x + y) * 3) as u8])
        };
        let picture = image::RgbImage::from_fn(width, height, paint);
        picture
            .save(folder.join(format!("images/{at}.png")))
            .unwrap();
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
    let talk = |i: usize| json!([asked, said(if i % 2 == 0 { "Yes." } else { "No." })]);
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

#[test]
fn all_stages_run_on_qwen2_5_vl() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let hub = format!("{ROOT}/crates/model/tests/golden/qwen/folders/published");
    let on_hub = format!("model.base={hub}");
    let small = ["data.max_tokens=500", "data.batch=8", "data.micro_batch=4"];
    let f32 = "model.base_precision=f32";
    let talk = r#"data.sources=[{name="talk",format="llava",path="talk.json",count=24}]"#;
    // It learns to end its answers.
    let learns = [
        talk,
        "optimizer.learning_rate=1e-2",
        "run.epochs=30",
        "model.activations=keep",
    ];
    let sft = [&[on_hub.as_str(), "run.out=sft"][..], &small, &learns].concat();
    stage(folder, "sft", "llava-7b-224/1-sft.toml", &sft);
    let base = "model.base=sft/model";

    let sizes = [
        "run.out=sample",
        base,
        f32,
        "data.prompts=talk.json",
        "prompts.count=12",
        "sampling.max_new_tokens=12",
        "run.chunk=6",
    ];
    stage(folder, "sample", "qwen2.5-vl-7b/2-sample.toml", &sizes);
    let candidates = fs::read_to_string(folder.join("sample/candidates.jsonl")).unwrap();
    assert_eq!(candidates.lines().count(), 12);

    let compared = r#"data.preferences=["compared.json"]"#;
    let parts = ["data.n_validation=4", "data.n_held_out=4"];
    let facts = "data.facts=facts.json";
    let prompt = format!("prompt.file={ROOT}/recipes/demo/reward-facts.txt");
    let few = [
        "run.steps=3",
        "evaluation.every=2",
        facts,
        compared,
        prompt.as_str(),
    ];
    let reward = [&["run.out=reward", base, f32][..], &small, &parts, &few].concat();
    stage(folder, "reward", "qwen2.5-vl-7b/3-reward.toml", &reward);

    let init = [&["run.out=init", base, f32, talk][..], &small].concat();
    stage(folder, "sft", "qwen2.5-vl-7b/4-policy-init.toml", &init);

    let rl = |out: &str, recipe: &str, more: &[&str]| {
        let out = format!("run.out={out}");
        let sizes = [
            out.as_str(),
            base,
            f32,
            facts,
            "model.policy_init=init/adapter",
            "model.reward=reward",
            "data.prompts=prompts.json",
            "run.steps=2",
            "run.checkpoint_every=1",
            "sampling.max_new_tokens=16",
            "batch.rollout_batch=8",
            "batch.mini_batch=4",
            "batch.micro_batch=2",
        ];
        stage(
            folder,
            "rl",
            &format!("qwen2.5-vl-7b/{recipe}"),
            &[&sizes[..], more].concat(),
        );
    };
    rl("ppo", "5-ppo.toml", &[]);
    // Rows of a pass change memory and speed, and rounding alone.
    rl("again", "5-ppo.toml", &[]);
    let made = ["adapter/adapter_model.safetensors", "metrics.jsonl"];
    assert!(files(&folder.join("ppo"), &made) == files(&folder.join("again"), &made));
    rl(
        "grpo",
        "grpo/5-grpo.toml",
        &["sampling.samples_per_prompt=4"],
    );

    let dpo = [
        &["run.out=dpo", base, f32, compared, "run.epochs=1"][..],
        &small,
        &parts,
    ]
    .concat();
    stage(folder, "dpo", "qwen2.5-vl-7b/dpo/4-dpo.toml", &dpo);

    let merge = [
        "export",
        "sft/model",
        "--adapter",
        "ppo/adapter",
        "--merge",
        "--out",
        "merged",
    ];
    candor(folder, &merge);
    let ask = |model: &[&str]| {
        let question = [
            "--image",
            "images/1.png",
            "--prompt",
            "Is the dog red?",
            "--precision",
            "f32",
            "--max-new-tokens",
            "6",
            "--json",
        ];
        let answer = candor(folder, &[&["chat"][..], model, &question].concat());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["ids"].clone()
    };
    assert_eq!(
        ask(&["merged"]),
        ask(&["sft/model", "--adapter", "ppo/adapter"])
    );

    // A picture that no tower takes is named before any training.
    image::RgbImage::new(500, 2)
        .save(folder.join("images/2.png"))
        .unwrap();
    let recipe = format!("{ROOT}/recipes/qwen2.5-vl-7b/4-policy-init.toml");
    let sets = [
        &[
            "run.out=strip",
            base,
            f32,
            talk,
            "data.root=.",
            "data.images=images",
        ][..],
        &small,
    ]
    .concat();
    let sets = sets.iter().flat_map(|set| ["--set", *set]);
    let words: Vec<&str> = ["sft", recipe.as_str()].into_iter().chain(sets).collect();
    let output = run(folder, &words);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        message.contains("2.png") && message.contains("200 times"),
        "{message}"
    );
}
