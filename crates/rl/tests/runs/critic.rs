//! Whose base the critic stands on: the reward model's, or the policy's where that is of another family or there is none.

use std::fs;

use candor_data::{Facts, Turn};
use candor_model::{Adapter, Bundle, Response, ScalarHead};
use candor_recipe::Reader;
use candor_reward::{Judged, RewardModel};
use candor_rl::critic::CriticBase;
use candor_rl::passes::ValueReader;
use candor_rl::prompts::PromptRow;
use candor_rl::rollout::Rollout;
use candor_rl::{RlRecipe, run};
use candor_run::Ranks;
use candor_testing::files::lines;
use candor_testing::run::launch;
use tch::{Device, Kind};

use crate::fixture::{RECIPE, facts, features, finished, judged_by_another, prepared, prompts};
use crate::number;

pub const ON_THE_POLICY: &str = "model.critic=\"policy\"";

/// A reward adapter that is the policy's makes one run of both.
#[test]
fn beginning_as_the_policy_is_beginning_as_a_reward_model_with_its_adapter() {
    let dir = prepared();
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let policy = dir.path().join("policy-init").join(file);
        fs::copy(policy, dir.path().join("reward/adapter").join(file)).unwrap();
    }
    let reward = finished(dir.path(), "reward-run", &["run.steps=3"]);
    let policy = finished(dir.path(), "policy-run", &["run.steps=3", ON_THE_POLICY]);
    assert_eq!(policy, reward);
    assert!(number(&policy[2], "values_mean").abs() > 0.0);
}

/// The reward model reads the policy's answers as texts in its own tokens, with the facts; the critic learns on the policy's
/// base, which is of another width here.
#[test]
fn a_reward_model_of_another_family_judges_and_the_critic_stays_with_the_policy() {
    let dir = prepared();
    let other = judged_by_another(dir.path());
    let seen = features(&other, &dir.path().join("data"));

    let sets = ["run.steps=3", "run.samples_per_step=16", ON_THE_POLICY];
    let metrics = finished(dir.path(), "out", &sets);
    // The head begins at zero, and is trained.
    assert!(number(&metrics[0], "values_mean").abs() < 1e-12);
    assert!(number(&metrics[2], "values_mean").abs() > 0.0);
    let policy = Bundle::open(&dir.path().join("model"), Device::Cpu, Kind::Float).unwrap();
    let critic = dir.path().join("out/value/adapter");
    Adapter::open(&critic, &policy.model).unwrap();
    assert!(Adapter::open(&critic, &other.model).is_err());

    let judge = RewardModel::open(&dir.path().join("reward"), &other).unwrap();
    let rows = lines(&dir.path().join("out/samples/step-1.jsonl"));
    assert_eq!(rows.len(), 16);
    let asked = prompts();
    for row in &rows {
        let mut asked = asked.iter();
        let prompt = asked.find(|p| row["id"] == p.conversation.id).unwrap();
        let mut conversation = prompt.conversation.clone();
        conversation.turns.truncate(1);
        let response = row["response"].as_str().unwrap();
        conversation.turns.push(Turn::gpt(response));
        let image = conversation.image.as_deref().unwrap();
        let mut told = facts().for_prompt(image, prompt.answer_type);
        told.correct_option = None;
        let item = Judged {
            id: "x",
            conversation: &conversation,
            facts: &told,
        };
        let scores = judge.score(&other, &seen, &[item], 1, &Ranks::alone());
        let (found, expected) = (number(row, "score"), scores.unwrap()[0]);
        // Read in passes of five there, and alone here.
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

/// A prompt's tokens are others to each base.
#[test]
fn a_critic_reads_the_tokens_of_its_own_base() {
    let dir = prepared();
    let policy = Bundle::open(&dir.path().join("model"), Device::Cpu, Kind::Float).unwrap();
    let adapter = Adapter::open(&dir.path().join("policy-init"), &policy.model).unwrap();
    let head = ScalarHead::zeros(&policy.model).unwrap();
    let seen = features(&policy, &dir.path().join("data"));
    let asked = prompts().swap_remove(0);
    let prompt = PromptRow {
        id: "x".to_owned(),
        conversation: asked.conversation,
        query: vec![1, 5, 6, 7].into(),
        value_query: vec![1, 8, 9].into(),
        facts: Facts::default(),
        answer_type: asked.answer_type,
        length_bonus: 1.0,
        reference: None,
    };
    let rollout = Rollout {
        prompt: &prompt,
        sample: 0,
        response: Response {
            ids: vec![10, 11],
            logprobs: vec![0.0, 0.0],
            finished: false,
        },
        text: String::new(),
        facts: Facts::default(),
    };
    for (base, expected) in [
        (CriticBase::Policy, vec![1, 5, 6, 7, 10, 11]),
        (CriticBase::Reward, vec![1, 8, 9, 10, 11]),
    ] {
        let reader = ValueReader {
            base,
            bundle: &policy,
            adapter: &adapter,
            head: &head,
            features: &seen,
            padded_to: None,
        };
        let ids = reader.rows(&[&rollout]).ids;
        let ids = Vec::<i64>::try_from(ids.flatten(0, -1)).unwrap();
        assert_eq!(ids, expected, "{base:?}");
    }
}

/// Without a reward model there is no other base to stand on.
#[test]
fn rules_alone_may_have_a_critic_that_begins_as_the_policy() {
    let dir = prepared();
    let sets = [
        "run.steps=2",
        ON_THE_POLICY,
        "score.normalise=\"none\"",
        "score.symbolic_coef=2.0",
        "rewards=[{name=\"brief\", kind=\"tokens\", per=8.0, weight=-0.1}]",
    ];
    let text = RECIPE.replace("reward = \"reward\"\n", "");
    let read = |others: &[&str]| {
        let paths = [
            ("run.out", "out"),
            ("model.base", "model"),
            ("model.policy_init", "policy-init"),
            ("data.root", "data"),
        ];
        let sets = candor_testing::run::sets(dir.path(), &paths, others);
        RlRecipe::read(Reader::parse("ppo.toml", &text, &sets))
    };
    run(&read(&sets).unwrap(), &launch(false), Device::Cpu).unwrap();
    let metrics = lines(&dir.path().join("out/metrics.jsonl"));
    assert!(metrics[0]["score_mean"].is_null());
    assert!(number(&metrics[1], "values_mean").abs() > 0.0);
    let others: Vec<&str> = sets
        .into_iter()
        .filter(|set| *set != ON_THE_POLICY)
        .collect();
    let message = read(&others).unwrap_err().to_string();
    assert!(message.contains("model.critic = \"policy\""), "{message}");
}
