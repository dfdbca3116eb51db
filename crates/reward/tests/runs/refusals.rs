//! What a reward run refuses, and whether it says where and what to do.

use std::fs;
use std::path::Path;

use crate::tiny::{RECIPE, prepared, recipe, refusal, run};
use candor_data::formats::{captions, preference};
use candor_recipe::Reader;
use candor_reward::RewardRecipe;
use candor_testing::run::launch;
use tch::Device;

fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` in: {message}");
    }
}

#[test]
fn facts_that_are_missing_damaged_or_incomplete() {
    let folder = prepared();
    let path = folder.path();
    let facts = path.join("facts.json");
    let text = fs::read_to_string(&facts).unwrap();

    fs::write(&facts, &text[..text.len() / 2]).unwrap();
    assert_names(&refusal(path, "damaged", &[]), &["facts.json"]);
    fs::remove_file(&facts).unwrap();
    assert_names(&refusal(path, "missing", &[]), &["facts.json"]);
    // Without the slot nobody asks for them.
    run(path, "plain", &["prompt.text=\"Is it so?\"", "run.steps=1"]).unwrap();

    fs::write(&facts, text).unwrap();
    let mut book = candor_data::FactBook::new();
    for (image, known) in captions::read(&facts)
        .unwrap()
        .iter()
        .filter(|(i, _)| *i != "5.png")
    {
        *book.entry(image) = known.clone();
    }
    captions::write(&facts, &book).unwrap();
    let message = refusal(path, "incomplete", &[]);
    assert_names(&message, &["preferences.json: row 1", "\"5.png\"", "facts"]);
    assert!(
        !path.join("incomplete/resolved.toml").exists(),
        "nothing was to be begun"
    );
}

#[test]
fn rows_that_do_not_fit() {
    let folder = prepared();
    let path = folder.path();
    let message = refusal(path, "long", &["data.max_tokens=40"]);
    assert_names(
        &message,
        &["preferences.json: row", "output_", "40", "max_tokens"],
    );
    let message = refusal(path, "room", &["data.max_tokens=161"]);
    assert_names(&message, &["160 positions", "data.max_tokens"]);
    let message = refusal(path, "few", &["data.n_held_out=40"]);
    assert_names(&message, &["48 comparisons", "40 held out", "lower"]);
    let message = refusal(path, "none", &["data.preferences=[\"other.json\"]"]);
    assert_names(&message, &["other.json"]);
    fs::remove_file(path.join("7.png")).unwrap();
    assert_names(&refusal(path, "image", &[]), &["7.png"]);
}

#[test]
fn comparisons_that_cannot_be_judged_are_named_or_left_out_and_counted() {
    let folder = prepared();
    let path = folder.path();
    let rows = preference::read(&path.join("preferences.json")).unwrap();
    let mut book = captions::read(&path.join("facts.json")).unwrap();
    book.entry("5.png").captions.clear();
    captions::write(&path.join("facts.json"), &book).unwrap();
    let whole = fs::read(path.join("7.png")).unwrap();
    fs::write(path.join("7.png"), &whole[..whole.len() / 2]).unwrap();
    let mut bad = rows.clone();
    bad[0].image = None;
    bad[0].turns[0] = candor_data::Turn::human("What is there?");
    preference::write(&path.join("preferences.json"), &bad).unwrap();
    assert_names(
        &refusal(path, "stop", &[]),
        &[
            "3 rows cannot be used (3 no_facts)",
            "preferences.json: row 0 (id \"0-0\"), field `image`: no facts are known of a row without an image",
            "preferences.json: row 10 (id \"5-0\"), field `image`: no facts are known of image \"5.png\"",
            "preferences.json: row 11 (id \"5-1\")",
            "data.on_bad_row",
        ],
    );
    let sets = ["data.on_bad_row=\"skip\"", "run.steps=2"];
    run(path, "skip", &sets).unwrap();
    let good = |row: &&candor_data::Preference| {
        !["5.png", "7.png"].contains(&row.image.as_deref().unwrap_or("5.png"))
    };
    let good: Vec<_> = bad.iter().filter(good).cloned().collect();
    assert_eq!(good.len(), 43);
    preference::write(&path.join("preferences.json"), &good).unwrap();
    run(path, "good", &["run.steps=2"]).unwrap();
    for file in ["metrics.jsonl", "held_out.jsonl", "reward_head.safetensors"] {
        let [skipped, good] = ["skip", "good"].map(|run| fs::read(path.join(run).join(file)));
        assert!(skipped.unwrap() == good.unwrap(), "{file} differs");
    }
    let result = |run: &str| -> serde_json::Value {
        let text = fs::read_to_string(path.join(run).join("result.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(result("skip")["n_skipped"], 5);
    assert_eq!(
        result("skip")["skipped"],
        serde_json::json!({"unreadable_image": 2, "no_facts": 3})
    );
    assert_eq!(result("good").get("n_skipped"), None);

    // Where no facts are shown, a comparison without an image is one like others.
    let text = ["prompt.text=\"Is it so?\"", "run.steps=1"];
    preference::write(
        &path.join("preferences.json"),
        &[&bad[..1], &good[..]].concat(),
    )
    .unwrap();
    run(path, "text", &text).unwrap();
}

#[test]
fn a_run_is_not_continued_with_other_facts_comparisons_or_base() {
    let folder = prepared();
    let path = folder.path();
    let sets = ["run.steps=6", "run.checkpoint_every=2"];
    run(path, "kept", &sets).unwrap();
    let resume = || {
        let recipe = recipe(path, "kept", &sets).unwrap();
        candor_reward::run(&recipe, &launch(true), Device::Cpu)
    };
    resume().unwrap();
    for (file, from, to) in [
        ("facts.json", "a red wall", "a green wall"),
        (
            "preferences.json",
            "There is a blue dog.",
            "There is a red dog.",
        ),
        ("preferences.json", "\"preference\":1", "\"preference\":2"),
    ] {
        let file = path.join(file);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        fs::write(&file, text.replace(from, to)).unwrap();
        assert_names(
            &resume().unwrap_err().to_string(),
            &["comparisons, facts or prompt", "kept"],
        );
        fs::write(&file, text).unwrap();
    }
    resume().unwrap();
}

#[test]
fn a_damaged_reward_model_is_named() {
    let folder = prepared();
    let path = folder.path();
    run(path, "reward", &["run.steps=1"]).unwrap();
    let bundle =
        candor_model::Bundle::open(&path.join("base"), Device::Cpu, tch::Kind::Float).unwrap();
    let open = || candor_reward::RewardModel::open(&path.join("reward"), &bundle).map(drop);
    open().unwrap();
    for (file, damaged) in [
        ("prompt.txt", "{facts} {facts}"),
        ("reward_head.safetensors", "short"),
        ("reward_model.json", "{}"),
        ("adapter/adapter_config.json", "{"),
    ] {
        let file = path.join("reward").join(file);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, damaged).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert_names(&open().unwrap_err().to_string(), &[&name]);
        fs::write(&file, whole).unwrap();
    }
    let message = candor_reward::RewardModel::base_path(path)
        .unwrap_err()
        .to_string();
    assert_names(&message, &["reward_model.json", "candor reward"]);
}

#[test]
fn a_recipe_reports_all_its_mistakes_at_once() {
    let mistakes = |text: &str| {
        RewardRecipe::read(Reader::parse("test.toml", text, &[]))
            .unwrap_err()
            .to_string()
    };
    let text = RECIPE
        .replace("seed = 1", "sede = 1")
        .replace("\nbatch = 8", "\nbatch = 9")
        .replace("steps = 24", "steps = 24\nepochs = 2")
        .replace("[prompt]", "[prompt]\nfile = \"no/prompt.txt\"")
        .replace("lora =", "adapter = \"a\"\nlora =")
        .replace("\"batch\"", "\"all\"");
    assert_names(
        &mistakes(&text),
        &[
            "seed",
            "sede",
            "micro_batch",
            "both of `steps` and `epochs`",
            "both of `file` and `text`",
            "no/prompt.txt",
            "both of `lora` and `adapter`",
            "centering_over",
        ],
    );
    let text = RECIPE
        .replace("facts = \"facts.json\"", "")
        .replace("preferences = [\"preferences.json\"]", "preferences = []");
    assert_names(&mistakes(&text), &["no `facts`", "data.preferences"]);
    let text = RECIPE.replace("Facts:\\n{facts}", "{facts} {facts}");
    assert_names(&mistakes(&text), &["prompt.text", "2 slots", "1 mistake"]);
}

#[test]
fn the_shipped_recipe_and_prompts_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let prompts = [
        ("demo/reward-facts.txt", "sum_over_response"),
        ("demo/reward-plain.txt", "sum_over_response"),
        ("prompts/reward-facts.txt", "last_token"),
    ];
    let with_facts = prompts.map(|(name, pooling)| {
        let file = root.join("recipes").join(name).display().to_string();
        let set = [
            format!("prompt.file={file:?}"),
            format!("prompt.pooling={pooling}"),
        ];
        let path = root.join("recipes/demo/3-reward.toml");
        RewardRecipe::open(&path, &set)
            .unwrap()
            .wording
            .prompt
            .with_facts()
    });
    assert_eq!(with_facts, [true, false, true]);
    // As the binary embeds it: the whole table is replaced, since only one of `file` and `text` may be there.
    let set =
        "prompt={ text = \"Is it so?\", bullet = \"- \", caption_order = \"file\", pooling = \"last_token\" }".to_owned();
    let path = root.join("recipes/demo/3-reward.toml");
    assert!(
        !RewardRecipe::open(&path, &[set])
            .unwrap()
            .wording
            .prompt
            .with_facts()
    );
}
