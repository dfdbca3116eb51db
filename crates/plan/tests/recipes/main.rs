//! Every shipped recipe loads, and the pipelines plan as a whole.

mod cards;
mod methods;
mod ranks;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candor_plan::{Plan, Planner};

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
    let file = match recipe.strip_prefix(root().join("recipes")) {
        Ok(name) if !name.ends_with("3-reward.toml") => return Vec::new(),
        Ok(name) if name.starts_with("demo") => "recipes/demo/reward-facts.txt",
        _ => "recipes/prompts/reward-facts.txt",
    };
    vec![set("prompt.file", &root().join(file))]
}

fn plan(planner: &mut Planner, recipe: &Path, more: &[String]) -> Plan {
    let sets = [sets(recipe), more.to_vec()].concat();
    planner
        .plan(recipe, &sets)
        .unwrap_or_else(|error| panic!("{}: {error}", recipe.display()))
}

/// What a recipe says of itself before its first line.
fn head(recipe: &Path) -> String {
    let text = fs::read_to_string(recipe).unwrap();
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    lines.collect()
}

#[test]
fn every_shipped_recipe_is_without_mistakes() {
    let mut stages: BTreeMap<&str, usize> = BTreeMap::new();
    let overlays = ["recipes/ppo", "recipes/dpo"].map(|folder| root().join(folder));
    let is_run = |path: &PathBuf| overlays.iter().all(|folder| !path.starts_with(folder));
    let runs = recipes(&root().join("recipes"));
    for recipe in runs.into_iter().filter(is_run) {
        let plan = plan(&mut Planner::default(), &recipe, &[]);
        *stages.entry(plan.stage).or_default() += 1;
        let head = head(&recipe);
        let hardware = ["Hardware: ", "Needs ", "needs "]
            .iter()
            .any(|word| head.contains(word));
        assert!(hardware, "{} does not say what it needs", recipe.display());
    }
    let all = [
        "dpo", "eval", "ground", "reward", "rl", "rounds", "sample", "sft",
    ];
    assert!(stages.keys().eq(all.iter()), "{stages:?}");
}

/// The recipes of a model in their order.
fn chain(planner: &mut Planner, name: &str) -> Vec<Plan> {
    let folder = root().join("recipes").join(name);
    let files = recipes(&folder).into_iter();
    let files = files.filter(|file| file.parent() == Some(folder.as_path()));
    files.map(|file| plan(planner, &file, &[])).collect()
}

#[test]
fn a_pipeline_is_planned_on_a_fresh_checkout() {
    let plans = chain(&mut Planner::default(), "llava-7b-224");
    let stages: Vec<&str> = plans.iter().map(|plan| plan.stage).collect();
    assert_eq!(
        stages,
        ["sft", "sft", "sample", "reward", "sft", "rl", "eval"]
    );
    // By hand, from the rows that the recipes name: 558,128 / 128; 3 x 212,000 / 128; 10,000 / 512; 200; 15,000 / 128;
    // four times 72,000 / 512. Tokens of rows of the full length: prompts of sample leave room for an answer, a pair
    // is two sequences, and an image takes 256 tokens where its placeholder takes one.
    let counted: Vec<_> = plans
        .iter()
        .take(6)
        .map(|p| (p.n_steps.unwrap(), p.n_tokens.unwrap()))
        .collect();
    let expected = [
        (4361, 4361 * 128 * 2048),
        (3 * 1657, 3 * 1657 * 128 * 1280),
        (20, 10_000 * (4096 - 896 + 2 * 896)),
        (200, 200 * 32 * 2 * 2048),
        (118, 118 * 128 * 1280),
        (562, 562 * 512 * (128 + 256 + 896)),
    ];
    assert_eq!(counted, expected);
    for plan in &plans {
        assert!(
            plan.notes[0].contains("planned on the published sizes of lmsys/vicuna-7b-v1.5 and"),
            "{plan:?}"
        );
        assert!(plan.notes[1].contains("is not here"), "{plan:?}");
        assert!(plan.tokens_are_a_bound || plan.stage == "eval", "{plan:?}");
    }
    // By hand: 6,738,415,616 in the decoder, 303,179,776 in the tower, 20,979,712 in the projector; 4 bytes each, and 12
    // more for what is trained. Of the largest tensor, 4096 of 4096 numbers and 32,000 of 4096, a later pass has a gradient besides.
    let memory: Vec<_> = plans.iter().map(|plan| plan.memory.unwrap()).collect();
    let whole = 6_738_415_616 + 303_179_776 + 20_979_712;
    assert_eq!(
        (memory[0].weights_bytes, memory[0].trained_bytes),
        (4 * whole, 12 * 20_979_712 + 4 * 4096 * 4096)
    );
    assert_eq!(
        (memory[1].weights_bytes, memory[1].trained_bytes),
        (
            4 * whole,
            12 * (6_738_415_616 + 20_979_712) + 4 * 32_000 * 4096
        )
    );
    let adapter = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104);
    // The reward model has its best adapter so far besides.
    let gradient = 4 * 64 * 11_008;
    for (stage, n_adapters) in [(3, 2), (4, 1)] {
        assert_eq!(
            memory[stage].weights_bytes,
            2 * whole + n_adapters * adapter
        );
        assert_eq!(memory[stage].trained_bytes, 3 * adapter + gradient);
    }
    // One base, and four adapters, two of which are trained.
    assert_eq!(memory[5].weights_bytes, 2 * whole + 4 * adapter);
    assert_eq!(memory[5].trained_bytes, 6 * adapter + gradient);
    assert_eq!(memory[6].weights_bytes, 2 * whole + adapter);
}

#[test]
fn the_papers_reward_model_stands_on_the_larger_model() {
    let mut planner = Planner::default();
    let paper = root().join("recipes/llava-7b-224/paper");
    let alone = plan(&mut planner, &paper.join("3-reward.toml"), &[]);
    assert_eq!(alone.memory, None);
    let note = "runs/llava-13b-336/sft/model is not here, and no recipe before this one makes it";
    assert!(alone.notes[0].contains(note), "{:?}", alone.notes);
    chain(&mut planner, "llava-13b-336");
    chain(&mut planner, "llava-7b-224");
    let reward = plan(&mut planner, &paper.join("3-reward.toml"), &[]);
    let ppo = plan(&mut planner, &paper.join("5-ppo.toml"), &[]);
    // 13,015,864,320 in the decoder, 303,507,456 in the tower for 336 pixels, 31,467,520 in the projector.
    let base = 13_015_864_320 + 303_507_456 + 31_467_520;
    let adapter = 4 * 64 * 40 * (4 * 10_240 + 3 * 18_944);
    assert_eq!(reward.memory.unwrap().weights_bytes, 2 * base + 2 * adapter);
    assert_eq!(ppo.n_steps, Some(562));
    let of_policy = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104);
    let trained = of_policy + adapter;
    let largest = 4 * 64 * 13_824;
    assert_eq!(ppo.memory.unwrap().trained_bytes, 3 * trained + largest);
    // The critic is as large as the policy's adapter where it begins as that, and the reward model's stays as it is.
    let sets = ["model.critic=\"policy\"".to_owned()];
    let begun = plan(&mut planner, &paper.join("5-ppo.toml"), &sets);
    let memory = begun.memory.unwrap();
    assert_eq!(memory.trained_bytes, 3 * 2 * of_policy + 4 * 64 * 11_008);
    let difference = ppo.memory.unwrap().weights_bytes - memory.weights_bytes;
    assert_eq!(difference, adapter - of_policy);
}

/// The reward model's base is the policy's as long as both are on one device.
#[test]
fn a_base_on_two_devices_is_in_memory_twice() {
    let mut planner = Planner::default();
    chain(&mut planner, "llava-7b-224");
    let ppo = root().join("recipes/llava-7b-224/5-ppo.toml");
    let whole = 6_738_415_616 + 303_179_776 + 20_979_712;
    let adapter = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104);
    for (own, other, n_bases) in [
        ("auto", "cuda:0", 1),
        ("cuda:1", "cuda:1", 1),
        ("cuda:0", "cuda:1", 2),
        ("cuda:0", "cpu", 2),
        ("auto", "cuda:1", 2),
    ] {
        let sets = [("run.device", own), ("model.reward_device", other)];
        let sets = sets.map(|(key, device)| format!("{key}={device:?}"));
        let plan = plan(&mut planner, &ppo, &sets);
        // In bf16, two bytes for each weight.
        let weights = plan.memory.unwrap().weights_bytes;
        assert_eq!(weights, n_bases * 2 * whole + 4 * adapter, "{own} {other}");
        let words = format!("reward model and critic are on {other} with a base of their own");
        let is_told = plan.notes.iter().any(|note| note.contains(&words));
        assert_eq!(is_told, n_bases == 2, "{:?}", plan.notes);
    }
    let sets = [
        "run.device=\"cuda:0\"",
        "model.reward_device=\"cuda:1\"",
        "model.critic=\"policy\"",
    ];
    let plan = plan(&mut planner, &ppo, &sets.map(str::to_owned));
    let words = "the reward model is on cuda:1 with a base of its own, the rest on cuda:0";
    let is_told = plan.notes.iter().any(|note| note.contains(words));
    assert!(is_told, "{:?}", plan.notes);
}

/// Sampled, by reference and critic; and twice each in two epochs by policy and critic.
#[test]
fn nothing_is_scored_by_a_reward_model_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let folder = root().join("recipes");
    let text = fs::read_to_string(folder.join("llava-7b-224/5-ppo.toml")).unwrap();
    let below = folder.join("ppo/modern.toml").display().to_string();
    let alone = text
        .replace("\"../ppo/modern.toml\"", &format!("{below:?}"))
        .replace("reward = \"runs/llava-7b-224/reward-facts\"\n", "");
    let path = dir.path().join("rules.toml");
    fs::write(&path, alone).unwrap();
    let sets = [
        "model.critic=\"policy\"",
        "score.normalise=\"none\"",
        "rewards=[{name=\"brief\", kind=\"tokens\", per=8.0, weight=-0.1}]",
    ];
    let mut planner = Planner::default();
    chain(&mut planner, "llava-7b-224");
    let plan = planner.plan(&path, &sets.map(str::to_owned)).unwrap();
    let words = "is read 7 times: sampled, by reference and value model, and trained on twice in each of 2 inner epochs";
    let is_told = plan.notes.iter().any(|note| note.contains(words));
    assert!(is_told, "{:?}", plan.notes);
}

/// A Qwen2.5-VL 7B has 8.29 billion weights, two bytes each in bf16.
#[test]
fn a_base_that_sees_within_two_bounds_is_in_memory_twice() {
    let mut planner = Planner::default();
    let qwen = root().join("recipes/qwen2.5-vl-7b");
    let smaller = ["model.max_pixels=50176".to_owned()];
    plan(&mut planner, &qwen.join("4-policy-init.toml"), &[]);
    let mut weights = |of_reward: &[String], of_ppo: &[String]| {
        plan(&mut planner, &qwen.join("3-reward.toml"), of_reward);
        let ppo = plan(&mut planner, &qwen.join("5-ppo.toml"), of_ppo);
        ppo.memory.unwrap().weights_bytes
    };
    let once = weights(&[], &[]);
    assert_eq!(weights(&smaller, &smaller), once);
    // The reward model is trained at the bounds of its folder where its recipe gives none.
    for twice in [weights(&[], &smaller), weights(&smaller, &[])] {
        let base = twice - once;
        assert!((16_500_000_000..16_700_000_000).contains(&base), "{base}");
    }
}

/// As where it is there: the base is the one that its recipe names, and what trains a model cannot start from it.
#[test]
fn an_adapter_that_is_not_there_yet_stands_on_its_base() {
    let mut planner = Planner::default();
    chain(&mut planner, "llava-7b-224");
    let written = "runs/llava-7b-224/policy-init/adapter";
    let on = |key: &str, folder: &str| set(key, Path::new(folder));
    let base = on("model.base", written);
    let demo = |name: &str| root().join("recipes/demo").join(name);
    let whole = 6_738_415_616 + 303_179_776 + 20_979_712;
    let adapter = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104);
    for recipe in ["2-sample.toml", "6-eval.toml"] {
        let bf16 = "model.base_precision=bf16".to_owned();
        let plan = plan(&mut planner, &demo(recipe), &[base.clone(), bf16]);
        assert_eq!(plan.memory.unwrap().weights_bytes, 2 * whole + adapter);
        assert!(
            plan.notes.iter().all(|note| !note.contains(written)),
            "{plan:?}"
        );
    }
    let both = [base.clone(), on("model.adapter", "runs/another")];
    let one = std::slice::from_ref(&base);
    for (recipe, sets) in [
        ("6-eval.toml", &both[..]),
        ("1-sft.toml", one),
        ("3-reward.toml", one),
        ("5-ppo.toml", one),
    ] {
        let recipe = demo(recipe);
        let all = [self::sets(&recipe), sets.to_vec()].concat();
        let message = planner.plan(&recipe, &all).unwrap_err().to_string();
        let words = "policy-init/adapter: holds an adapter and no model; its base is \
                     runs/llava-7b-224/sft/model (";
        assert!(message.contains(words), "{message}");
    }
}

/// What an adapter is put on is said by layers and by parts.
#[test]
fn an_adapter_is_put_on_decoder_projector_and_tower() {
    let recipe = root().join("recipes/llava-7b-224/4-policy-init.toml");
    let on = |targets: &str| {
        let lora = format!("model.lora={{ r = 64, alpha = 16.0, targets = {targets} }}");
        let base = set("model.base", Path::new("llava-hf/llava-1.5-7b-hf"));
        Planner::default().plan(&recipe, &[lora, base])
    };
    // r (n_in + n_out), and 12 bytes for the gradient and the two moments of each. Of the largest tensor, 64 times 11,008, a later pass
    // has a gradient besides.
    let bytes =
        |targets: &str| on(targets).unwrap().memory.unwrap().trained_bytes - 4 * 64 * 11_008;
    let decoder = 32 * (4 * 8192 + 3 * 15_104);
    assert_eq!(bytes(r#"["decoder"]"#), 12 * 64 * decoder);
    let projector = 5120 + 8192;
    let both = bytes(r#"["decoder", "projector"]"#);
    assert_eq!(both, 12 * 64 * (decoder + projector));
    // 24 blocks: four layers of 1024 + 1024, two of 1024 + 4096.
    let tower = 24 * (4 * 2048 + 2 * 5120);
    let plan = on(r#"["tower"]"#).unwrap();
    let found = plan.memory.unwrap().trained_bytes;
    assert_eq!(found, 12 * 64 * tower + 4 * 64 * 4096);
    // 336 x 336 pixels of three colours, four bytes each.
    let notes = ["images are kept as pixels", "1.35 GB for every 1000"];
    for words in notes {
        let said = plan.notes.iter().any(|note| note.contains(words));
        assert!(said, "{words}: {:?}", plan.notes);
    }
    let message = on(r#"["decoder", "c_attn"]"#).unwrap_err().to_string();
    for words in ["\"c_attn\"", "model.lora.targets"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

/// Images of a LLaVA-OneVision have sizes of their own, of which a plan knows nothing.
#[test]
fn plans_say_which_size_of_images_they_reckon_with() {
    for (name, words) in [
        (
            "llava-onevision-7b",
            "640 x 480 pixels, which takes 2929 tokens",
        ),
        ("llava-v1.6-7b", "640 x 480 pixels, which takes 2340 tokens"),
    ] {
        for plan in chain(&mut Planner::default(), name) {
            let said = plan.notes.iter().any(|note| note.contains(words));
            assert!(said, "{}: {:?}", plan.stage, plan.notes);
        }
    }
    let plain = chain(&mut Planner::default(), "llava-7b-224");
    let mut notes = plain.iter().flat_map(|plan| &plan.notes);
    assert!(notes.all(|note| !note.contains("640 x 480")));
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
