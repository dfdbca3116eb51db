//! The plan of PPO and its relatives.

use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_model::LoraConfig;
use candor_rl::RlRecipe;
use candor_rl::critic::CriticBase;
use candor_rl::recipe::{BatchRecipe, ONE_REWARD_DEVICE};
use candor_train::{DeviceChoice, Length};

use super::known::{budget, counted, features, images_of_a_row, known_lora, longest, model};
use super::made::{Known, Made};
use super::{Plan, bound, check_lanes};
use crate::PlanError;
use crate::Trained;
use crate::memory::{Budget, IMAGES_PER_PASS, Memory, POLICY, Pass};
use crate::sharing::{ANSWER_TOKEN, Training, VALUE_TOKEN};
use crate::trained::states_of;

/// Plans PPO.
pub(crate) fn rl(
    path: &Path,
    recipe: &RlRecipe,
    made: &mut Made,
    n_ranks: u64,
) -> Result<Plan, PlanError> {
    check_ranks(path, recipe, n_ranks)?;
    let mut plan = Plan::new(path, "rl", &recipe.session.out);
    if let Length::Steps(steps) = recipe.length {
        plan.n_steps = Some(steps);
    }
    let lora = known_lora(made, &recipe.policy_init, &mut plan);
    let (out, suite) = (&recipe.session.out, recipe.suite.as_ref());
    made.trained(out, suite, &recipe.base, Some(&lora));
    let policy = model(made, &recipe.base, recipe.pixels, &mut plan)?;
    let Some((judge_base, judge_pixels, judge_lora)) = judge_of(recipe, made, &mut plan)? else {
        return Ok(plan);
    };
    let judge = match &recipe.reward {
        None => made.known(&recipe.base, recipe.pixels)?,
        Some(_) => model(made, &judge_base, judge_pixels, &mut plan)?,
    };
    let (Some(policy), Some(judge)) = (policy, judge) else {
        return Ok(plan);
    };
    let files = recipe.data.facts.iter().chain([&recipe.data.prompts]);
    let [of_policy, of_judge] = [&policy, &judge].map(|known| budget(known, recipe.base_precision));
    let [policy_image, judge_image] = [of_policy, of_judge].map(|budget| budget.image_tokens());
    let answer = recipe.sampling.max_new_tokens as u64;
    let bound = recipe.data.max_query_tokens as u64 + policy_image + answer;
    let workload = counted(
        files,
        &policy,
        &mut plan,
        bound::rl(recipe, bound),
        |reading| {
            // Prompts are counted by the policy's tokens; what the judge is asked besides is not.
            let judge = match &judge {
                Known::Here(judge) => judge,
                Known::Sizes { .. } => reading,
            };
            Ok(candor_rl::workload(recipe, reading, judge)?)
        },
    )?;
    let apart = apart(recipe, &mut plan);
    // A run records what it sees by, so bounds that a recipe leaves to the folder are bounds too.
    let shared = !apart && judge.sees() == policy.sees() && judge_base == recipe.base;
    let (policy, judge) = (of_policy, of_judge);
    let longest = longest(workload.as_ref(), bound);
    let value = longest + judge_image.saturating_sub(policy_image);
    let training = |budget: &Budget<'_>, lora: &LoraConfig, tokens: u64, targets: u64| {
        let rows = recipe.batch.micro_batch as u64;
        let pass = Pass {
            n_tokens: rows * tokens,
            n_targets: rows * targets,
            n_images: rows * images_of_a_row(workload.as_ref()),
            n_copied: 0,
            activations: recipe.activations,
        };
        budget.training(pass, Some(lora), POLICY)
    };
    let sampling = recipe.sampling;
    let (batch, pass) = (sampling.batch_rows as u64, sampling.pass_rows as u64);
    let judge_lora = judge_lora.as_ref();
    // Its base, its adapter, and the tokens that it reads of a row.
    let critic = recipe.ppo.advantages.critic();
    let critic = critic.and_then(|critic| match critic.base {
        CriticBase::Policy => Some((&policy, &lora, longest)),
        CriticBase::Reward => judge_lora.map(|lora| (&judge, lora, value)),
    });
    let phases = [
        policy.writing(batch.min(recipe.batch.rollout_batch as u64), longest),
        training(&policy, &lora, longest, answer),
        critic.map_or(0, |(base, lora, tokens)| training(base, lora, tokens, 0)),
        // What the reference says of whole answers, and the values that they have before the step.
        policy.reading(pass * longest, pass * answer),
        critic.map_or(0, |(base, _, tokens)| base.forward(pass * tokens)),
        // Judged with the facts and a question after the answer, which are as long as the answer at most.
        judge_lora.map_or(0, |_| judge.forward(pass * (value + answer))),
        policy.encoding(IMAGES_PER_PASS),
        judge.encoding(IMAGES_PER_PASS),
    ];
    let judge_adapter = judge_lora.map_or(Trained::default(), |lora| judge.adapter(lora));
    let (of_terms, terms_see) = segment_adapters(recipe, &judge, &judge_base, made, &mut plan)?;
    let judge_sees = terms_see || judge_lora.is_some_and(|lora| lora.with_tower);
    let bases = if shared {
        vec![(policy, lora.with_tower || judge_sees)]
    } else {
        vec![(policy, lora.with_tower), (judge, judge_sees)]
    };
    let policy_adapter = policy.adapter(&lora);
    let trained = critic.map_or(policy_adapter, |(base, lora, _)| {
        policy_adapter.and(base.adapter(lora))
    });
    // Those that are trained, the reference, the reward model's and those of terms that are paid by the sentence.
    let adapters = trained.bytes + policy_adapter.bytes + judge_adapter.bytes + of_terms;
    let place = &recipe.session.features;
    let of_images = features(&bases, place, workload.as_ref(), &mut plan);
    plan.memory = Some(Memory {
        weights_bytes: bases.iter().map(|(base, _)| base.weights()).sum::<u64>() + adapters,
        trained_bytes: trained.optimizer(recipe.session.lanes, states_of(&recipe.session)),
        features_bytes: of_images.bytes,
        work_bytes: phases.into_iter().fold(trained.giving(n_ranks), u64::max),
    });
    plan.say_on_host(trained.on_host(states_of(&recipe.session), false));
    let training = Training {
        kept_bytes: plan.suite_best(recipe.suite.as_ref(), policy_adapter.bytes),
        ..training_of(recipe, trained, of_images.shared_bytes)
    };
    plan.share(n_ranks, &training);
    say_what_is_read(recipe, &mut plan);
    Ok(plan)
}

/// The base of the reward model, the bounds of its images, and its adapter; none where its folder neither is there nor will be. Without
/// a reward model the policy's base stands in its place, and there is no adapter.
fn judge_of(
    recipe: &RlRecipe,
    made: &Made,
    plan: &mut Plan,
) -> Result<Option<(PathBuf, PixelBounds, Option<LoraConfig>)>, PlanError> {
    let Some(folder) = &recipe.reward else {
        return Ok(Some((recipe.base.clone(), recipe.pixels, None)));
    };
    let judge = made.judge(folder)?;
    if judge.is_none() {
        plan.note(format!(
            "{} is not here, and no recipe before this one makes it: neither data nor memory can be told",
            folder.display()
        ));
    }
    Ok(judge.map(|judge| (judge.base, judge.pixels, Some(judge.lora))))
}

/// Bytes of the adapters of terms that are paid by the sentence, which are on the reward model's base, and whether one of them
/// changes its tower.
fn segment_adapters(
    recipe: &RlRecipe,
    judge_base: &Budget<'_>,
    folder_of_base: &Path,
    made: &Made,
    plan: &mut Plan,
) -> Result<(u64, bool), PlanError> {
    let (mut bytes, mut with_tower) = (0, false);
    for term in &recipe.rewards {
        let Some(folder) = term.segments() else {
            continue;
        };
        if let Some(judge) = made.judge(folder)? {
            bytes += judge_base.adapter(&judge.lora).bytes;
            with_tower |= judge.lora.with_tower;
            if judge.base != folder_of_base {
                plan.note(format!(
                    "reward {:?} was trained on {}, and a run opens it on {}, the base of model.reward: it is refused there unless \
                     both have the same weights",
                    term.name,
                    judge.base.display(),
                    folder_of_base.display()
                ));
            }
            plan.note(format!(
                "reward {:?} scores each response once more, and what it says up to the end of each sentence",
                term.name
            ));
        } else {
            plan.note(format!(
                "{} is not here, and no recipe before this one makes it: the memory of its adapter is left out",
                folder.display()
            ));
        }
    }
    Ok((bytes, with_tower))
}

/// What the ranks of a step tell each other.
fn training_of(recipe: &RlRecipe, trained: Trained, features_bytes: u64) -> Training {
    let BatchRecipe {
        rollout_batch,
        mini_batch,
        micro_batch,
        inner_epochs,
    } = recipe.batch;
    let n_mini_batches = if recipe.quirks.drop_partial_mini_batch {
        rollout_batch / mini_batch
    } else {
        rollout_batch.div_ceil(mini_batch)
    };
    let has_critic = recipe.ppo.advantages.critic().is_some();
    let of_token = ANSWER_TOKEN + u64::from(has_critic) * VALUE_TOKEN;
    let n_tokens = (rollout_batch * recipe.sampling.max_new_tokens) as u64;
    let passes = [mini_batch, micro_batch];
    Training {
        n_updates: inner_epochs * n_mini_batches as u64,
        found_bytes: n_tokens * of_token,
        ..Training::new(recipe.session.lanes, passes, trained, features_bytes)
    }
}

/// Whether so many ranks can share the run.
fn check_ranks(path: &Path, recipe: &RlRecipe, n_ranks: u64) -> Result<(), PlanError> {
    check_lanes(path, n_ranks, recipe.session.lanes)?;
    if n_ranks == 1 || recipe.reward_device.is_none() {
        return Ok(());
    }
    Err(PlanError::Ranks {
        recipe: path.to_owned(),
        problem: ONE_REWARD_DEVICE.to_owned(),
    })
}

/// Whether the reward model is on another device than the policy, with a note of who is there if so.
fn apart(recipe: &RlRecipe, plan: &mut Plan) -> bool {
    let Some(other) = recipe.reward_device else {
        return false;
    };
    // Where there is a CUDA device, `auto` is the first; beside `cpu` it is taken for one, which is the bound.
    let first = |choice| match choice {
        DeviceChoice::Auto => DeviceChoice::Cuda(0),
        named => named,
    };
    let own = recipe.session.device;
    if first(other) == first(own) {
        return false;
    }
    let critic = recipe.ppo.advantages.critic();
    let (who, whose) = if critic.is_some_and(|critic| critic.base == CriticBase::Reward) {
        ("reward model and critic are", "their")
    } else {
        ("the reward model is", "its")
    };
    plan.note(format!(
        "{who} on {other} with a base of {whose} own, the rest on {own}: memory is that of both devices together"
    ));
    true
}

/// Notes how often a step's responses are read, and by whom outside of the run.
fn say_what_is_read(recipe: &RlRecipe, plan: &mut Plan) {
    let rounds = recipe.ppo.advantages.refill_rounds() as u64;
    if rounds > 0 {
        plan.note(format!(
            "prompts whose responses all earn the same are replaced: up to {rounds} times as many responses are sampled and scored \
             on top"
        ));
    }
    for term in recipe.rewards.iter().filter(|term| term.asks()) {
        let n = plan
            .n_steps
            .map(|n| n * recipe.batch.rollout_batch as u64 * (1 + rounds));
        let n = n.map_or_else(|| "all".to_owned(), |n| format!("up to {n}"));
        plan.note(format!(
            "reward {:?} is asked about {n} responses",
            term.name
        ));
    }
    let epochs = recipe.batch.inner_epochs;
    let (n, readers, times) = match (recipe.ppo.advantages.critic().is_some(), &recipe.reward) {
        (true, Some(_)) => (
            4 + 2 * epochs,
            "scored, by reference and value model",
            "twice",
        ),
        (true, None) => (3 + 2 * epochs, "by reference and value model", "twice"),
        (false, Some(_)) => (3 + epochs, "scored, by the reference", "once"),
        (false, None) => (2 + epochs, "by the reference", "once"),
    };
    plan.note(format!(
        "a token counts once, and is read {n} times: sampled, {readers}, and trained on {times} in each of \
         {epochs} inner epochs"
    ));
}
