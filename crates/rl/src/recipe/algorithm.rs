//! Reading the algorithm: what it needs to know to estimate advantages, and which keys have no place beside it.

use candor_recipe::Reader;

use super::SamplingRecipe;
use crate::advantages::{Advantages, Scale};
use crate::critic::{CriticBase, CriticRecipe};

/// Reads what an algorithm needs to know to estimate advantages.
pub(super) type Algorithm = fn(&mut Reader, &SamplingRecipe) -> Advantages;

/// The algorithms by their names.
pub(super) fn read_algorithm(r: &mut Reader) -> Algorithm {
    let algorithms: [(&str, Algorithm); 4] = [
        ("ppo", ppo_advantages),
        ("rloo", rloo),
        ("grpo", grpo),
        ("reinforce", reinforce),
    ];
    let meaning = "How the policy learns what was better than expected: `ppo` by a critic, `rloo` and `grpo` by the other responses to the prompt, `reinforce` by the mean of the step (docs/algorithms/grpo.md).";
    r.one_of("algorithm", &algorithms, meaning)
        .or(ppo_advantages, "\"ppo\"")
}

// Fields of `ppo`, with what they mean.
const GAMMA: [&str; 2] = [
    "advantages.gamma",
    "Discount of later rewards; for `ppo` alone.",
];
const LAMBDA: [&str; 2] = [
    "advantages.gae_lambda",
    "Lambda of the generalised advantage estimation; for `ppo` alone.",
];
const VALUE_CLIP: [&str; 2] = [
    "loss.value_clip_range",
    "How far a value may move before its gradient stops; for `ppo` alone, which has a critic.",
];
const VALUE_COEF: [&str; 2] = [
    "loss.value_coef",
    "Weight of the value loss; for `ppo` alone, which has a critic.",
];

const CRITIC: [&str; 2] = [
    "model.critic",
    "Whose base and adapter the critic begins as: the reward model's, as in the paper, or the policy's, which a reward model of another family or none asks for; for `ppo` alone, which has a critic.",
];
const CRITICS: [(&str, CriticBase); 2] = [
    ("reward", CriticBase::Reward),
    ("policy", CriticBase::Policy),
];

fn ppo_advantages(r: &mut Reader, _: &SamplingRecipe) -> Advantages {
    Advantages::Gae {
        gamma: r.f64(GAMMA[0], GAMMA[1]).within(0.0..=1.0).required(),
        lambda: r.f64(LAMBDA[0], LAMBDA[1]).within(0.0..=1.0).required(),
        critic: CriticRecipe {
            value_clip_range: r.f64(VALUE_CLIP[0], VALUE_CLIP[1]).positive().required(),
            value_coef: r.f64(VALUE_COEF[0], VALUE_COEF[1]).within(0.0..).required(),
            base: r
                .one_of(CRITIC[0], &CRITICS, CRITIC[1])
                .or(CriticBase::Reward, "\"reward\""),
        },
    }
}

fn rloo(r: &mut Reader, sampling: &SamplingRecipe) -> Advantages {
    without_critic(r);
    several(r, sampling);
    Advantages::Rloo {
        samples_per_prompt: sampling.samples_per_prompt,
    }
}

fn grpo(r: &mut Reader, sampling: &SamplingRecipe) -> Advantages {
    without_critic(r);
    several(r, sampling);
    let scales = [
        ("group", Scale::Group),
        ("batch", Scale::Batch),
        ("none", Scale::None),
    ];
    let scale = r.one_of("advantages.scale", &scales, "GRPO: what the distance from the mean of the prompt's responses is divided by: their standard deviation, that of the step, or nothing (Dr. GRPO).").required();
    let leave_out_flat = r.bool("advantages.leave_out_flat", "GRPO: whether prompts whose responses all earned the same are not trained on (dynamic filtering); they are counted in any case.").required();
    let key = "advantages.refill_rounds";
    let refill_rounds = r.usize(key, "GRPO: how often, at most, a step samples further prompts in the place of those that are left out (dynamic sampling, DAPO); 0 leaves the step to learn from fewer.").within(0..=100).or(0, "0");
    if refill_rounds > 0 && !leave_out_flat {
        let problem = "prompts are sampled in the place of those that are left out, and none is";
        r.mistake(key, problem, "set advantages.leave_out_flat = true");
    }
    Advantages::Group {
        samples_per_prompt: sampling.samples_per_prompt,
        scale,
        leave_out_flat,
        refill_rounds,
    }
}

fn reinforce(r: &mut Reader, _: &SamplingRecipe) -> Advantages {
    without_critic(r);
    Advantages::Reinforce
}

/// Refuses the keys of a critic.
fn without_critic(r: &mut Reader) {
    let problem = "has no meaning without a critic";
    let remedy = "remove it, or use algorithm = \"ppo\"";
    for [key, meaning] in [GAMMA, LAMBDA, VALUE_CLIP, VALUE_COEF] {
        if r.f64(key, meaning).optional().is_some() {
            r.mistake(key, problem, remedy);
        }
    }
    let [key, meaning] = CRITIC;
    if r.one_of(key, &CRITICS, meaning).optional().is_some() {
        r.mistake(key, problem, remedy);
    }
}

/// Asks for several responses to a prompt.
fn several(r: &mut Reader, sampling: &SamplingRecipe) {
    if sampling.samples_per_prompt < 2 {
        let problem = "a response is compared with the others to its prompt, and there are none";
        let remedy = "use 2 or more, or algorithm = \"ppo\" or \"reinforce\"";
        r.mistake("sampling.samples_per_prompt", problem, remedy);
    }
}
