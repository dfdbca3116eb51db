//! What ranks take is planned, and ranks that cannot share a run are told before it.

use std::path::Path;
use std::slice;

use candor_plan::Planner;

use super::{plan, root, set};

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
        let largest = 4 * 64 * 11_008;
        assert_eq!(ppo.memory.unwrap().trained_bytes, 4 * 2 * adapter + largest);
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
    // Shared out among eight in bf16: gradients of 2 bytes, and moments and masters of 12 in eight parts, which are even to a hundredth.
    // Of several lanes there are totals besides, 4 in eight parts, and of several passes a sum of 4.
    let trained = 6_738_415_616_u64 + 20_979_712;
    let mut eight = Planner::default().of_ranks(8);
    let shared = |lanes: &str| {
        let own = [
            lanes,
            "run.shard=\"zero2\"",
            "model.base_precision=\"bf16\"",
        ];
        let own = own.map(str::to_owned);
        [&own[..], &sets[1..]].concat()
    };
    for (lanes, eighths) in [
        ("run.lanes=128", 8 * 2 + 12 + 4),
        ("run.lanes=8", 8 * (2 + 4) + 12),
    ] {
        let plan = plan(&mut eight, &sft, &shared(lanes));
        let least = trained * eighths / 8;
        let found = plan.memory.unwrap().trained_bytes;
        assert!(
            (least..least + least / 100).contains(&found),
            "{lanes}: {found}"
        );
        assert_eq!(plan.sharing.unwrap().exchange_bytes, 4 * bucket);
    }
    // The shipped one is in f32: weights and a gradient of 4 bytes, and moments of 8 in eight parts, and a second gradient of the
    // words; a rank has one lane, and totals as gradients go.
    let folder = root().join("recipes/llava-7b-224");
    let lanes = ["run.lanes=8".to_owned()];
    plan(&mut eight, &folder.join("0-pretrain.toml"), &lanes);
    let shipped = plan(&mut eight, &folder.join("8gpu/1-sft.toml"), &[]);
    let memory = shipped.memory.unwrap();
    let least = 4 * trained + 8 * trained / 8 + words;
    assert!((least..least + least / 100).contains(&memory.trained_bytes));
    assert!((64_500_000_000..65_500_000_000).contains(&memory.total_bytes()));
    // A 13B with its weights shared out: all of them between updates, 13,015,864,320 of the decoder, 303,507,456 of the tower and
    // 31,467,520 of the projector, with two moments of an eighth of what is trained; and while a pass computes half of that.
    let folder = root().join("recipes/llava-13b-336");
    plan(&mut eight, &folder.join("0-pretrain.toml"), &lanes);
    let shipped = plan(&mut eight, &folder.join("8gpu/1-sft.toml"), &[]);
    let memory = shipped.memory.unwrap();
    let trained = 13_015_864_320_u64 + 31_467_520;
    let least = 4 * (trained + 303_507_456) + trained;
    assert!((least..least + least / 50).contains(&memory.total_bytes()));
    assert!(memory.weights_bytes + memory.trained_bytes < least * 11 / 20);
    // Gradients in sixteen rounds, and weights of blocks twice in each of as many: a rank that owns nothing outside of blocks has an
    // eighth of all that is trained, and gives it to seven.
    let sharing = shipped.sharing.unwrap();
    let gradients = 16 * 4 * trained / 8 * 7;
    let weights = 16 * 2 * 4 * trained / 8 * 7;
    let sent = gradients + weights;
    assert!((sent..sent + sent / 50).contains(&sharing.step_bytes));
    // A run on one rank shares nothing.
    assert_eq!(plan(&mut Planner::default(), &sft, &sets).sharing, None);
}

/// On so many ranks their buckets are more than a pass takes: one of each rank on the device, and the one that is sent.
#[test]
fn adapters_of_other_ranks_take_room_on_the_device() {
    let folder = root().join("recipes/llava-7b-224");
    let mut planner = Planner::default().of_ranks(2048);
    let lanes = ["run.lanes=2048".to_owned()];
    let mut of_recipe = |name: &str| plan(&mut planner, &folder.join(name), &lanes);
    let buckets = 2049 * (64 << 20);
    of_recipe("0-pretrain.toml");
    of_recipe("1-sft.toml");
    let reward = of_recipe("3-reward.toml").memory.unwrap();
    assert_eq!(reward.work_bytes, buckets);
    of_recipe("4-policy-init.toml");
    let ppo = of_recipe("8gpu/5-ppo.toml");
    assert_eq!(ppo.memory.unwrap().work_bytes, buckets);
    // The best policy so far, an adapter of rank 64 on all layers.
    let sets = [&lanes[..], &suite_best()[..]].concat();
    let best = plan(&mut planner, &folder.join("8gpu/5-ppo.toml"), &sets);
    let more = best.sharing.unwrap().start_bytes - ppo.sharing.unwrap().start_bytes;
    assert_eq!(more, 4 * 64 * 32 * (4 * 8192 + 3 * 15_104));
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
        let bytes_of = |keep: bool| {
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
        let (without, with) = (bytes_of(false), bytes_of(true));
        assert_eq!(with.0 - without.0, best, "{recipe} in {precision}");
        assert_eq!(without.1, 3 * in_f32, "{recipe} in {precision}");
        assert_eq!(with.1, 3 * in_f32 + best, "{recipe} in {precision}");
        // By a suite they are kept on the host, as many.
        let sets = [&sets[..], &suite_best()[..]].concat();
        let mut planner = Planner::default().of_ranks(2);
        let asked = plan(&mut planner, &folder.join(recipe), &sets);
        assert_eq!(asked.memory.unwrap().weights_bytes, without.0);
        assert_eq!(asked.sharing.unwrap().start_bytes, 3 * in_f32 + best);
        let words = format!(
            "suite.best: {:.2} GB of the host's memory, in each rank, hold the best weights so far and come on top",
            best as f64 / 1e9
        );
        assert!(asked.notes.contains(&words), "{:?}", asked.notes);
    }
}

/// A whole model, the adapters of two policies, and that of the last of four rounds.
#[test]
fn what_starts_from_the_best_step_of_an_earlier_recipe_is_planned() {
    let folder = root().join("recipes/llava-7b-224");
    let best_of = |run: &str| Path::new("runs/llava-7b-224").join(run).join("best");
    let base = set("model.base", &best_of("sft").join("model"));
    let from = |key: &str, run: &str| [base.clone(), set(key, &best_of(run).join("adapter"))];
    let best = suite_best();
    let (mut planner, mut notes) = (Planner::default(), Vec::<String>::new());
    let mut add = |recipe: &str, sets: &[String]| {
        notes.extend(plan(&mut planner, &folder.join(recipe), sets).notes);
    };
    add("0-pretrain.toml", &[]);
    add("1-sft.toml", &best);
    add("3-reward.toml", slice::from_ref(&base));
    let on_best = [&best[..], slice::from_ref(&base)].concat();
    add("4-policy-init.toml", &on_best);
    let policy = from("model.policy_init", "policy-init");
    add("5-ppo.toml", &[&best[..], &policy[..]].concat());
    add("dpo/4-rounds.toml", &on_best);
    for run in ["ppo", "rounds/round-4/dpo"] {
        add("6-eval.toml", &from("model.adapter", run));
    }
    for unknown in [
        "no recipe before this one makes it",
        "counted as an adapter of rank",
    ] {
        let told = notes.iter().any(|note| note.contains(unknown));
        assert!(!told, "{notes:?}");
    }
}

/// What a recipe says of a suite whose best step is kept.
fn suite_best() -> [String; 4] {
    [
        "suite.every=9",
        "suite.data=\"benchmarks\"",
        "suite.benchmarks=[\"pope\"]",
        "suite.best=\"pope.f1\"",
    ]
    .map(str::to_owned)
}

/// By hand: an update of learning sends the gradients of an adapter of rank 64 on all layers, once, to the other rank.
#[test]
fn rounds_are_shared_as_their_stages_are() {
    let folder = root().join("recipes/llava-7b-224");
    let lanes = ["run.lanes=2".to_owned()];
    let mut planner = Planner::default().of_ranks(2);
    for name in ["0-pretrain.toml", "1-sft.toml"] {
        plan(&mut planner, &folder.join(name), &lanes);
    }
    let rounds = folder.join("dpo/4-rounds.toml");
    let refused = planner.plan(&rounds, &[]).unwrap_err().to_string();
    assert!(
        refused.contains("2 ranks cannot share run.lanes = 1"),
        "{refused}"
    );
    let sharing = plan(&mut planner, &rounds, &lanes).sharing.unwrap();
    let adapter = 4 * 64 * 32 * (4 * 8192 + 3 * 15_104);
    assert_eq!((sharing.n_lanes, sharing.step_bytes), (Some(2), adapter));
    let sets = [&lanes[..], &suite_best()[..]].concat();
    let best = plan(&mut planner, &rounds, &sets).sharing.unwrap();
    assert_eq!(best.start_bytes - sharing.start_bytes, adapter);
}

/// By hand: a tower of the class, 16 patches of 16 x 16 pixels with positions, four blocks and two norms, of 64 images in two passes.
#[test]
fn grounding_is_shared_by_parts_of_its_batch() {
    let recipe = root().join("recipes/demo/0-ground.toml");
    let mut planner = Planner::default().of_ranks(2);
    let refused = planner.plan(&recipe, &[]).unwrap_err().to_string();
    assert!(
        refused.contains("2 ranks cannot share run.lanes = 1"),
        "{refused}"
    );
    let shared = plan(&mut planner, &recipe, &["run.lanes=2".to_owned()]);
    let attention = 4 * (96 * 96 + 96);
    let mlp = (96 * 384 + 384) + (384 * 96 + 96);
    let blocks = 4 * (attention + mlp + 4 * 96);
    let tower = 96 + 96 * 3 * 16 * 16 + 17 * 96 + blocks + 4 * 96;
    let sharing = shared.sharing.unwrap();
    assert_eq!((sharing.n_lanes, sharing.step_bytes), (Some(2), 4 * tower));
    assert_eq!((sharing.n_pieces, sharing.most_pieces), (Some(2), Some(1)));
    // Nine images are a part for each of eight lanes, and three for no more than three of them.
    for (images, parts) in [(9, 8), (3, 3)] {
        let sets = [
            "run.lanes=8".to_owned(),
            format!("data.batch_images={images}"),
        ];
        let sharing = plan(&mut planner, &recipe, &sets).sharing.unwrap();
        assert_eq!(sharing.n_pieces, Some(parts), "{images} images");
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
    let keep = [
        "run.shard=\"zero3\"",
        "model.activations=\"keep\"",
        "run.lanes=2",
    ];
    let refused = planner.plan(&folder.join("1-sft.toml"), &keep.map(str::to_owned));
    let message = refused.unwrap_err().to_string();
    let words = "\"zero3\" has the weights of a block while it is computed";
    assert!(message.contains(words), "{message}");
    // Two passes an update for eight lanes.
    let short = ["data.batch=8", "data.micro_batch=4"].map(str::to_owned);
    let base = set("model.base", Path::new("llava-hf/llava-1.5-7b-hf"));
    let sets = [&short[..], &[base]].concat();
    let idle = plan(&mut planner, &eight, &sets);
    let words = "run.lanes is 8, and an update has 2 passes: 6 lanes have nothing to do";
    assert!(idle.notes.iter().any(|note| note == words), "{idle:?}");
    // Where tokens bound passes there are as many as conversations of 1280 tokens make, of which one or two fit; how many of the
    // lanes are idle then is not known.
    for (tokens, most) in [(1280, 8), (2560, 4)] {
        let own = [
            "data.batch=8".to_owned(),
            "data.micro_batch=8".to_owned(),
            format!("data.pass_tokens={tokens}"),
        ];
        let cut = plan(&mut planner, &eight, &[&own[..], &sets[2..]].concat());
        let is_idle = |note: &String| note.contains("have nothing to do");
        assert!(!cut.notes.iter().any(is_idle), "{cut:?}");
        assert_eq!(cut.sharing.unwrap().n_pieces, Some(most));
    }
}
