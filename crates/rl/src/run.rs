//! The loop of PPO and its relatives: sample → score → compare with the reference → value, where there is a critic →
//! shape → advantages → update.

use std::path::Path;

use candor_data::rows::{Look, Skipped, SkippedCounts};
use candor_eval::training_suite::{InTraining, TrainingSuite};
use candor_judge::reward::Rewards;
use candor_run::{LaunchOptions, Outcome};
use candor_train::{Length, Session, Tune, keep_snapshot, say_seen_anew, say_skipped, snapshot};
use serde::Serialize;
use serde_json::Value;
use tch::Device;

use crate::RlError;
use crate::critic::{Critic, CriticBase, CriticLearner};
use crate::experience::{Experience, width_of};
use crate::gather::{Gathered, Gatherer};
use crate::guard;
use crate::metrics::{RlMetrics, RolloutMetrics, UpdateMetrics};
use crate::models::{Images, Models};
use crate::passes::{PolicyReader, ValueReader};
use crate::prompts::{Prompts, in_rows};
use crate::recipe::{AverageOver, RlRecipe};
use crate::rollout::Sampler;
use crate::samples;
use crate::supply::Supply;
use crate::update::{Learner, mini_batches, update};

/// The run's `result.json`.
#[derive(Debug, Serialize)]
struct RlResult {
    n_steps: u64,
    n_prompts: usize,
    /// Prompts with more tokens than allowed.
    n_dropped_prompts: usize,
    /// Prompts that were left out, those among them, where the recipe skips bad rows.
    #[serde(flatten)]
    skipped: Option<SkippedCounts>,
    /// The last line of `metrics.jsonl`.
    last: Value,
}

/// What a step changes besides the models.
struct Going<'a, 'p> {
    rewards: &'a mut Rewards,
    session: &'a mut Session,
    supply: &'a mut Supply<'p>,
    suite: &'a mut TrainingSuite,
}

/// Trains; writes `<out>/adapter`, `<out>/value` of a critic, `<out>/adapters/step-N` and `<out>/samples/step-N.jsonl`.
///
/// # Errors
/// Damaged data, parts that do not fit together, a run folder that cannot be used, a number that is not finite, or
/// a policy that has gone astray.
pub fn run(recipe: &RlRecipe, launch: &LaunchOptions, device: Device) -> Result<Outcome, RlError> {
    let resolved = recipe.resolved.to_text();
    let mut opening = Session::prepare(
        "rl",
        &recipe.session,
        &resolved,
        launch,
        recipe.may_change(),
    )?;
    opening.doing("opening the models");
    let models = Models::open(recipe, device)?;
    opening.doing("reading the prompts");
    let look = Look::of_run(recipe.data.on_bad_row);
    let max_new_tokens = recipe.sampling.max_new_tokens;
    // Whoever is outside of the run is asked by the first rank alone.
    let mut rewards = if launch.ranks.is_first() {
        Rewards::open(&recipe.rewards, &recipe.data.images)?
    } else {
        Rewards::open_without_asking(&recipe.rewards)?
    };
    let mut asking = models.asking(max_new_tokens, look, &recipe.data.images);
    for term in &recipe.rewards {
        asking.judge.with_facts |= term.wants_facts()?;
        asking.tells_facts = true;
    }
    let keep = Some(recipe.session.out.as_path());
    let prompts = Prompts::read(&recipe.data, &recipe.quirks, asking, keep)?;
    check_rewards(&rewards, &prompts)?;
    say_skipped("rl", prompts.skipped.as_ref());
    for base in models.bases() {
        say_seen_anew("rl", &base.model);
    }
    let n_steps = n_steps(recipe, prompts.len())?;
    let policy = in_training(recipe, &models);
    let mut suite = TrainingSuite::open(policy, &mut opening, &models.trained_policy())?;
    let inputs = models.inputs(recipe, &rewards, &mut opening)?;
    let inputs = inputs.with(suite.inputs()?);
    opening.read_earlier(|run| models.result(recipe, run))?;
    let mut supply = Supply::new(recipe.session.seed, &prompts);
    let (per_step, rounds) = (
        recipe.prompts_per_step() as u64,
        recipe.ppo.advantages.refill_rounds(),
    );
    let mut parts = models.parts();
    if rounds > 0 {
        parts.kept.push(supply.kept());
    }
    parts.kept.extend(suite.state());
    let mut session = opening.open(parts, n_steps, inputs)?;
    let steps = session.steps_left();
    if rounds == 0 {
        supply.use_up(steps.start * per_step);
    }
    if let Some(skipped) = prompts.skipped.as_ref().filter(|_| session.writes()) {
        skipped.write(session.path())?;
    }
    let images = supply.images((steps.end - steps.start) * per_step * (1 + rounds as u64));
    let progress = session.counter("encoding images");
    let (place, ranks) = (&recipe.session.features, &launch.ranks);
    let images = models.encode(&recipe.data.images, &images, place, ranks, progress);
    let images = images.map_err(|error| in_rows(&recipe.data, error, prompts.skipped.as_ref()))?;
    session.doing("training");
    if steps.start == 0 && session.writes() {
        models.policy.save(&snapshot(session.path(), 0))?;
    }
    for done in steps {
        let going = Going {
            rewards: &mut rewards,
            session: &mut session,
            supply: &mut supply,
            suite: &mut suite,
        };
        let learned = step(recipe, &models, &images, going, done);
        if !learned.map_err(|error| keeping(&mut session, error))? {
            return Ok(Outcome::Stopped);
        }
    }
    let out = session.path();
    if session.writes() {
        models.save(out)?;
    }
    // The result is the last file of a run, as in the other stages.
    suite.finish(|folder| Tune::save(folder, models.policy_base(), Some(&models.policy)))?;
    if session.writes() {
        session.write_result(&RlResult {
            n_steps,
            n_prompts: prompts.len(),
            n_dropped_prompts: prompts.n_dropped,
            skipped: prompts.skipped.as_ref().map(Skipped::counts),
            last: last_metrics(out)?,
        })?;
    }
    session.finish("done");
    Ok(Outcome::Finished)
}

/// The same error; of a step that nothing was learned from yet, after the steps before it are kept.
fn keeping(session: &mut Session, error: RlError) -> RlError {
    let unkept = match &error {
        RlError::Unrewarded { .. } | RlError::Unscored { .. } => not_kept(session),
        // All ranks end by it at once, and launchers end all when one has ended: the others wait until the first has written.
        RlError::Diverged { .. } => {
            let ranks = session.ranks().clone();
            let told = ranks.made_by_first(|| Ok::<_, RlError>(not_kept(session)));
            told.unwrap_or_else(|error| Some(error.to_string()))
        }
        _ => return error,
    };
    RlError::Ended {
        error: Box::new(error),
        unkept,
    }
}

/// Keeps the steps that are done; why they are not kept, where that fails.
fn not_kept(session: &mut Session) -> Option<String> {
    session.keep().err().map(|error| error.to_string())
}

/// One step; returns whether the run should go on.
fn step(
    recipe: &RlRecipe,
    models: &Models,
    images: &Images,
    going: Going<'_, '_>,
    done: u64,
) -> Result<bool, RlError> {
    let Going {
        rewards,
        session,
        supply,
        suite,
    } = going;
    let (learner, reference, sampler) = readers(recipe, models, images);
    let pass_rows = recipe.sampling.pass_rows;
    session.begin_step();
    let rounds = 1 + recipe.ppo.advantages.refill_rounds();
    let asked = supply.ahead(recipe.prompts_per_step() * rounds)?;
    let gatherer = Gatherer {
        recipe,
        models,
        images,
        sampler,
    };
    let Gathered {
        rollouts,
        scores,
        drawn,
        n_tokens,
    } = gatherer.gather(session, rewards, &asked, done)?;

    session.phase("reference");
    let (ranks, weighted) = (session.ranks().clone(), &recipe.rewards);
    let average = recipe.ppo.average_over;
    let width = width_of(&rollouts, average, recipe.sampling.max_new_tokens);
    let ref_logprobs = reference.logprobs(&rollouts, pass_rows, width, &ranks)?;

    session.phase("values");
    let critic = learner.critic.map(|critic| critic.reader);
    let values = critic.map(|critic| critic.values(&rollouts, pass_rows, width, &ranks));
    let values = values.transpose()?;
    let values = values.map(|values| values.to_device(ref_logprobs.device()));
    let (values, score, ppo) = (values.as_ref(), &recipe.score, &recipe.ppo);
    let experience = Experience::new(&rollouts, &scores, &ref_logprobs, values, score, ppo);

    session.phase("record");
    let rollout = RolloutMetrics::of(&rollouts, &scores, &recipe.score, weighted, &experience);
    let file = samples::path(session.path(), done + 1);
    let tokenizer = &models.policy_base().tokenizer;
    let n_samples = recipe.samples_per_step;
    if session.writes() {
        samples::write(
            &file,
            n_samples,
            tokenizer,
            &rollouts,
            &scores,
            weighted,
            &experience,
        )?;
    }
    guard::check(&recipe.guard, done + 1, &rollout, &rollouts, &scores, &file)?;
    // Not before: a step that is stopped is asked again, for the same prompts.
    supply.use_up(drawn.n_prompts as u64);

    session.phase("update");
    let drop_partial = recipe.quirks.drop_partial_mini_batch;
    let left_out = (experience.flat.as_ref()).filter(|_| recipe.ppo.advantages.leaves_out_flat());
    let is_trained = |row: usize| left_out.is_none_or(|flat| !flat[row]);
    let (seed, batch) = (recipe.session.seed, &recipe.batch);
    let epochs: Vec<_> = (0..batch.inner_epochs)
        .map(|epoch| mini_batches(seed, [done, epoch], batch, is_trained, drop_partial))
        .collect();
    let updates = update(session, &learner, &rollouts, &experience, &epochs)?;

    let measured = suite.after_step(session, in_training(recipe, models), done + 1)?;
    session.phase("record");
    let every = Some(recipe.snapshot_every);
    keep_snapshot(session, done + 1, every, Some(&models.policy))?;
    let earned = match rollout.score_mean {
        Some(score) => ("score", score),
        None => ("reward", rollout.reward_mean),
    };
    let shown = [
        earned,
        ("KL", rollout.kl_mean),
        ("tokens", rollout.response_tokens_mean),
    ];
    let refills = recipe.ppo.advantages.refill_rounds() > 0;
    let metrics = RlMetrics {
        step: done + 1,
        rollout,
        drawn: refills.then_some(drawn),
        update: UpdateMetrics::of(&updates),
        suite: measured,
    };
    Ok(session.end_step(&metrics, &shown, n_tokens)?)
}

/// The policy as a suite asks it.
fn in_training<'a>(recipe: &'a RlRecipe, models: &'a Models) -> InTraining<'a> {
    InTraining {
        suite: recipe.suite.as_ref(),
        session: &recipe.session,
        bundle: models.policy_base(),
        adapter: Some(&models.policy),
        base: &recipe.base,
        pixels: recipe.pixels,
        precision: recipe.base_precision,
    }
}

/// Whether every term of the reward can judge every prompt.
fn check_rewards(rewards: &Rewards, prompts: &Prompts) -> Result<(), RlError> {
    rewards.check(|tell| {
        for row in 0..prompts.len() {
            let prompt = prompts.row(row)?;
            tell(&prompt.answered(&prompt.question(), &[]));
        }
        Ok(())
    })
}

/// The models as the parts of a step use them.
fn readers<'a>(
    recipe: &RlRecipe,
    models: &'a Models,
    images: &'a Images,
) -> (Learner<'a>, PolicyReader<'a>, Sampler<'a>) {
    let policy = PolicyReader {
        bundle: models.policy_base(),
        adapter: &models.policy,
        features: images.policy(),
        temperature: recipe.sampling.temperature,
    };
    let reference = PolicyReader {
        adapter: &models.reference,
        ..policy
    };
    let value_reader = |critic: &'a Critic, base: CriticBase| ValueReader {
        base,
        bundle: models.critic_base(base),
        adapter: &critic.adapter,
        head: &critic.head,
        features: images.critic(base),
        padded_to: match recipe.ppo.average_over {
            AverageOver::Padded => Some(recipe.sampling.max_new_tokens),
            _ => None,
        },
    };
    let critic = models.critic.as_ref().zip(recipe.ppo.advantages.critic());
    let learner = Learner {
        policy,
        critic: critic.map(|(critic, recipe)| CriticLearner {
            reader: value_reader(critic, recipe.base),
            recipe,
        }),
        ppo: recipe.ppo,
        activations: recipe.activations,
        micro_batch: recipe.batch.micro_batch,
        max_new_tokens: recipe.sampling.max_new_tokens,
    };
    let sampler = Sampler {
        bundle: models.policy_base(),
        policy: &models.policy,
        features: images.policy(),
        recipe: recipe.sampling,
        quirks: recipe.quirks,
        seed: recipe.session.seed,
    };
    (learner, reference, sampler)
}

/// # Reference
/// Steps that fit into the epochs as a whole; what is left over is not sampled.
pub(crate) fn n_steps(recipe: &RlRecipe, n_prompts: usize) -> Result<u64, RlError> {
    let n_steps = match recipe.length {
        Length::Steps(steps) => steps,
        Length::Epochs(epochs) => epochs * n_prompts as u64 / recipe.prompts_per_step() as u64,
    };
    if n_steps > 0 {
        return Ok(n_steps);
    }
    Err(RlError::Unfit {
        path: recipe.data.prompts.clone(),
        problem: format!("{n_prompts} prompts do not fill one rollout batch"),
        remedy: "lower batch.rollout_batch, or give run.steps",
    })
}

fn last_metrics(out: &Path) -> Result<Value, RlError> {
    let path = out.join("metrics.jsonl");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let last = text.lines().last().map(serde_json::from_str);
    last.and_then(Result::ok).ok_or_else(|| RlError::Unfit {
        path,
        problem: "the last line is missing or damaged".to_owned(),
        remedy: "start the run again in another folder",
    })
}
