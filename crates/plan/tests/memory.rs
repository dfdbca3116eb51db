//! What a plan says of memory against what tensors hold: the device is a pretend one (`candor-pretend-cuda`), which counts.

use std::fs;
use std::path::Path;

use candor_data::formats::preference;
use candor_data::{Preference, Turn, Verdict};
use candor_dpo::DpoRecipe;
use candor_model::Tokenizer;
use candor_plan::Planner;
use candor_pretend_cuda::{FIRST, PretendCuda, SECOND};
use candor_reward::RewardRecipe;
use candor_run::LaunchOptions;
use candor_sample::SampleRecipe;
use candor_sft::SftRecipe;
use candor_testing::images::wall;
use candor_testing::model::TinyModel;
use candor_testing::ranks::on_threads;
use candor_testing::run::{launch, sets};
use serde_json::json;

/// The recipes that train but for their data and their objective.
const RECIPE: &str = r#"
seed = 1
[run]
out = "out"
steps = 2
checkpoint_every = 9
keep_checkpoints = 1
[model]
base = "base"
[optimizer]
learning_rate = 1e-3
schedule = "constant"
warmup_ratio = 0.0
beta1 = 0.9
beta2 = 0.999
eps = 1e-8
weight_decay = 0.0
max_grad_norm = 1.0
"#;

const LORA: &[&str] = &[
    "model.tune=\"lora\"",
    "model.lora={ r = 4, alpha = 8.0, targets = [\"q_proj\", \"v_proj\", \"down_proj\"] }",
];
const WHOLE: &[&str] = &[
    "model.tune=\"all_but_tower\"",
    "model.base_precision=\"bf16\"",
];

const ONE_BLOCK: &[&str] = &[
    "model.tune=\"all_but_tower\"",
    "model.base_precision=\"bf16\"",
    "model.recompute_blocks=1",
];
const ON_HOST: &[&str] = &[
    "model.tune=\"all_but_tower\"",
    "model.base_precision=\"bf16\"",
    "optimizer.states=\"host\"",
];

const SFT: &str = r#"
[data]
root = "."
images = "."
max_tokens = 300
batch = 4
micro_batch = 4
sources = [{ name = "rows", format = "llava", path = "rows.json" }]
"#;

const DPO: &str = r#"
[data]
root = "."
images = "."
preferences = ["preferences.json"]
max_tokens = 300
batch = 4
micro_batch = 4
n_validation = 4
n_held_out = 4
[dpo]
loss = "sigmoid"
beta = 0.5
label_smoothing = 0.0
logprob = "sum"
common_beginning = "counted"
sft_weight = 0.0
[evaluation]
every = 2
"#;

const REWARD: &str = r#"
[prompt]
text = "Is it so?"
bullet = "- "
caption_order = "file"
pooling = "last_token"
[data]
root = "."
images = "."
preferences = ["preferences.json"]
max_tokens = 300
batch = 2
micro_batch = 1
n_validation = 2
n_held_out = 2
[loss]
centering_coef = 0.0
centering_over = "batch"
[evaluation]
every = 9
patience = 0
"#;

const SAMPLE: &str = r#"
seed = 1
[run]
out = "out"
chunk = 4
[model]
base = "base"
[data]
root = "."
images = "."
prompts = "rows.json"
[prompts]
count = 4
[sampling]
temperature = 0.7
top_p = 1.0
max_new_tokens = 6
batch_rows = 2
"#;

/// Two hundred words, so that logits are a large part of a pass, as they are in a real model.
fn words() -> Vec<String> {
    let syllables = [
        "ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo",
    ];
    let word = |i: usize| {
        [i % 14, i / 14 % 14, (i * 5 + i / 14) % 14]
            .map(|s| syllables[s])
            .concat()
    };
    (0..200).map(word).collect()
}

/// An answer of so many words.
fn answer(first: usize, n_words: usize) -> String {
    let words = words();
    let of = |i: usize| words[(first * 37 + i * 11) % words.len()].clone();
    (0..n_words).map(of).collect::<Vec<_>>().join(" ")
}

/// A decoder of this width, whose two heads read so many of keys and values, rows with answers of so many words, and recipes.
fn prepare(folder: &Path, width: i64, n_kv_heads: i64, n_words: usize) {
    let text = format!("USER: What is there? ASSISTANT: {}", words().join(" "));
    TinyModel {
        texts: vec![text; 20],
        n_positions: 320,
        width,
        n_kv_heads,
        ..TinyModel::default()
    }
    .write(&folder.join("base"));
    let (mut preferences, mut conversations) = (Vec::new(), Vec::new());
    for i in 0..12 {
        let image = format!("{i}.png");
        wall(&folder.join(&image), [20 * i as u8, 90, 200]);
        let asked = "<image>\nWhat is there?";
        conversations.push(
            json!({"id": i.to_string(), "image": image, "conversations": [
                {"from": "human", "value": asked}, {"from": "gpt", "value": answer(i, n_words)},
            ]}),
        );
        preferences.push(Preference {
            id: i.to_string(),
            image: Some(image),
            turns: vec![Turn::human(asked)],
            original_answer: None,
            outputs: [answer(i, n_words), answer(i + 50, n_words)],
            fewer_hallucinations: Verdict::First,
            more_helpful: None,
            record: None,
            explanation: None,
        });
    }
    preference::write(&folder.join("preferences.json"), &preferences).unwrap();
    let rows = serde_json::to_string(&conversations).unwrap();
    fs::write(folder.join("rows.json"), rows).unwrap();
    let recipe = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    recipe(
        "sft.toml",
        &format!("{RECIPE}{SFT}").replace("[model]", "[model]\ntemplate = \"own\""),
    );
    recipe("dpo.toml", &format!("{RECIPE}{DPO}"));
    recipe("reward.toml", &format!("{RECIPE}{REWARD}"));
    recipe("sample.toml", SAMPLE);
}

/// What the plan of a recipe says that a run holds on its device, and the most that it holds. Features and the program are the host's.
fn said_and_held(
    devices: &PretendCuda,
    folder: &Path,
    stage: &str,
    out: &str,
    others: &[&str],
) -> [u64; 2] {
    let recipe = folder.join(format!("{stage}.toml"));
    let paths = [("run.out", out), ("model.base", "base"), ("data.root", "")];
    let sets = sets(folder, &paths, others);
    let plan = Planner::default().plan(&recipe, &sets).unwrap();
    let memory = plan.memory.unwrap();
    let said = memory.weights_bytes + memory.trained_bytes + memory.work_bytes;
    let before = devices.held(FIRST).now;
    devices.restart();
    match stage {
        "sft" => {
            let recipe = SftRecipe::open(&recipe, &sets).unwrap();
            candor_sft::run::run(&recipe, &launch(false), FIRST).unwrap();
        }
        "dpo" => {
            let recipe = DpoRecipe::open(&recipe, &sets).unwrap();
            candor_dpo::run(&recipe, &launch(false), FIRST).unwrap();
        }
        "reward" => {
            let recipe = RewardRecipe::open(&recipe, &sets).unwrap();
            candor_reward::run(&recipe, &launch(false), FIRST).unwrap();
        }
        _ => {
            let recipe = SampleRecipe::open(&recipe, &sets).unwrap();
            candor_sample::run(&recipe, &launch(false), FIRST).unwrap();
        }
    }
    let held = devices.held(FIRST).peak - before;
    println!("{out}: {said} said, {held} held");
    [said, held]
}

/// A plan is a bound: a run holds no more, and not much less, on its device.
#[test]
fn a_run_holds_what_its_plan_says() {
    let devices = PretendCuda::take();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder, 24, 2, 40);
    for (number, (stage, activations, tune)) in [
        ("sft", "keep", LORA),
        ("sft", "recompute", LORA),
        ("sft", "keep", WHOLE),
        ("sft", "recompute", ON_HOST),
        ("sft", "recompute", ONE_BLOCK),
        ("dpo", "keep", LORA),
        ("dpo", "recompute", LORA),
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("{number}-{stage}-{activations}");
        let keep = format!("model.activations={activations:?}");
        let others = [&[keep.as_str()], tune].concat();
        let [said, held] = said_and_held(&devices, folder, stage, &out, &others);
        assert!(
            held <= said && said < 2 * held,
            "{out}: {said} said, {held} held"
        );
    }
    ranks_hold_what_their_plan_says(&devices, folder);
}

/// Attention is the plain one on these devices, where on a GPU it is one that keeps no scores. Those that it keeps are counted here by hand,
/// in f32 for each block and answer: of each head one for every two tokens. Answers are taken to be as long as the
/// longest sequence, which makes up for what the beginning reads of itself.
#[test]
fn a_run_whose_heads_share_holds_what_its_plan_says_and_what_attention_keeps() {
    let devices = PretendCuda::take();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder, 24, 1, 40);
    let tokenizer = Tokenizer::open(&folder.join("base/tokenizer.json")).unwrap();
    let n_tokens = |first: usize| {
        let asked = "<s>Be honest. USER: <image>\nWhat is there? ASSISTANT: ";
        let of_reward = "</s>USER: Is it so? ASSISTANT: ";
        let text = format!("{asked}{}{of_reward}", answer(first, 40));
        // An image is four tokens, its placeholder one.
        tokenizer.encode(&text).unwrap().ids.len() as u64 + 3
    };
    let longest = (0..12)
        .flat_map(|i| [i, i + 50])
        .map(n_tokens)
        .max()
        .unwrap();
    let of_answer = 2 * 4 * 2 * longest * longest;
    // Four pairs to a pass, and one.
    for (stage, n_answers, tune) in [("dpo", 8, LORA), ("reward", 2, &LORA[1..])] {
        let others = [&["model.activations=\"keep\""], tune].concat();
        let [said, held] = said_and_held(&devices, folder, stage, stage, &others);
        assert!(
            held <= said + n_answers * of_answer && said < 2 * held,
            "{stage}: {said} said, {held} held, {of_answer} an answer"
        );
    }
}

/// Of a 7B with an adapter nine tenths of what a run holds are its base; so they are here, and a plan is a bound and a close one: a
/// second copy of the base, or of a good part of it, is outside of the tenth by which it may say too much.
#[test]
fn a_plan_of_a_large_base_is_right_within_a_tenth() {
    let devices = PretendCuda::take();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder, 1280, 2, 2);
    let lora = LORA[1];
    let few = ["run.steps=1", "data.batch=2", "data.micro_batch=1"];
    let held_out = ["data.n_validation=2", "data.n_held_out=2"];
    let [keep, recompute] =
        ["keep", "recompute"].map(|activations| format!("model.activations={activations:?}"));
    let (keep, recompute) = (keep.as_str(), recompute.as_str());
    let tuned = [LORA, &few].concat();
    for (stage, out, others) in [
        ("sft", "sft-keep", [&[keep], &tuned[..]].concat()),
        ("sft", "sft-recompute", [&[recompute], &tuned[..]].concat()),
        ("dpo", "dpo", [&[keep], &tuned[..], &held_out].concat()),
        (
            "reward",
            "reward",
            [&[keep, lora], &few[..], &held_out].concat(),
        ),
        ("sample", "sample", Vec::new()),
    ] {
        let [said, held] = said_and_held(&devices, folder, stage, out, &others);
        assert!(
            held <= said && 10 * (said - held) <= said,
            "{out}: {said} said, {held} held"
        );
    }
}

/// The same of two ranks that share out the optimizer, which saves what is said, and more where its states are on the host.
fn ranks_hold_what_their_plan_says(devices: &PretendCuda, folder: &Path) {
    let mut found = Vec::new();
    for (out, precision, lanes, shard, states) in [
        ("ranks-whole", "f32", 4, "none", "device"),
        ("ranks-shared", "f32", 4, "zero2", "device"),
        ("ranks-masters", "bf16", 4, "zero2", "device"),
        ("ranks-on-host", "bf16", 4, "zero2", "host"),
        ("ranks-sums", "bf16", 2, "zero2", "device"),
        ("ranks-blocks", "f32", 4, "zero3", "device"),
        ("ranks-blocks-rounded", "bf16", 4, "zero3", "device"),
    ] {
        let own = format!("model.base_precision={precision:?}");
        let (lanes, shard) = (format!("run.lanes={lanes}"), format!("run.shard={shard:?}"));
        let states = format!("optimizer.states={states:?}");
        let others = [own.as_str(), &lanes, &shard, &states];
        let [said, held] = said_and_held_by_a_rank(devices, folder, out, &others);
        assert!(
            held <= said && said < 2 * held,
            "{out}: {said} said, {held} held"
        );
        found.push([said, held]);
    }
    for (more, less) in [(0, 1), (2, 3)] {
        let [said, held] = [0, 1].map(|what| found[more][what] - found[less][what]);
        // Bounds may be loose in other places, but not by half of it.
        assert!(held > said / 2, "{said} said to be saved, {held} saved");
    }
    let weights = |out: &str| fs::read(folder.join(out).join("model/model.safetensors")).unwrap();
    assert!(weights("ranks-masters") == weights("ranks-on-host"));
}

/// Where weights and what the optimizer has of them are nearly all that a rank holds, its plan is right within a tenth, whatever ranks
/// share out.
#[test]
fn a_plan_of_ranks_that_train_a_large_base_is_right_within_a_tenth() {
    let devices = PretendCuda::take();
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    // So wide that what a pass takes besides, which is bounded loosely, is a small part.
    prepare(folder, 1280, 2, 2);
    for (out, shard, precision, [lanes, rows]) in [
        ("whole", "none", "f32", [2, 2]),
        ("shared", "zero2", "f32", [2, 2]),
        ("rounded", "zero2", "bf16", [2, 2]),
        ("sums", "zero2", "bf16", [2, 4]),
        ("blocks-sums", "zero3", "bf16", [2, 4]),
    ] {
        let (shard, own) = (
            format!("run.shard={shard:?}"),
            format!("model.base_precision={precision:?}"),
        );
        let (lanes, batch) = (format!("run.lanes={lanes}"), format!("data.batch={rows}"));
        let others = [lanes.as_str(), &batch, &shard, &own];
        let [said, held] = said_and_held_by_a_rank(&devices, folder, out, &others);
        assert!(
            held <= said && 10 * (said - held) <= said,
            "{out}: {said} said, {held} held"
        );
    }
}

/// What the plan of full fine-tuning on two ranks says that each holds on its device, and what the one that holds more does.
fn said_and_held_by_a_rank(
    devices: &PretendCuda,
    folder: &Path,
    out: &str,
    others: &[&str],
) -> [u64; 2] {
    let recipe = folder.join("sft.toml");
    let paths = [("run.out", out), ("model.base", "base"), ("data.root", "")];
    let whole = [
        "model.tune=\"all_but_tower\"",
        "model.activations=\"recompute\"",
        "data.micro_batch=1",
    ];
    let sets = sets(folder, &paths, &[&whole, others].concat());
    let plan = Planner::default().of_ranks(2).plan(&recipe, &sets).unwrap();
    let memory = plan.memory.unwrap();
    let said = memory.weights_bytes + memory.trained_bytes + memory.work_bytes;
    let both = [FIRST, SECOND];
    let before = both.map(|device| devices.held(device).now);
    devices.restart();
    on_threads(2, |ranks| {
        let device = both[ranks.rank()];
        let recipe = SftRecipe::open(&recipe, &sets).unwrap();
        let launch = LaunchOptions {
            ranks,
            ..launch(false)
        };
        candor_sft::run::run(&recipe, &launch, device).unwrap();
    });
    let held = [0, 1].map(|rank| devices.held(both[rank]).peak - before[rank]);
    let held = held.into_iter().max().unwrap();
    println!("{out}: {said} said, {held} held");
    [said, held]
}
