//! GRPO's advantages, its loss and ten updates of a tiny model against PyTorch, transformers and PEFT.
//!
//! `parity/fixtures/grpo.py` read every rollout by itself and without padding, and computed formulas in f64. Tolerances are
//! those of `golden_formulas.rs` and `golden_ppo.rs`, for their reasons. The rollouts are those of the golden PPO, taken as
//! two groups of four.

mod given;

use candor_data::Facts;
use candor_model::{Activations, Response};
use candor_rl::advantages::{Advantages, Scale, against_batch, against_group, without_spread};
use candor_rl::experience::{Experience, width_of};
use candor_rl::kl::KlEstimator;
use candor_rl::loss::{Clip, Weights, kl_loss, policy_loss};
use candor_rl::recipe::{AverageOver, KlPlace, Normalise, PpoRecipe, ScoreRecipe};
use candor_rl::rollout::Rollout;
use candor_rl::shaping::{ScorePosition, TerminalCoefs};
use candor_rl::symbolic::YesReward;
use candor_rl::update::Learner;
use candor_run::Ranks;
use candor_testing::golden::{Golden, Updates, assert_close};
use candor_train::{AdamW, AdamWConfig, ParamGroup, TrainError, on_this_rank};
use given::{Models, golden_folder, prompts, rollouts, scores};
use tch::{Device, Kind, Tensor};

const TOLERANCE: f64 = 2e-6;
const FORWARD: f64 = 1e-5;
const PARAMETERS: f64 = 5e-6;

const GROUP: usize = 4;
const CLIP: Clip = Clip {
    low: 0.2,
    high: 0.28,
};
const KL_COEF: f64 = 0.04;
const MAX_RESPONSE: usize = 9;

#[test]
fn advantages_of_groups() {
    let golden = Golden::open(&golden_folder().join("grpo.safetensors"));
    let mask = golden.get("advantages.mask");
    let rewards = golden.get("advantages.rewards");
    let rewards = rewards.masked_fill(&mask.logical_not(), f64::NAN);
    let of = |scale| against_group(&rewards, mask, GROUP, scale);
    for (name, found) in [
        ("group", of(Scale::Group)),
        ("batch", of(Scale::Batch)),
        ("none", of(Scale::None)),
        ("reinforce", against_batch(&rewards, mask)),
    ] {
        let expected = golden.get(&format!("advantages.{name}")).unsqueeze(1);
        let expected = expected
            .expand_as(mask)
            .masked_fill(&mask.logical_not(), 0.0);
        assert_close("grpo advantages", name, &found, &expected, TOLERANCE);
    }
    let flat = without_spread(&rewards, mask, GROUP);
    assert_eq!(flat, [[false; 4], [true; 4]].concat());
}

/// Answers of 1, 3, 2, 2, 1 and 1 tokens earned 3, 1, 2, 2, 5 and 1, so that they are 1, −1, 0, 0, 2 and −2 better than the mean of
/// their pairs. The pair in the middle is not trained on: over the tokens of the others, 1, −1, −1, −1, 2 and −2, the mean is −1/3 and
/// the variance 12/6 − 1/9 = 17/9. What is told is the deviation of all ten tokens, of variance 12/10 − 1/25 = 1.16.
#[test]
fn whitening_goes_over_what_is_trained_on() {
    let golden = Golden::open(&golden_folder().join("rollouts.safetensors"));
    let prompts = prompts(&golden);
    let lengths = [1, 3, 2, 2, 1, 1];
    let rollouts: Vec<Rollout<'_>> = lengths
        .iter()
        .zip(&prompts)
        .map(|(&n, prompt)| Rollout {
            prompt,
            sample: 0,
            response: Response {
                ids: vec![2; n],
                logprobs: vec![0.0; n],
                finished: true,
            },
            text: String::new(),
            facts: Facts::default(),
        })
        .collect();
    let mut scores = scores(&golden);
    scores.truncate(lengths.len());
    for (score, total) in scores.iter_mut().zip([3.0, 1.0, 2.0, 2.0, 5.0, 1.0]) {
        score.terminal.total = total;
    }
    let leaving_out = PpoRecipe {
        advantages: Advantages::Group {
            samples_per_prompt: 2,
            scale: Scale::None,
            leave_out_flat: true,
            refill_rounds: 0,
        },
        whiten_advantages: true,
        ..ppo()
    };
    let reference = Tensor::zeros([6, 3], (Kind::Float, Device::Cpu));
    let found = Experience::new(&rollouts, &scores, &reference, None, &score(), &leaving_out);
    assert!((found.advantages_std.double_value(&[]) - 1.16_f64.sqrt()).abs() < 1e-6);
    let of_token = |advantage: f64| (advantage + 1.0 / 3.0) / (17.0_f64.sqrt() / 3.0);
    let [good, bad] = [1.0, -1.0].map(of_token);
    let expected = [
        [good, 0.0, 0.0],
        [bad; 3],
        [0.0; 3],
        [0.0; 3],
        [of_token(2.0), 0.0, 0.0],
        [of_token(-2.0), 0.0, 0.0],
    ];
    for (row, expected) in (0..).zip(expected) {
        for (column, expected) in (0..).zip(expected) {
            let found = found.advantages.double_value(&[row, column]);
            assert!(
                (found - expected).abs() < 1e-5,
                "{row}, {column}: {found} against {expected}"
            );
        }
    }
}

#[test]
fn the_loss_in_every_average() {
    let golden = Golden::open(&golden_folder().join("grpo.safetensors"));
    let part = |name: &str| golden.get(&format!("loss.{name}"));
    let mask = part("mask");
    let lengths = mask.sum_dim_intlist([1].as_slice(), true, Kind::Float);
    let n_rows = mask.size()[0] as f64;
    let n_tokens = lengths.sum(Kind::Double).double_value(&[]);
    for (average, of_row) in [
        ("responses", 1.0 / (&lengths * n_rows)),
        ("real_tokens", lengths.ones_like() / n_tokens),
        (
            "longest_response",
            lengths.ones_like() / (n_rows * MAX_RESPONSE as f64),
        ),
    ] {
        let weights = Weights {
            of_row: &of_row,
            n_tokens,
        };
        let poisoned = |x: &Tensor| x.masked_fill(&mask.logical_not(), f64::NAN);
        let logprobs = poisoned(part("logprobs")).set_requires_grad(true);
        let [old, reference] = ["old_logprobs", "ref_logprobs"].map(|name| poisoned(part(name)));
        let advantages = part("advantages").unsqueeze(1).expand_as(mask);
        let policy = policy_loss(&logprobs, &old, &advantages, mask, CLIP, weights);
        let kl = kl_loss(KlEstimator::K3, &logprobs, &reference, mask, weights);
        let loss = policy.loss + kl * KL_COEF;
        loss.backward();
        let expected = |what: &str| part(&format!("{average}.{what}"));
        assert_close("grpo loss", average, &loss, expected("loss"), TOLERANCE);
        let gradient = logprobs.grad();
        assert_close(
            "grpo gradients",
            average,
            &gradient,
            expected("grad"),
            TOLERANCE,
        );
    }
}

fn ppo() -> PpoRecipe {
    PpoRecipe {
        kl_coef: KL_COEF,
        kl_estimator: KlEstimator::K3,
        kl_place: KlPlace::Loss,
        advantages: Advantages::Group {
            samples_per_prompt: GROUP,
            scale: Scale::Group,
            leave_out_flat: false,
            refill_rounds: 0,
        },
        whiten_advantages: false,
        whiten_rewards: false,
        clip: CLIP,
        entropy_coef: 0.0,
        average_over: AverageOver::Responses,
    }
}

/// The terminal rewards are given, so the coefficients are not asked for.
fn score() -> ScoreRecipe {
    ScoreRecipe {
        normalise: Normalise::None,
        weight: 1.0,
        terminal: TerminalCoefs {
            no_eos_penalty: 0.0,
            length_penalty: 0.0,
            length_scale_tokens: 1.0,
            symbolic_coef: 0.0,
        },
        yes_reward: YesReward::Symmetric,
        position: ScorePosition::LastToken,
        reward_scale: 1.0,
    }
}

fn check(micro_batch: usize, activations: Activations) {
    let sampled = Golden::open(&golden_folder().join("rollouts.safetensors"));
    let golden = Golden::open(&golden_folder().join("grpo_steps.safetensors"));
    let models = Models::open(&sampled);
    let prompts = prompts(&sampled);
    let rollouts = rollouts(&sampled, &golden, &prompts);
    let learner = Learner {
        policy: models.policy_reader(&models.policy),
        critic: None,
        ppo: ppo(),
        activations,
        micro_batch,
        max_new_tokens: MAX_RESPONSE,
    };
    let mut compared = Updates::new(format!("grpo, {micro_batch} a pass, {activations:?}"));
    let width = width_of(&rollouts, learner.ppo.average_over, MAX_RESPONSE);
    let reference = models.policy_reader(&models.reference);
    let reference = reference
        .logprobs(&rollouts, micro_batch, width, &Ranks::alone())
        .unwrap();
    let experience = Experience::new(
        &rollouts,
        &scores(&sampled),
        &reference,
        None,
        &score(),
        &ppo(),
    );
    compared.close(
        0,
        "ref_logprobs",
        &reference,
        golden.get("ref_logprobs"),
        FORWARD,
    );
    let advantages = experience.advantages.select(1, 0);
    compared.close(
        0,
        "advantages",
        &advantages,
        golden.get("advantages"),
        FORWARD,
    );

    let flat = |what: fn(&Tensor) -> Tensor| {
        let parts = models.policy.parameters().values();
        let parts: Vec<Tensor> = parts
            .map(|tensor| what(tensor).detach().flatten(0, -1))
            .collect();
        Tensor::cat(&parts, 0)
    };
    let [(_, trained), ..] = models.trained();
    let config = AdamWConfig {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let mut optimizer = AdamW::new(config, ParamGroup::all(trained, 1.0)).expect("trainable");
    let mini_batches = Vec::<Vec<i64>>::try_from(golden.get("mini_batch")).expect("a matrix");
    assert_eq!(mini_batches.len(), 10);
    for (n, rows) in (1..).zip(&mini_batches) {
        optimizer.zero_grad();
        let rows: Vec<usize> = rows.iter().map(|&row| row as usize).collect();
        let passed = learner.pass(&rollouts, &experience, &rows, |micros, pass| {
            Ok::<_, TrainError>(on_this_rank(micros, pass))
        });
        let passed = passed.expect("passes");
        if n == 1 {
            compared.close(
                n,
                "gradients",
                &flat(Tensor::grad),
                golden.get("gradients"),
                FORWARD,
            );
        }
        let kl = passed.kl_loss.expect("it is in the loss");
        let loss = passed.policy_loss + KL_COEF * kl;
        assert!((passed.loss - loss).abs() < 1e-12);
        for (what, found) in [
            ("policy_loss", passed.policy_loss),
            ("kl_loss", kl),
            ("clip_fraction", passed.clip_fraction),
            ("norm", optimizer.clip_grad_norm(1.0)),
        ] {
            let expected = golden.numbers(what)[n - 1];
            compared.number(n, what, found, expected, FORWARD);
        }
        optimizer.step(1e-3);
        if [1, 10].contains(&n) {
            let expected = golden.get(&format!("policy.{n}"));
            compared.close(
                n,
                "parameters",
                &flat(Tensor::shallow_clone),
                expected,
                PARAMETERS,
            );
        }
    }
    compared.report();
}

#[test]
fn ten_updates_follow_pytorch() {
    check(4, Activations::Keep);
}

#[test]
fn ten_updates_follow_pytorch_in_small_passes() {
    check(3, Activations::Keep);
    check(1, Activations::Recompute);
}

/// What the updates move is far more than what the tests allow, and something is clipped.
#[test]
fn the_golden_updates_are_large_enough_to_mean_something() {
    let golden = Golden::open(&golden_folder().join("grpo_steps.safetensors"));
    let moved = (golden.get("policy.10") - golden.get("policy.1"))
        .abs()
        .max();
    assert!(moved.double_value(&[]) > 3e-3);
    assert!(
        golden
            .numbers("clip_fraction")
            .into_iter()
            .fold(0.0, f64::max)
            > 0.05
    );
    assert!(golden.numbers("kl_loss")[0] > 0.05);
}
