//! Gradients of a mini-batch do not depend on how it is cut into passes, nor on what the passes keep in memory.

use std::path::Path;

use candor_data::rows::Look;
use candor_model::Activations;
use candor_rl::critic::CriticLearner;
use candor_rl::experience::{Experience, width_of};
use candor_rl::models::Models;
use candor_rl::passes::{PolicyReader, ValueReader};
use candor_rl::prompts::Prompts;
use candor_rl::recipe::{AverageOver, PpoRecipe};
use candor_rl::rollout::Sampler;
use candor_rl::scoring::{ModelScore, verdict};
use candor_rl::update::{Learner, MiniBatchStats};
use candor_run::Ranks;
use candor_train::{FeaturePlace, TrainError, on_this_rank};
use tch::{Device, Tensor};

use crate::fixture::{prepared, recipe};

/// A score that is the place of the response.
fn said(place: usize) -> ModelScore {
    let place = place as f64;
    ModelScore {
        raw: place,
        normalised: place,
        sentences: Vec::new(),
    }
}

/// Gradients and figures of one mini-batch of eight under several cuts.
fn cuts(average_over: AverageOver) -> Vec<(Vec<(String, Tensor)>, MiniBatchStats)> {
    let dir = prepared();
    let recipe = recipe(dir.path(), "out", &[]);
    let models = Models::open(&recipe, Device::Cpu).unwrap();
    let asking = models.asking(recipe.sampling.max_new_tokens, Look::There, Path::new(""));
    let prompts = Prompts::read(&recipe.data, &recipe.quirks, asking, Some(dir.path())).unwrap();
    let images = ["red.png", "green.png", "blue.png"].map(str::to_owned);
    let (folder, alone) = (&recipe.data.images, Ranks::alone());
    let place = FeaturePlace::memory();
    let images = models.encode(folder, &images, &place, &alone, |_, _| ());
    let images = images.unwrap();
    let sampler = Sampler {
        bundle: models.policy_base(),
        policy: &models.policy,
        features: images.policy(),
        recipe: recipe.sampling,
        quirks: recipe.quirks,
        seed: 1,
    };
    let prompts = prompts.rows(0..prompts.len()).unwrap();
    let asked: Vec<_> = prompts.iter().collect();
    let rollouts = sampler.sample([0, 0], &asked, 1, &alone).unwrap();
    let first = rollouts[0].response.ids.len();
    assert!(rollouts.iter().any(|r| r.response.ids.len() != first));
    let judged = |(i, rollout)| verdict(rollout, Some(said(i)), vec![], &[], &[], &recipe.score);
    let scores: Vec<_> = rollouts.iter().enumerate().map(judged).collect();
    let ppo = PpoRecipe {
        average_over,
        entropy_coef: 0.1,
        ..recipe.ppo
    };
    let policy = PolicyReader {
        bundle: models.policy_base(),
        adapter: &models.policy,
        features: images.policy(),
        temperature: 1.0,
    };
    let width = width_of(&rollouts, average_over, recipe.sampling.max_new_tokens);
    let critic = models.critic.as_ref().unwrap();
    let base = recipe.ppo.advantages.critic().unwrap().base;
    let value = ValueReader {
        base,
        bundle: models.critic_base(base),
        adapter: &critic.adapter,
        head: &critic.head,
        features: images.critic(base),
        padded_to: (average_over == AverageOver::Padded).then_some(width),
    };
    let reference = PolicyReader {
        adapter: &models.reference,
        ..policy
    };
    let ref_logprobs = reference.logprobs(&rollouts, 5, width, &alone).unwrap();
    let values = value.values(&rollouts, 5, width, &alone).unwrap();
    // Away from where sampling left them, so that ratios are clipped and values say something.
    let trained = models.parts().trained.into_iter();
    for (_, mut tensor) in trained.filter(|(name, _)| !name.contains("lora_A")) {
        let _ = tch::no_grad(|| tensor.fill_(0.15));
    }
    let experience = Experience::new(
        &rollouts,
        &scores,
        &ref_logprobs,
        Some(&values),
        &recipe.score,
        &ppo,
    );
    let rows = [9, 1, 2, 11, 4, 3, 6, 7];
    let cut = |micro_batch: usize, activations: Activations| {
        let learner = Learner {
            policy,
            critic: Some(CriticLearner {
                reader: value,
                recipe: ppo.advantages.critic().unwrap(),
            }),
            ppo,
            activations,
            micro_batch,
            max_new_tokens: recipe.sampling.max_new_tokens,
        };
        let mut trained = models.parts().trained;
        for (_, tensor) in &mut trained {
            tensor.zero_grad();
        }
        let passed = learner.pass(&rollouts, &experience, &rows, |micros, pass| {
            Ok::<_, TrainError>(on_this_rank(micros, pass))
        });
        let passed = passed.expect("passes");
        let gradients = trained.into_iter().map(|(name, t)| (name, t.grad().copy()));
        (gradients.collect(), passed)
    };
    vec![
        cut(8, Activations::Keep),
        cut(1, Activations::Keep),
        cut(3, Activations::Keep),
        cut(4, Activations::Recompute),
    ]
}

fn assert_equal(cuts: &[(Vec<(String, Tensor)>, MiniBatchStats)]) {
    let (whole, figures) = &cuts[0];
    let norm = |gradients: &[(String, Tensor)], prefix: &str| -> f64 {
        let of_prefix = gradients
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        of_prefix
            .map(|(_, g)| g.square().sum(tch::Kind::Double).double_value(&[]))
            .sum::<f64>()
            .sqrt()
    };
    for prefix in ["policy", "value.head", "value.language_model"] {
        assert!(norm(whole, prefix) > 1e-4, "{prefix} gets no gradient");
    }
    let critic = figures.critic.unwrap();
    assert!(
        figures.clip_fraction > 0.0 && critic.clip_fraction > 0.0,
        "{figures:?}"
    );
    for (gradients, passed) in &cuts[1..] {
        for ((name, one), (_, other)) in whole.iter().zip(gradients) {
            let difference = (one - other).abs().max().double_value(&[]);
            // f32 sums of a few hundred terms of size 1 in another order.
            let scale = one.abs().max().double_value(&[]).max(0.1);
            assert!(difference < 2e-5 * scale, "{name}: {difference} of {scale}");
        }
        let of_critic = passed.critic.unwrap();
        let pairs = [
            (passed.loss, figures.loss),
            (passed.policy_loss, figures.policy_loss),
            (of_critic.loss, critic.loss),
            (passed.entropy, figures.entropy),
            (passed.clip_fraction, figures.clip_fraction),
            (of_critic.clip_fraction, critic.clip_fraction),
            (passed.approx_kl, figures.approx_kl),
            (passed.ratio_max, figures.ratio_max),
        ];
        for (i, (one, other)) in pairs.into_iter().enumerate() {
            assert!(
                (one - other).abs() < 1e-4 * other.abs().max(0.1),
                "figure {i}: {one} {other}"
            );
        }
        assert_eq!(passed.n_tokens, figures.n_tokens);
    }
}

#[test]
fn one_pass_of_eight_equals_eight_of_one() {
    assert_equal(&cuts(AverageOver::RealTokensOfMiniBatch));
}

#[test]
fn pads_are_cut_alike() {
    assert_equal(&cuts(AverageOver::Padded));
    assert_equal(&cuts(AverageOver::Responses));
    assert_equal(&cuts(AverageOver::LongestResponse));
}
