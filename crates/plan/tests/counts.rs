//! Steps, rows, tokens and images are those of the data.

use std::fs;
use std::path::Path;

use candor_model::Tokenizer;
use candor_plan::Planner;
use candor_testing::model::TinyModel;
use serde_json::json;

const RECIPE: &str = r#"
seed = 1
[run]
out = "out"
epochs = 2
checkpoint_every = 5
keep_checkpoints = 2
[model]
base = "base"
tune = "lora"
lora = { r = 4, alpha = 8.0, targets = ["q_proj", "v_proj"] }
template = "own"
activations = "keep"
[data]
root = "."
images = "."
max_tokens = 120
batch = 2
micro_batch = 1
sources = [{ name = "rows", format = "llava", path = "rows.json" }]
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

/// A model folder, and three conversations about two images.
fn prepare(folder: &Path) {
    let words = "USER: What is it? ASSISTANT: A bus.";
    TinyModel {
        system: "",
        n_positions: 160,
        ..TinyModel::knowing(words)
    }
    .write(&folder.join("base"));
    let row = |id: &str, image: &str, turns: usize| {
        let turn = |i: usize| match i {
            0 => json!({"from": "human", "value": "<image>\nWhat is it?"}),
            i if i % 2 == 0 => json!({"from": "human", "value": "What is it?"}),
            _ => json!({"from": "gpt", "value": "A bus."}),
        };
        json!({"id": id, "image": image, "conversations": (0..turns).map(turn).collect::<Vec<_>>()})
    };
    let rows = json!([
        row("a", "1.png", 2),
        row("b", "1.png", 2),
        row("c", "2.png", 4)
    ]);
    fs::write(folder.join("rows.json"), rows.to_string()).unwrap();
    fs::write(folder.join("recipe.toml"), RECIPE).unwrap();
}

/// An override of a path in a folder.
fn inside(folder: &Path, key: &str, name: &str) -> String {
    format!("{key}={:?}", folder.join(name).display().to_string())
}

#[test]
fn longer_rows_than_the_model_has_positions_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    let plan = |max_tokens: u32| {
        let sets = [
            inside(folder, "model.base", "base"),
            inside(folder, "data.root", ""),
            format!("data.max_tokens={max_tokens}"),
        ];
        Planner::default().plan(&folder.join("recipe.toml"), &sets)
    };
    assert!(plan(160).is_ok());
    let said = plan(161).unwrap_err().to_string();
    assert!(
        said.contains("data.max_tokens is 161, but the model has 160 positions"),
        "{said}"
    );
}

#[test]
fn a_fine_tuning_is_counted_on_its_data() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    let sets = [
        inside(folder, "model.base", "base"),
        inside(folder, "data.root", ""),
    ];
    let plan = Planner::new(Some(10.0))
        .plan(&folder.join("recipe.toml"), &sets)
        .unwrap();
    // Two steps an epoch: two conversations and one.
    assert_eq!((plan.n_steps, plan.n_rows), (Some(4), Some(3)));
    // The texts are written out; an image takes four tokens where its placeholder takes one.
    let tokenizer = Tokenizer::open(&folder.join("base/tokenizer.json")).unwrap();
    let count = |text: &str| tokenizer.encode(text).unwrap().ids.len() as u64;
    let short = count("<s>USER: <image>\nWhat is it? ASSISTANT: A bus.</s>") + 3;
    let long = short + count("USER: What is it? ASSISTANT: A bus.</s>");
    assert_eq!(plan.n_tokens, Some(2 * (2 * short + long)));
    assert_eq!(plan.secs, Some((2 * (2 * short + long)) as f64 / 10.0));
    assert!(
        !plan.tokens_are_a_bound && plan.notes.is_empty(),
        "{plan:?}"
    );
    let memory = plan.memory.unwrap();
    // Two images of four patches, 16 wide, in f32; an adapter of rank 4 on two layers of two blocks, and the gradient of a second pass
    // beside what it is added to, a tensor at a time.
    assert_eq!(memory.features_bytes, 2 * 4 * 16 * 4);
    let adapter = 4 * 4 * 2 * 2 * (24 + 24);
    assert_eq!(memory.trained_bytes, 3 * adapter + 4 * 4 * 24);

    fs::remove_file(folder.join("rows.json")).unwrap();
    let plan = Planner::default()
        .plan(&folder.join("recipe.toml"), &sets)
        .unwrap();
    assert_eq!((plan.n_steps, plan.n_tokens), (None, None));
    assert!(
        plan.notes[0].contains("rows.json is not here, so tokens are not counted"),
        "{:?}",
        plan.notes
    );
    let counted = [&sets[..], &["data.sources[0].count=30".to_owned()]].concat();
    let bounded = Planner::default()
        .plan(&folder.join("recipe.toml"), &counted)
        .unwrap();
    // Two epochs of 15 steps, two conversations of at most 120 tokens each.
    assert_eq!(
        (
            bounded.n_steps,
            bounded.n_tokens,
            bounded.tokens_are_a_bound
        ),
        (Some(30), Some(30 * 2 * 120), true)
    );
    assert!(
        plan.notes[1].contains("features of the images come on top"),
        "{:?}",
        plan.notes
    );
}

/// A look's passes are as large as those of training, and a conversation without an image may be trained on as a whole.
#[test]
fn the_longest_conversation_may_be_held_out_and_show_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    let tokenizer = Tokenizer::open(&folder.join("base/tokenizer.json")).unwrap();
    let count = |text: &str| tokenizer.encode(text).unwrap().ids.len() as u64;
    let first = count("<s>USER: What is it? ASSISTANT: A bus.</s>");
    let more = count("USER: What is it? ASSISTANT: A bus.</s>");
    // As many as 120 tokens hold.
    let n_more = (120 - first) / more;
    let pair = || {
        [
            json!({"from": "human", "value": "What is it?"}),
            json!({"from": "gpt", "value": "A bus."}),
        ]
    };
    let turns: Vec<_> = (0..=n_more).flat_map(|_| pair()).collect();
    let rows = json!([{"id": "long", "conversations": turns}]);
    fs::write(folder.join("held-out.json"), rows.to_string()).unwrap();
    let sets = [
        inside(folder, "model.base", "base"),
        inside(folder, "data.root", ""),
        "data.micro_batch=2".to_owned(),
        "evaluation.every=1".to_owned(),
        r#"evaluation.sources=[{ name = "long", format = "llava", path = "held-out.json" }]"#
            .to_owned(),
    ];
    let plan = Planner::default()
        .plan(&folder.join("recipe.toml"), &sets)
        .unwrap();
    assert_eq!(plan.n_rows, Some(3));
    // By hand, in f32: two blocks keep 9 d + 2 k + 4 f numbers a token, of widths 24, 24 and 48; logits are 16 bytes a word.
    let kept = 2 * 4 * (9 * 24 + 2 * 24 + 4 * 48);
    let logits = 16 * tokenizer.vocab_size() as u64;
    let longest = first + n_more * more;
    assert_eq!(
        plan.memory.unwrap().work_bytes,
        2 * longest * (kept + logits)
    );
}

/// Two ranks encode one of the two images each for the other, unless an adapter changes the tower: then both read both.
#[test]
fn ranks_encode_images_for_each_other_where_the_tower_stays() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    // By hand, r (n_in + n_out) in f32: two layers of the two blocks, 24 wide; of the tower's two blocks, which are 16 wide,
    // four layers of 16 + 16 and two of 16 + 32.
    let decoder = 4 * 4 * 2 * 2 * (24 + 24);
    let tower = 4 * 4 * 2 * (4 * 32 + 2 * 48);
    for (targets, kept, start) in [
        // Two images of four patches, 16 wide, of which one comes from the other rank.
        (r#"["q_proj", "v_proj"]"#, 2 * 256, 3 * decoder + 256),
        // Two images of 16 x 16 pixels of three colours.
        (
            r#"["q_proj", "v_proj", "tower"]"#,
            2 * 16 * 16 * 3 * 4,
            3 * (decoder + tower),
        ),
    ] {
        let sets = [
            inside(folder, "model.base", "base"),
            inside(folder, "data.root", ""),
            "run.lanes=2".to_owned(),
            format!("model.lora={{ r = 4, alpha = 8.0, targets = {targets} }}"),
        ];
        let mut planner = Planner::default().of_ranks(2);
        let plan = planner.plan(&folder.join("recipe.toml"), &sets).unwrap();
        assert_eq!(plan.memory.unwrap().features_bytes, kept, "{targets}");
        assert_eq!(plan.sharing.unwrap().start_bytes, start, "{targets}");
    }
}

#[test]
fn rows_that_a_run_would_skip_are_not_counted_and_repeated_rows_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    // The image of the first two rows is there, that of the third is not.
    fs::write(
        folder.join("1.png"),
        include_bytes!("../../data/tests/golden/images/gray.png"),
    )
    .unwrap();
    let sets = [
        inside(folder, "model.base", "base"),
        inside(folder, "data.root", ""),
        "data.on_bad_row=\"skip\"".to_owned(),
        "data.sources=[{name=\"rows\",format=\"llava\",path=\"rows.json\",count=5}]".to_owned(),
    ];
    let plan = Planner::default()
        .plan(&folder.join("recipe.toml"), &sets)
        .unwrap();
    assert_eq!((plan.n_steps, plan.n_rows), (Some(6), Some(2)));
    assert_eq!(
        plan.notes,
        [
            "1 row is skipped: 1 missing_image",
            "an epoch takes rows more than once: those of \"rows\" 2.5 times (5 rows of 2)",
        ]
    );
}

/// A pass of 120 tokens has room for 30 images of four tokens, however many rows it might have; an adapter changes the tower.
#[test]
fn a_pass_has_no_more_images_than_its_tokens_have_room_for() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    fs::remove_file(folder.join("rows.json")).unwrap();
    let work = |rows: usize| {
        let sets = [
            inside(folder, "model.base", "base"),
            inside(folder, "data.root", ""),
            "data.sources[0].count=64".to_owned(),
            r#"model.lora={ r = 4, alpha = 8.0, targets = ["q_proj", "tower"] }"#.to_owned(),
            "data.batch=64".to_owned(),
            format!("data.micro_batch={rows}"),
            "data.pass_tokens=120".to_owned(),
        ];
        let plan = Planner::default().plan(&folder.join("recipe.toml"), &sets);
        plan.unwrap().memory.unwrap().work_bytes
    };
    assert_eq!(work(64), work(32));
}

/// By hand, in f32: two layers of two blocks, each adapted by two tensors of 4 times 24, of which a second pass has one more gradient.
#[test]
fn states_on_the_host_are_told_and_counted_where_that_is_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    prepare(folder);
    let adapter = 4 * 4 * 2 * 2 * (24 + 24);
    let largest = 4 * 4 * 24;
    for (device, trained, is_told) in [
        ("cuda", adapter + 2 * largest + largest, true),
        ("cpu", 3 * adapter + largest, false),
    ] {
        let sets = [
            inside(folder, "model.base", "base"),
            inside(folder, "data.root", ""),
            format!("run.device={device:?}"),
            "optimizer.states=\"host\"".to_owned(),
        ];
        let plan = Planner::default().plan(&folder.join("recipe.toml"), &sets);
        let plan = plan.unwrap();
        assert_eq!(plan.memory.unwrap().trained_bytes, trained);
        let is_of_host = |note: &String| note.contains("of the host's memory");
        assert_eq!(plan.notes.iter().any(is_of_host), is_told, "{plan:?}");
    }
}
