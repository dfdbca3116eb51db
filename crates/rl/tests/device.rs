//! PPO on another device than the CPU, and with reward model and critic on a second one: the same figures and weights, and few
//! copies.
//!
//! The devices are pretend ones in host memory (`candor-pretend-cuda`), which have the CPU's bits.

#[path = "runs/fixture.rs"]
#[allow(dead_code, reason = "the other tests' too")]
mod fixture;

use std::collections::BTreeMap;
use std::path::Path;

use candor_pretend_cuda::{FIRST, PretendCuda, SECOND};
use candor_rl::RlRecipe;
use candor_rl::advantages::without_spread;
use candor_run::Outcome;
use candor_testing::files::{assert_same, files, is_result};
use candor_testing::run::launch;
use tch::{Device, Kind, Tensor};

use fixture::{RECIPE, judged_by_another, prepared, recipe, recipe_of};

const ON_THE_SECOND: &str = "model.reward_device=cuda:1";

fn trained(folder: &Path, out: &str, device: Device, sets: &[&str]) -> BTreeMap<String, Vec<u8>> {
    written(&recipe(folder, out, sets), folder, out, device)
}

/// What a run of the recipe leaves behind in its folder `out`.
fn written(
    recipe: &RlRecipe,
    folder: &Path,
    out: &str,
    device: Device,
) -> BTreeMap<String, Vec<u8>> {
    let outcome = candor_rl::run(recipe, &launch(false), device).expect("it runs");
    assert_eq!(outcome, Outcome::Finished);
    let mut files = files(&folder.join(out));
    files.retain(|name, _| is_result(name));
    assert!(files.len() > 4, "{:?}", files.keys());
    files
}

#[test]
fn figures_and_weights_are_the_cpus() {
    let devices = PretendCuda::take();
    let dir = prepared();
    let steps = "run.steps=2";
    let host = trained(dir.path(), "host", Device::Cpu, &[steps]);
    assert_same(&host, &trained(dir.path(), "first", FIRST, &[steps]));
    assert_eq!(devices.held(SECOND).peak, 0);
    assert_eq!(devices.traffic().between.n, 0);
    let both = trained(dir.path(), "both", FIRST, &[steps, ON_THE_SECOND]);
    assert!(devices.held(SECOND).peak > 0);
    assert_same(&host, &both);
    let judge_apart = trained(dir.path(), "apart", Device::Cpu, &[steps, ON_THE_SECOND]);
    assert_same(&host, &judge_apart);
}

/// It is where the policy is, and the reward model alone on its own device.
#[test]
fn a_critic_on_the_policy_gives_the_cpus_weights() {
    let devices = PretendCuda::take();
    let dir = prepared();
    judged_by_another(dir.path());
    let sets = ["run.steps=2", "model.critic=\"policy\"", ON_THE_SECOND];
    let host = trained(dir.path(), "host", Device::Cpu, &sets[..2]);
    let both = trained(dir.path(), "both", FIRST, &sets);
    assert!(devices.held(SECOND).peak > 0);
    assert_same(&host, &both);
}

/// Groups of responses are compared without a critic, and the KL is in the loss.
#[test]
fn an_algorithm_without_a_critic_gives_the_cpus_weights() {
    let _devices = PretendCuda::take();
    let dir = prepared();
    let text = RECIPE
        .replace(
            "gamma = 1.0\ngae_lambda = 1.0\n",
            "scale = \"group\"\nleave_out_flat = true\n",
        )
        .replace("value_clip_range = 0.2\nvalue_coef = 0.1\n", "");
    let text = format!("algorithm = \"grpo\"\n{text}");
    let sets = [
        "run.steps=2",
        "sampling.samples_per_prompt=2",
        "kl.place=\"loss\"",
        "kl.estimator=\"k3\"",
        "whiten.advantages=false",
    ];
    let trained = |out: &str, device: Device| {
        let recipe = recipe_of(&text, dir.path(), out, &sets);
        assert!(recipe.ppo.advantages.critic().is_none());
        let files = written(&recipe, dir.path(), out, device);
        assert!(!dir.path().join(out).join("value").exists());
        files
    };
    let host = trained("host", Device::Cpu);
    assert_same(&host, &trained("there", FIRST));
}

/// Whether the responses to a prompt differ is asked for all prompts of a step together.
#[test]
fn groups_are_waited_for_once() {
    let devices = PretendCuda::take();
    let rewards = Tensor::from_slice(&[1.0, 2.0, 3.0, 3.0, 5.0, 5.0]).reshape([6, 1]);
    let rewards = rewards.to_device(FIRST);
    let mask = Tensor::ones([6, 1], (Kind::Bool, FIRST));
    devices.restart();
    let flat = without_spread(&rewards, &mask, 2);
    assert_eq!(flat, [false, false, true, true, true, true]);
    assert_eq!(devices.traffic().to_host.n, 1);
}

/// A step of the fixture: answers of 8 tokens at most; 4 passes each of scores, reference and values; 4 mini-batches of 2
/// passes of policy and critic each. A pass of the update has words, images, rows of the experience and weights of
/// rows in a copy each.
#[test]
fn a_step_waits_for_its_tokens_its_scores_and_once_for_each_update() {
    let devices = PretendCuda::take();
    let dir = prepared();
    let traffic = |out: &str, steps: &str| {
        devices.restart();
        let others = ["run.checkpoint_every=100", "run.snapshot_every=100"];
        trained(dir.path(), out, FIRST, &[&[steps], &others[..]].concat());
        devices.traffic()
    };
    let of_two_steps = traffic("four", "run.steps=4") - traffic("two", "run.steps=2");
    println!("{of_two_steps:?}");
    let (tokens, scores, updates, figures) = (8, 4, 4 * 2, 16);
    assert!(of_two_steps.to_host.n <= 2 * (tokens + scores + updates + figures));
    let (of_passes, of_update, others) = (3 * 4 * 2, 4 * 2 * 2 * 4, 24);
    assert!(of_two_steps.to_device.n <= 2 * (tokens + of_passes + of_update + others));
    assert_eq!(of_two_steps.between.n, 0);
}
