//! The shipped recipes load, and a recipe with mistakes lists them all; every metric is documented.

use std::path::{Path, PathBuf};

use candor_judge::reward::Source;
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_rl::advantages::{Advantages, Scale};
use candor_rl::critic::{CriticBase, CriticRecipe};
use candor_rl::gather::Drawn;
use candor_rl::kl::KlEstimator;
use candor_rl::loss::Clip;
use candor_rl::metrics::{RlMetrics, RolloutMetrics, UpdateMetrics};
use candor_rl::parts::PartMetrics;
use candor_rl::recipe::{AverageOver, Normalise};
use candor_rl::shaping::ScorePosition;
use candor_rl::symbolic::YesReward;
use candor_testing::metrics::undocumented;
use candor_train::Length;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn open(path: &str, sets: &[&str]) -> Result<RlRecipe, String> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    RlRecipe::open(&root().join("recipes").join(path), &sets).map_err(|e| e.to_string())
}

/// Beside the largest image of COCO, 640 × 640, with the tokens that each family's processor makes of it. The reward prompt has some 165
/// tokens; five captions have some 90, and hardly ever more than 280. An image is one of a query's tokens, and an end is added.
#[test]
fn reward_models_of_shipped_recipes_have_room_for_the_answers_of_stage_5() {
    let prompt = root().join("recipes/prompts/reward-facts.txt");
    let prompt = format!("prompt.file={prompt:?}");
    for (folder, image) in [
        ("llava-7b-224", 256),
        ("llava-13b-336", 576),
        ("llava-v1.6-7b", 576 + 48 * 48 + 48),
        ("llava-onevision-7b", 729 + 54 * 54 + 54),
        ("qwen2.5-vl-3b", 23 * 23 + 2),
        ("qwen2.5-vl-7b", 23 * 23 + 2),
        ("qwen3-vl-4b", 20 * 20 + 2),
        ("qwen3-vl-8b", 20 * 20 + 2),
    ] {
        let recipe = root().join("recipes").join(folder).join("3-reward.toml");
        let reward = RewardRecipe::open(&recipe, std::slice::from_ref(&prompt)).unwrap();
        for stage in ["5-ppo.toml", "grpo/5-grpo.toml"] {
            let path = format!("{folder}/{stage}");
            if !root().join("recipes").join(&path).exists() {
                continue;
            }
            let rl = open(&path, &[]).unwrap();
            let query = image + rl.data.max_query_tokens;
            let most = query + rl.sampling.max_new_tokens + 165 + 280;
            let room = reward.max_tokens;
            assert!(most <= room, "{path}: {most} tokens, and room for {room}");
        }
    }
}

/// The public prompts are about COCO's train2017, a part of whose images is of val2014: the files of train2014 lack them.
#[test]
fn rules_look_for_objects_in_the_files_that_have_the_images_of_their_prompts() {
    let rules = open("llava-7b-224/grpo/5-rules.toml", &[]).unwrap();
    let objects = rules.rewards.iter().find_map(|term| match &term.source {
        Source::Objects(objects) => Some(objects),
        _ => None,
    });
    let objects = objects.unwrap();
    let files = [Some(&objects.instances), objects.captions.as_ref()];
    let names = files.map(|file| file.unwrap().file_name().unwrap().to_str().unwrap());
    let of_2017 = ["instances_train2017.json", "captions_train2017.json"];
    assert_eq!(names, of_2017);
}

#[test]
fn the_papers_recipe_has_its_numbers_and_quirks() {
    let paper = open("llava-7b-224/paper/5-ppo.toml", &[]).unwrap();
    assert_eq!(paper.length, Length::Steps(562));
    let batch = paper.batch;
    assert_eq!(
        (batch.rollout_batch, batch.mini_batch, batch.inner_epochs),
        (512, 256, 2)
    );
    let ppo = paper.ppo;
    assert_eq!(
        (ppo.kl_coef, ppo.kl_estimator),
        (0.1, KlEstimator::K1Clamped)
    );
    let critic = CriticRecipe {
        base: CriticBase::Reward,
        value_clip_range: 0.2,
        value_coef: 0.1,
    };
    let gae = Advantages::Gae {
        gamma: 1.0,
        lambda: 1.0,
        critic,
    };
    let clip = Clip {
        low: 0.2,
        high: 0.2,
    };
    assert_eq!((ppo.advantages, ppo.clip), (gae, clip));
    assert_eq!(paper.sampling.samples_per_prompt, 1);
    assert_eq!((ppo.whiten_advantages, ppo.whiten_rewards), (true, false));
    assert_eq!(ppo.average_over, AverageOver::Padded);
    let score = paper.score;
    assert_eq!(
        (score.position, score.reward_scale),
        (ScorePosition::LastPad, 10.0)
    );
    assert_eq!(
        (score.normalise, score.yes_reward),
        (Normalise::None, YesReward::Paper)
    );
    let terminal = score.terminal;
    assert_eq!(
        (terminal.no_eos_penalty, terminal.symbolic_coef),
        (8.0, 2.0)
    );
    assert_eq!(
        (terminal.length_penalty, terminal.length_scale_tokens),
        (10.0, 896.0)
    );
    assert_eq!(
        (paper.data.max_query_tokens, paper.sampling.max_new_tokens),
        (128, 896)
    );
    let quirks = paper.quirks;
    assert!(quirks.misalign_dropped_queries && quirks.cut_at_question_mark);
    assert!(quirks.shuffle_captions && quirks.drop_partial_mini_batch);
}

#[test]
fn modern_recipes_have_none_of_the_quirks() {
    for path in ["llava-7b-224/5-ppo.toml", "demo/5-ppo.toml"] {
        let modern = open(path, &[]).unwrap();
        assert_eq!(
            modern.ppo.average_over,
            AverageOver::RealTokensOfMiniBatch,
            "{path}"
        );
        assert_ne!(modern.ppo.kl_estimator, KlEstimator::K1Clamped, "{path}");
        assert_eq!(modern.score.position, ScorePosition::LastToken, "{path}");
        assert_eq!(modern.score.yes_reward, YesReward::Symmetric, "{path}");
        assert!(
            (modern.score.reward_scale - 1.0).abs() < f64::EPSILON,
            "{path}"
        );
        let quirks = modern.quirks;
        let any = [
            quirks.misalign_dropped_queries,
            quirks.cut_at_question_mark,
            quirks.shuffle_captions,
            quirks.drop_partial_mini_batch,
        ];
        assert_eq!(any, [false; 4], "{path}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let sets = [
        "run.steps=3",
        "run.epochs=2",
        "batch.mini_batch=4096",
        "sampling.temperature=0.0",
        "score.no_eos_penalty=-8.0",
        "kl.estimator=\"k4\"",
        "whiten.rewards=true",
        "score.reward_scale=10.0",
        "score.position=\"last_pad\"",
        "guard.max_lk=3.0",
    ];
    let message = open("demo/5-ppo.toml", &sets).unwrap_err();
    for part in [
        "both of `steps` and `epochs`",
        "4096 is more than rollout_batch",
        "sampling.temperature",
        "score.no_eos_penalty",
        "k1_clamped",
        "whitened rewards",
        "the last pad is no position",
        "max_lk",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
}

#[test]
fn a_suite_and_a_term_do_not_share_a_judge() {
    let with = |suite: &str| {
        let judge = format!("suite.judge={suite:?}");
        let sets = [
            "suite.every=2",
            "suite.data=\"benchmarks\"",
            "suite.benchmarks=[\"mmhal\"]",
            "rewards=[{ name = \"rated\", kind = \"judge\", weight = 1.0, judge = \"judge.toml\" }]",
            &judge,
        ];
        open("demo/5-ppo.toml", &sets)
    };
    let message = with("judge.toml").unwrap_err();
    for part in ["has 1 mistake\n", "suite.judge", "\"rated\""] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    with("other.toml").unwrap();
}

#[test]
fn the_critics_keys_have_no_place_beside_rloo() {
    let sets = [
        "algorithm=\"rloo\"",
        "sampling.samples_per_prompt=3",
        "whiten.rewards=true",
    ];
    let message = open("llava-7b-224/5-ppo.toml", &sets).unwrap_err();
    for part in [
        "3 does not divide batch.rollout_batch = 512",
        "advantages.gamma",
        "has no meaning without a critic",
        "advantages.gae_lambda",
        "loss.value_clip_range",
        "loss.value_coef",
        "whiten.rewards",
    ] {
        assert!(message.contains(part), "{message}\nlacks {part}");
    }
    let alone = ["algorithm=\"rloo\"", "sampling.samples_per_prompt=1"];
    let message = open("llava-7b-224/rloo/5-rloo.toml", &alone).unwrap_err();
    assert!(message.contains("use 2 or more"), "{message}");
    let rloo = open("llava-7b-224/rloo/5-rloo.toml", &[]).unwrap();
    let samples_per_prompt = rloo.sampling.samples_per_prompt;
    assert_eq!(rloo.ppo.advantages, Advantages::Rloo { samples_per_prompt });
    assert_eq!(rloo.prompts_per_step() * samples_per_prompt, 512);
    let dapo = open("llava-7b-224/grpo/5-dapo.toml", &[]).unwrap();
    let samples_per_prompt = dapo.sampling.samples_per_prompt;
    let expected = Advantages::Group {
        samples_per_prompt,
        scale: Scale::Group,
        leave_out_flat: true,
        refill_rounds: 4,
    };
    assert_eq!(dapo.ppo.advantages, expected);
}

#[test]
fn every_metric_is_documented_and_nothing_else() {
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let part = PartMetrics {
        mean: 0.0,
        std: 0.0,
        unweighted_mean: None,
        n: 0,
    };
    let rollout = RolloutMetrics {
        score_mean: Some(0.0),
        score_std: Some(0.0),
        general_score_mean: Some(0.0),
        reward_mean: 0.0,
        kl_mean: 0.0,
        kl_per_token: 0.0,
        response_tokens_mean: 0.0,
        finished_share: 0.0,
        correctness_mean: None,
        yes_ratio: None,
        values_mean: Some(0.0),
        returns_mean: Some(0.0),
        advantages_std: 0.0,
        explained_variance: Some(0.0),
        n_flat_prompts: None,
        rewards: [("NAME".to_owned(), part)].into(),
        n_rollouts: 0,
        n_response_tokens: 0,
    };
    let metrics = RlMetrics {
        step: 1,
        rollout,
        drawn: Some(Drawn {
            n_prompts: 0,
            n_thrown: 0,
            n_rounds: 0,
        }),
        update: UpdateMetrics::of(&[]),
        suite: [(
            "<benchmark>".to_owned(),
            [("<number>".to_owned(), 1.0)].into(),
        )]
        .into(),
    };
    assert_eq!(undocumented(&page, "rl", &metrics), Vec::<String>::new());
}
