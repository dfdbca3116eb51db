//! Recipes of methods: each is of a paper, and asks for what is its own.

use std::path::Path;

use candor_dpo::{DpoRecipe, Loss};
use candor_plan::{Plan, Planner};
use candor_train::{Judgements, Length};

use super::{chain, head, plan, recipes, root, set};

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
        ("dpo/4-rounds.toml", "2405.17220"),
        ("dpo/4-sentinel.toml", "2507.12455"),
        ("dpo/4-simpo.toml", "2405.14734"),
        ("fgaif/3-reward.toml", "2404.05046"),
        ("fgaif/5-ppo.toml", "2404.05046"),
        ("grpo/5-dapo.toml", "2503.14476"),
        ("grpo/5-dr-grpo.toml", "2503.20783"),
        ("grpo/5-grpo.toml", "2402.03300"),
        // On rules as several papers have them.
        ("grpo/5-rules.toml", "2402.03300"),
        ("rloo/5-rloo.toml", "2402.14740"),
    ];
    let folders = ["dpo", "fgaif", "grpo", "rloo"].map(|name| recipes(&folder.join(name)));
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

/// Four rounds, each of two runs that answer 2,500 prompts twice and of four epochs of 313 updates by 8 pairs of two sequences.
#[test]
fn rounds_are_bound_by_what_they_sample_and_what_they_learn_from() {
    let mut planner = Planner::default();
    chain(&mut planner, "llava-7b-224");
    let rounds = root().join("recipes/llava-7b-224/dpo/4-rounds.toml");
    let sampled = 2 * 2500 * (4096 - 896 + 2 * 896);
    let learned = 4 * 313 * 8 * 2 * 2048;
    let plan = plan(&mut planner, &rounds, &[]);
    let bound = Some(4 * (sampled + learned));
    assert_eq!(plan.n_tokens, bound, "{:?}", plan.notes);
    // Where the prompts are there, they are counted.
    let data = tempfile::tempdir().unwrap();
    let one = r#"[{"id": "p", "conversations": [{"from": "human", "value": "What?"}]}]"#;
    std::fs::write(data.path().join("preference_prompts_10k.json"), one).unwrap();
    let refused = planner.plan(&rounds, &[set("data.root", data.path())]);
    let message = refused.unwrap_err().to_string();
    assert!(
        message.contains("ask 10000 prompts, and there are 1"),
        "{message}"
    );
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

/// The reference reads four whole answers at a time: 128 tokens, 391 of an image and 896 of an answer go forward with 3584 and 18,944
/// numbers a block, and 152,064 logits of each of the 896 are there in bf16, in f32 and as logarithms of probabilities.
#[test]
fn what_the_reference_reads_of_whole_answers_is_planned() {
    let mut planner = Planner::default();
    chain(&mut planner, "qwen2.5-vl-7b");
    let grpo = root().join("recipes/qwen2.5-vl-7b/grpo/5-grpo.toml");
    let plan = plan(&mut planner, &grpo, &["sampling.batch_rows=8".to_owned()]);
    let forward = 4 * (128 + 391 + 896) * 2 * (8 * 3584 + 4 * 18_944);
    let logits = 4 * 896 * 152_064 * (2 + 4 + 4);
    assert_eq!(plan.memory.unwrap().work_bytes, forward + logits);
}

/// A pair of 2048 tokens an answer, whose image takes 256, with the inputs of 32 blocks and three more, and one block, whose adapter reads
/// 8 d + f numbers in f32. Answers read keys and values of 2 x 4096 numbers: their own, and beginnings of up to 2048 once more for the
/// second. A spoilt image doubles all of it, and a rated answer is alone.
#[test]
fn what_answers_read_is_planned_for_each() {
    let mut planner = Planner::default();
    chain(&mut planner, "llava-7b-224");
    let block = 2 * (11 * 4096 + 4 * 11_008) + 4 * (8 * 4096 + 11_008);
    let of_token = 35 * 4096 * 2 + block;
    let of_copy = 2 * 4096 * 2;
    let logits = 16 * 32_000;
    for (name, n_tokens, n_beginning, n_image) in [
        ("4-dpo.toml", 4096, 2048, 256),
        ("4-mdpo.toml", 8192, 4096, 512),
        ("4-kto-rated.toml", 2048, 0, 256),
    ] {
        let recipe = root().join("recipes/llava-7b-224/dpo").join(name);
        let plan = plan(&mut planner, &recipe, &[]);
        let copied = (n_tokens + n_beginning) * of_copy;
        let passed = n_tokens * of_token + copied + (n_tokens - n_image) * logits;
        assert_eq!(plan.memory.unwrap().work_bytes, passed, "{name}");
    }
}

/// A LLaVA-NeXT takes an image as five of 576 patches, the LLaVA that judges it as one of 256.
#[test]
fn images_are_encoded_by_the_policys_tower_as_well_as_by_the_judges() {
    let mut planner = Planner::default();
    chain(&mut planner, "llava-7b-224");
    chain(&mut planner, "llava-v1.6-7b");
    let grpo = root().join("recipes/llava-v1.6-7b/grpo/5-grpo.toml");
    let judge = Path::new("runs/llava-7b-224/reward-facts");
    let sets = [
        set("model.reward", judge),
        "sampling.batch_rows=2".to_owned(),
        "sampling.pass_rows=1".to_owned(),
    ];
    let plan = plan(&mut planner, &grpo, &sets);
    let pixels = 4 * 3 * 5 * 576 * 14 * 14;
    let passed = (5 * 576 + 1) * 2 * (8 * 1024 + 4 * 4096);
    assert_eq!(plan.memory.unwrap().work_bytes, 64 * (pixels + passed));
}

/// A term's reward model is an adapter more on the base that all share, and one of the tower changes what is kept of the images.
#[test]
fn reward_models_of_terms_are_planned_with_what_they_see() {
    let fgaif = root().join("recipes/llava-7b-224/fgaif");
    let reward = fgaif.join("3-reward.toml");
    let whole = "runs/llava-7b-224/sft/model";
    let planned = |targets: &str, base: &str| {
        let mut planner = Planner::default();
        chain(&mut planner, "llava-7b-224");
        plan(&mut planner, &reward, &[]);
        let out = |name: &str| set("run.out", &Path::new("runs/llava-7b-224").join(name));
        plan(&mut planner, &reward, &[out("fgaif-relations")]);
        let lora = format!("model.lora={{ r = 64, alpha = 16.0, targets = {targets} }}");
        let base = set("model.base", Path::new(base));
        plan(
            &mut planner,
            &reward,
            &[out("fgaif-attributes"), lora, base],
        );
        plan(&mut planner, &fgaif.join("5-ppo.toml"), &[])
    };
    let says = |plan: &Plan, words: &str| plan.notes.iter().any(|note| note.contains(words));
    let plain = planned(r#"["q_proj"]"#, whole);
    let seeing = planned(r#"["q_proj", "tower"]"#, whole);
    // 24 blocks: four layers of 1024 + 1024, two of 1024 + 4096; r of each in f32.
    let tower = 24 * (4 * 2048 + 2 * 5120);
    let weights = |plan: &Plan| plan.memory.unwrap().weights_bytes;
    assert_eq!(weights(&seeing) - weights(&plain), 4 * 64 * tower);
    // 224 x 224 pixels of three colours, four bytes each.
    for words in ["images are kept as pixels", "0.60 GB for every 1000"] {
        assert!(says(&seeing, words), "{words}: {:?}", seeing.notes);
        assert!(!says(&plain, words), "{words}: {:?}", plain.notes);
    }
    let words = "\"attributes\" was trained on runs/llava-7b-224/other/model, and a run opens it on runs/llava-7b-224/sft/model";
    assert!(!says(&plain, words), "{:?}", plain.notes);
    let apart = planned(r#"["q_proj"]"#, "runs/llava-7b-224/other/model");
    assert!(says(&apart, words), "{:?}", apart.notes);
}
