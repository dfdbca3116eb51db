//! Every shipped recipe loads, and the pipelines plan as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candor_dpo::{DpoRecipe, Loss};
use candor_plan::{Plan, Planner};
use candor_train::{Judgements, Length};

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
    let all = ["dpo", "eval", "ground", "reward", "rl", "sample", "sft"];
    assert!(stages.keys().eq(all.iter()), "{stages:?}");
}

/// Every method has a recipe under its name, which says which paper it is of and what of that it is not.
#[test]
fn a_method_has_a_recipe_that_says_what_of_its_paper_it_is() {
    let folder = root().join("recipes/llava-7b-224");
    let methods = [
        ("dpo/4-dpo.toml", "2305.18290"),
        ("dpo/4-hsa-dpo.toml", "2404.14233"),
        ("dpo/4-ipo.toml", "2310.12036"),
        ("dpo/4-kto-rated.toml", "2402.01306"),
        ("dpo/4-kto.toml", "2402.01306"),
        ("dpo/4-mdpo.toml", "2406.11839"),
        ("dpo/4-orpo.toml", "2403.07691"),
        ("dpo/4-rlaif-v.toml", "2405.17220"),
        ("dpo/4-rlhf-v.toml", "2312.00849"),
        ("dpo/4-sentinel.toml", "2507.12455"),
        ("dpo/4-simpo.toml", "2405.14734"),
        ("grpo/5-dapo.toml", "2503.14476"),
        ("grpo/5-dr-grpo.toml", "2503.20783"),
        ("grpo/5-grpo.toml", "2402.03300"),
        // On rules as several papers have them.
        ("grpo/5-rules.toml", "2402.03300"),
        ("rloo/5-rloo.toml", "2402.14740"),
    ];
    let folders = ["dpo", "grpo", "rloo"].map(|name| recipes(&folder.join(name)));
    assert_eq!(
        folders.concat(),
        methods.map(|(name, _)| folder.join(name)),
        "a recipe without a paper, or a method without a recipe"
    );
    for (name, paper) in methods {
        let head = head(&folder.join(name));
        for part in ["Which paper: ", &format!("arXiv {paper}"), "reproduced"] {
            assert!(head.contains(part), "{name} does not say {part:?}");
        }
    }
}

/// What makes a method what it is, by the reader of its stage.
#[test]
fn recipes_of_methods_ask_for_what_is_theirs() {
    let open = |name: &str| {
        let path = root().join("recipes/llava-7b-224/dpo").join(name);
        DpoRecipe::open(&path, &[]).unwrap()
    };
    let hsa = open("4-hsa-dpo.toml");
    assert!(hsa.objective.severity && !hsa.objective.counting.mean);
    assert_eq!(
        (hsa.batch, hsa.max_tokens, hsa.length),
        (16, 1024, Length::Epochs(2))
    );
    let rlaif = open("4-rlaif-v.toml");
    let plain = Loss::Sigmoid {
        beta: 0.1,
        label_smoothing: 0.0,
    };
    assert_eq!((rlaif.objective.loss, hsa.objective.loss), (plain, plain));
    assert!(!rlaif.objective.severity);
    let rated = open("4-kto-rated.toml");
    assert!(matches!(rated.judgements, Judgements::Rated(_)));
    let kto = open("4-kto.toml");
    assert!(matches!(kto.judgements, Judgements::Comparisons(_)));
    assert_eq!(rated.objective, kto.objective);
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
    // more for what is trained.
    let memory: Vec<_> = plans.iter().map(|plan| plan.memory.unwrap()).collect();
    let whole = 6_738_415_616 + 303_179_776 + 20_979_712;
    assert_eq!(
        (memory[0].weights_bytes, memory[0].trained_bytes),
        (4 * whole, 12 * 20_979_712)
    );
    assert_eq!(
        (memory[1].weights_bytes, memory[1].trained_bytes),
        (4 * whole, 12 * (6_738_415_616 + 20_979_712))
    );
    let adapter = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104);
    // The reward model has its best adapter so far besides.
    for (stage, n_adapters) in [(3, 2), (4, 1)] {
        assert_eq!(
            memory[stage].weights_bytes,
            2 * whole + n_adapters * adapter
        );
        assert_eq!(memory[stage].trained_bytes, 3 * adapter);
    }
    // One base, and four adapters, two of which are trained.
    assert_eq!(memory[5].weights_bytes, 2 * whole + 4 * adapter);
    assert_eq!(memory[5].trained_bytes, 6 * adapter);
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
    let trained = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104) + adapter;
    assert_eq!(ppo.memory.unwrap().trained_bytes, 3 * trained);
}

/// Prompts without spread are replaced in up to four rounds, each of which may ask as many as the step has.
#[test]
fn refilled_rounds_are_in_the_bound_on_tokens() {
    let mut planner = Planner::default();
    chain(&mut planner, "llava-7b-224");
    let dapo = root().join("recipes/llava-7b-224/grpo/5-dapo.toml");
    let once = 562 * 512 * (128 + 256 + 896);
    for (rounds, times) in [(0, 1), (4, 5)] {
        let sets = [format!("advantages.refill_rounds={rounds}")];
        let plan = plan(&mut planner, &dapo, &sets);
        assert_eq!(plan.n_tokens, Some(times * once), "{:?}", plan.notes);
    }
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

/// By hand: with eight lanes there is a second gradient of what is trained, and every round each rank sends its own to all others.
#[test]
fn what_ranks_take_is_planned() {
    let adapter = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104);
    let bucket = 64 << 20;
    // Of 512 answers of 896 tokens 46 bytes a token, and 21 of the critic's.
    let found = 512 * 896 * 67;
    for (n_ranks, rounds, most) in [(8, 1, 32), (3, 3, 96), (2, 4, 128)] {
        let mut planner = Planner::default().of_ranks(n_ranks);
        let eight = root().join("recipes/llava-7b-224/8gpu");
        let lanes = ["run.lanes=8".to_owned()];
        for name in [
            "0-pretrain.toml",
            "1-sft.toml",
            "3-reward.toml",
            "4-policy-init.toml",
        ] {
            plan(
                &mut planner,
                &root().join("recipes/llava-7b-224").join(name),
                &lanes,
            );
        }
        let ppo = plan(&mut planner, &eight.join("5-ppo.toml"), &[]);
        assert_eq!(ppo.memory.unwrap().trained_bytes, 4 * 2 * adapter);
        let sharing = ppo.sharing.unwrap();
        assert_eq!(sharing.n_lanes, Some(8));
        // Two epochs of two mini-batches of 256 passes.
        assert_eq!(
            (sharing.n_pieces, sharing.most_pieces),
            (Some(256), Some(most))
        );
        let gradients = 4 * 2 * adapter * (n_ranks - 1) * rounds;
        assert_eq!(sharing.step_bytes, gradients + found - found / n_ranks);
        assert_eq!(sharing.start_bytes, 3 * 2 * adapter);
        assert_eq!(sharing.exchange_bytes, (2 * n_ranks + 2) * bucket);
    }
    // Full fine-tuning: the largest tensor, 32,000 words of 4096 numbers, is a bucket of its own.
    let sft = root().join("recipes/llava-7b-224/1-sft.toml");
    let base = set("model.base", Path::new("llava-hf/llava-1.5-7b-hf"));
    let sets = ["run.lanes=4".to_owned(), base];
    let mut planner = Planner::default().of_ranks(4);
    let whole = plan(&mut planner, &sft, &sets);
    let sharing = whole.sharing.as_ref().unwrap();
    let words = 4 * 32_000 * 4096;
    assert_eq!(sharing.exchange_bytes, 10 * words);
    let shown = candor_plan::show_plans(&[whole]);
    for words in [
        "4, each with this memory, and 5.2 GB of the host's while gradients are exchanged",
        "4 lanes, 1 a rank; of the 128 passes of an update a rank has up to 32: 4.0 times as fast as one rank at most",
        "GB a step from and to each rank",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    // A run on one rank shares nothing.
    assert_eq!(plan(&mut Planner::default(), &sft, &sets).sharing, None);
}

/// As they are held: a base in bf16 has two bytes a weight, an adapter four. Ranks begin with the first one's copy.
#[test]
fn the_best_weights_so_far_are_a_copy_of_what_is_trained() {
    let folder = root().join("recipes/llava-7b-224");
    let trained = 6_738_415_616 + 20_979_712;
    let adapter = 64 * 32 * (4 * 8192 + 3 * 15_104);
    for (recipe, precision, best, in_f32) in [
        ("1-sft.toml", "f32", 4 * trained, 4 * trained),
        ("1-sft.toml", "bf16", 2 * trained, 4 * trained),
        ("4-policy-init.toml", "bf16", 4 * adapter, 4 * adapter),
    ] {
        let sets = [
            "run.lanes=2".to_owned(),
            set("model.base", Path::new("llava-hf/llava-1.5-7b-hf")),
            format!("model.base_precision={precision:?}"),
        ];
        let looks = r#"evaluation.sources=[{ name = "a", format = "llava", path = "a.json" }]"#;
        let planned = |keep: bool| {
            let looks = [
                looks.to_owned(),
                "evaluation.every=9".to_owned(),
                format!("evaluation.keep_best={keep}"),
            ];
            let sets = [&sets[..], &looks[..]].concat();
            let mut planner = Planner::default().of_ranks(2);
            let plan = plan(&mut planner, &folder.join(recipe), &sets);
            let start = plan.sharing.unwrap().start_bytes;
            (plan.memory.unwrap().weights_bytes, start)
        };
        let (without, with) = (planned(false), planned(true));
        assert_eq!(with.0 - without.0, best, "{recipe} in {precision}");
        assert_eq!(without.1, 3 * in_f32, "{recipe} in {precision}");
        assert_eq!(with.1, 3 * in_f32 + best, "{recipe} in {precision}");
    }
}

/// As the stages say it themselves, and with the recipe's name.
#[test]
fn ranks_that_cannot_share_a_run_are_refused() {
    let folder = root().join("recipes/llava-7b-224");
    let mut planner = Planner::default().of_ranks(9);
    let eight = folder.join("8gpu/4-policy-init.toml");
    let message = planner.plan(&eight, &[]).unwrap_err().to_string();
    for words in [
        "4-policy-init.toml: 9 ranks cannot share run.lanes = 8: write run.lanes = 9",
        "or start 8 at most",
    ] {
        assert!(message.contains(words), "{message}");
    }
    let device = ["model.reward_device=cuda:1".to_owned()];
    let mut planner = Planner::default().of_ranks(2);
    let ppo = folder.join("8gpu/5-ppo.toml");
    let message = planner.plan(&ppo, &device).unwrap_err().to_string();
    let words = "5-ppo.toml: model.reward_device names one device for all ranks";
    assert!(message.contains(words), "{message}");
    let ground = plan(
        &mut planner,
        &root().join("recipes/demo/0-ground.toml"),
        &[],
    );
    let words = "`candor ground` is not shared: it runs on one rank";
    assert!(ground.notes.iter().any(|note| note == words), "{ground:?}");
    // Two passes an update for eight lanes.
    let short = ["data.batch=8", "data.micro_batch=4"].map(str::to_owned);
    let base = set("model.base", Path::new("llava-hf/llava-1.5-7b-hf"));
    let sets = [&short[..], &[base]].concat();
    let idle = plan(&mut planner, &eight, &sets);
    let words = "run.lanes is 8, and an update has 2 passes: 6 lanes have nothing to do";
    assert!(idle.notes.iter().any(|note| note == words), "{idle:?}");
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
    // r (n_in + n_out), and 12 bytes for the gradient and the two moments of each.
    let bytes = |targets: &str| on(targets).unwrap().memory.unwrap().trained_bytes;
    let decoder = 32 * (4 * 8192 + 3 * 15_104);
    assert_eq!(bytes(r#"["decoder"]"#), 12 * 64 * decoder);
    let projector = 5120 + 8192;
    let both = bytes(r#"["decoder", "projector"]"#);
    assert_eq!(both, 12 * 64 * (decoder + projector));
    // 24 blocks: four layers of 1024 + 1024, two of 1024 + 4096.
    let tower = 24 * (4 * 2048 + 2 * 5120);
    let plan = on(r#"["tower"]"#).unwrap();
    assert_eq!(plan.memory.unwrap().trained_bytes, 12 * 64 * tower);
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
