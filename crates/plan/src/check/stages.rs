//! The plan of each stage.

use std::path::{Path, PathBuf};

use candor_dpo::{DpoRecipe, ImageNegative};
use candor_eval::EvalRecipe;
use candor_model::{LoraConfig, ModelConfig, Reading, USUAL_IMAGE, published};
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_run::Workload;
use candor_sample::SampleRecipe;
use candor_sft::{Files, GroundRecipe, SftRecipe, Tune};
use candor_train::{BasePrecision, DeviceChoice, Length, LoraStart};

use super::Plan;
use super::bound::{self, Bound};
use super::made::{Known, Made};
use crate::PlanError;
use crate::memory::{Budget, CROSS_ENTROPY, IMAGES_PER_PASS, Memory, POLICY, Pass, optimizer};

/// Plans supervised fine-tuning.
pub(crate) fn sft(path: &Path, recipe: &SftRecipe, made: &mut Made) -> Result<Plan, PlanError> {
    let out = &recipe.session.out;
    let mut plan = Plan::new(path, "sft", out);
    if let Length::Steps(steps) = recipe.length {
        plan.n_steps = Some(steps);
    }
    let lora = match &recipe.tune {
        Tune::Lora(LoraStart::Fresh(config)) => Some(LoraConfig::clone(config)),
        Tune::Lora(LoraStart::Adapter(folder)) => Some(known_lora(made, folder, &mut plan)),
        Tune::AllButTower | Tune::Projector => None,
    };
    if let Some(parts) = &recipe.joined_from {
        made.joined(&recipe.base, parts);
        let [decoder, tower] = parts;
        if published::joined(decoder, tower).is_none() {
            plan.note(format!(
                "model.joined_from: the sizes of {decoder} and {tower} are not known here, only those of {}",
                published::parts()
            ));
        }
    }
    let known = model(made, &recipe.base, &mut plan)?;
    match &lora {
        Some(lora) => made.adapter(out.join("adapter"), &recipe.base, lora),
        None => made.model(out.join("model"), &recipe.base),
    }
    let Some(known) = known else {
        return Ok(plan);
    };
    let files = recipe
        .sources
        .iter()
        .flat_map(|source| match &source.files {
            Files::Llava(path) | Files::AOkvqa { path, .. } | Files::Flickr30k(path) => vec![path],
            Files::VqaV2 {
                questions,
                annotations,
                ..
            } => vec![questions, annotations],
        });
    let workload = counted(files, &known, &mut plan, bound::sft(recipe), |reading| {
        Ok(candor_sft::workload(recipe, reading)?)
    })?;
    let budget = budget(known.config(), recipe.base_precision);
    let longest = longest(workload.as_ref(), recipe.max_tokens as u64);
    let image = known.config().n_image_tokens(USUAL_IMAGE) as u64;
    let rows = recipe.micro_batch as u64;
    let pass = Pass {
        n_tokens: rows * longest,
        n_targets: rows * longest.saturating_sub(image),
        activations: recipe.activations,
    };
    let trained = match (&recipe.tune, &lora) {
        (_, Some(lora)) => budget.adapter(lora),
        (Tune::Projector, None) => budget.projector(),
        _ => budget.trained_base(),
    };
    let adapter = lora.as_ref().map_or(0, |lora| budget.adapter(lora));
    let training = budget.training(pass, lora.as_ref(), CROSS_ENTROPY);
    plan.memory = Some(Memory {
        weights_bytes: budget.weights() + adapter,
        trained_bytes: optimizer(trained),
        features_bytes: features(&[budget], workload.as_ref(), &mut plan),
        work_bytes: training.max(budget.encoding(IMAGES_PER_PASS)),
    });
    Ok(plan)
}

/// Plans sampling.
pub(crate) fn sample(path: &Path, recipe: &SampleRecipe, made: &Made) -> Result<Plan, PlanError> {
    let mut plan = Plan::new(path, "sample", &recipe.out);
    let (base, adapter) = made.with_base(&recipe.base, recipe.adapter.as_deref())?;
    let Some(known) = model(made, &base, &mut plan)? else {
        return Ok(plan);
    };
    let bound = bound::sample(recipe, known.config());
    let workload = counted([&recipe.prompts], &known, &mut plan, bound, |reading| {
        Ok(candor_sample::workload(recipe, reading)?)
    })?;
    // The features of a chunk, not of all prompts.
    let workload = workload.map(|workload| Workload {
        n_images: workload.n_images.min(recipe.chunk as u64),
        ..workload
    });
    let speaking = Speaking {
        config: known.config(),
        precision: recipe.base_precision,
        adapter: adapter.as_deref(),
        batch_rows: recipe.batch_rows,
        max_new_tokens: recipe.max_new_tokens,
    };
    plan.memory = Some(speaking.memory(workload.as_ref(), made, &mut plan));
    Ok(plan)
}

/// Plans an evaluation.
pub(crate) fn eval(path: &Path, recipe: &EvalRecipe, made: &Made) -> Result<Plan, PlanError> {
    let mut plan = Plan::new(path, "eval", &recipe.out);
    let (base, adapter) = made.with_base(&recipe.model, recipe.adapter.as_deref())?;
    let Some(known) = model(made, &base, &mut plan)? else {
        return Ok(plan);
    };
    let workload = counted(
        &recipe.question_files(),
        &known,
        &mut plan,
        None,
        |reading| Ok(candor_eval::workload(recipe, reading)?),
    )?;
    let speaking = Speaking {
        config: known.config(),
        precision: recipe.base_precision,
        adapter: adapter.as_deref(),
        batch_rows: recipe.batch_rows,
        max_new_tokens: recipe.max_new_tokens,
    };
    plan.memory = Some(speaking.memory(workload.as_ref(), made, &mut plan));
    Ok(plan)
}

/// Plans a reward model.
pub(crate) fn reward(
    path: &Path,
    recipe: &RewardRecipe,
    made: &mut Made,
) -> Result<Plan, PlanError> {
    let out = &recipe.session.out;
    let mut plan = Plan::new(path, "reward", out);
    if let Length::Steps(steps) = recipe.length {
        plan.n_steps = Some(steps);
    }
    let lora = match &recipe.start {
        LoraStart::Fresh(config) => LoraConfig::clone(config),
        LoraStart::Adapter(folder) => known_lora(made, folder, &mut plan),
    };
    made.reward(out.clone(), &recipe.base, &lora);
    let Some(known) = model(made, &recipe.base, &mut plan)? else {
        return Ok(plan);
    };
    let facts = recipe.facts.iter();
    let facts = facts.filter(|_| recipe.wording.prompt.with_facts());
    let files = recipe.comparisons.files.iter().map(|file| &file.path);
    let files = files.chain(facts);
    let workload = counted(files, &known, &mut plan, bound::reward(recipe), |reading| {
        Ok(candor_reward::workload(recipe, reading)?)
    })?;
    let budget = budget(known.config(), recipe.base_precision);
    let pair = longest(workload.as_ref(), 2 * recipe.max_tokens as u64);
    let pass = Pass {
        n_tokens: recipe.micro_batch as u64 * pair,
        n_targets: 0,
        activations: recipe.activations,
    };
    let training = budget.training(pass, Some(&lora), CROSS_ENTROPY);
    plan.memory = Some(Memory {
        weights_bytes: budget.weights() + budget.adapter(&lora),
        trained_bytes: optimizer(budget.adapter(&lora)),
        features_bytes: features(&[budget], workload.as_ref(), &mut plan),
        work_bytes: training.max(budget.encoding(IMAGES_PER_PASS)),
    });
    Ok(plan)
}

/// Plans learning from preferences.
pub(crate) fn dpo(path: &Path, recipe: &DpoRecipe, made: &mut Made) -> Result<Plan, PlanError> {
    let out = &recipe.session.out;
    let mut plan = Plan::new(path, "dpo", out);
    if let Length::Steps(steps) = recipe.length {
        plan.n_steps = Some(steps);
    }
    let lora = match &recipe.tune {
        Tune::Lora(LoraStart::Fresh(config)) => Some(LoraConfig::clone(config)),
        Tune::Lora(LoraStart::Adapter(folder)) => Some(known_lora(made, folder, &mut plan)),
        Tune::AllButTower | Tune::Projector => None,
    };
    let known = model(made, &recipe.base, &mut plan)?;
    match &lora {
        Some(lora) => made.adapter(out.join("adapter"), &recipe.base, lora),
        None => made.model(out.join("model"), &recipe.base),
    }
    let Some(known) = known else {
        return Ok(plan);
    };
    let objective = &recipe.objective;
    // A row has two answers, and both again where the image is spoilt or another row's are compared with.
    let times = 1 + u64::from(objective.image_negative.is_some());
    let again = u64::from(objective.loss.needs_divergence());
    let pair = 2 * recipe.max_tokens as u64;
    let row = (times + again) * pair;
    let files = recipe.comparisons.files.iter().map(|file| &file.path);
    let workload = counted(
        files,
        &known,
        &mut plan,
        bound::dpo(recipe, row),
        |reading| Ok(candor_dpo::workload(recipe, reading)?),
    )?;
    let budget = budget(known.config(), recipe.base_precision);
    let image = known.config().n_image_tokens(USUAL_IMAGE) as u64;
    let rows = recipe.micro_batch as u64;
    let longest = longest(workload.as_ref(), times * pair);
    let pass = Pass {
        n_tokens: rows * longest,
        n_targets: rows * longest.saturating_sub(times * image),
        activations: recipe.activations,
    };
    let trained = lora
        .as_ref()
        .map_or(budget.trained_base(), |lora| budget.adapter(lora));
    let adapter = lora.as_ref().map_or(0, |lora| budget.adapter(lora));
    let training = budget.training(pass, lora.as_ref(), CROSS_ENTROPY);
    // Spoilt images have features of their own, but those of other rows.
    let copies = match objective.image_negative {
        Some(ImageNegative::Crop | ImageNegative::Blank) => 2,
        Some(ImageNegative::Other) | None => 1,
    };
    let of_images = copies * features(&[budget], workload.as_ref(), &mut plan);
    plan.memory = Some(Memory {
        weights_bytes: budget.weights() + adapter,
        trained_bytes: optimizer(trained),
        features_bytes: of_images,
        work_bytes: training.max(budget.encoding(IMAGES_PER_PASS)),
    });
    if objective.loss.has_reference() {
        plan.note("all comparisons are read once more, by the model that the run starts from");
    }
    Ok(plan)
}

/// Plans PPO.
pub(crate) fn rl(path: &Path, recipe: &RlRecipe, made: &mut Made) -> Result<Plan, PlanError> {
    let mut plan = Plan::new(path, "rl", &recipe.session.out);
    if let Length::Steps(steps) = recipe.length {
        plan.n_steps = Some(steps);
    }
    let lora = known_lora(made, &recipe.policy_init, &mut plan);
    made.adapter(recipe.session.out.join("adapter"), &recipe.base, &lora);
    let policy = model(made, &recipe.base, &mut plan)?;
    // Without a reward model the policy's base stands in its place, and there is no adapter.
    let (judge_base, judge_lora) = match &recipe.reward {
        None => (recipe.base.clone(), None),
        Some(folder) => {
            let Some((base, lora)) = made.judge(folder)? else {
                plan.note(format!(
                    "{} is not here, and no recipe before this one makes it: neither data nor memory can be told",
                    folder.display()
                ));
                return Ok(plan);
            };
            (base, Some(lora))
        }
    };
    let judge = match &recipe.reward {
        None => made.known(&recipe.base)?,
        Some(_) => model(made, &judge_base, &mut plan)?,
    };
    let (Some(policy), Some(judge)) = (policy, judge) else {
        return Ok(plan);
    };
    let facts = recipe.data.facts.iter();
    let files = facts.chain([&recipe.data.prompts]);
    let image = |config: &ModelConfig| config.n_image_tokens(USUAL_IMAGE) as u64;
    let answer = recipe.sampling.max_new_tokens as u64;
    let bound = recipe.data.max_query_tokens as u64 + image(policy.config()) + answer;
    let workload = counted(
        files,
        &policy,
        &mut plan,
        bound::rl(recipe, bound),
        |reading| {
            // Prompts are counted by the policy's tokens; what the judge is asked besides is not.
            let judge = match &judge {
                Known::Here(judge) => judge,
                Known::Sizes(..) => reading,
            };
            Ok(candor_rl::workload(recipe, reading, judge)?)
        },
    )?;
    let apart = apart(recipe, &mut plan);
    let shared = !apart && judge_base == recipe.base;
    let [policy, judge] =
        [&policy, &judge].map(|known| budget(known.config(), recipe.base_precision));
    let longest = longest(workload.as_ref(), bound);
    let value = longest + image(judge.config).saturating_sub(image(policy.config));
    let training = |budget: &Budget<'_>, lora: &LoraConfig, tokens: u64, targets: u64| {
        let rows = recipe.batch.micro_batch as u64;
        let pass = Pass {
            n_tokens: rows * tokens,
            n_targets: rows * targets,
            activations: recipe.activations,
        };
        budget.training(pass, Some(lora), POLICY)
    };
    let (batch, pass) = (
        recipe.sampling.batch_rows as u64,
        recipe.sampling.pass_rows as u64,
    );
    let has_critic = recipe.ppo.advantages.critic().is_some();
    let critic = judge_lora.as_ref().filter(|_| has_critic);
    let critic = critic.map_or(0, |lora| training(&judge, lora, value, 0));
    let phases = [
        policy.writing(batch.min(recipe.batch.rollout_batch as u64), longest),
        training(&policy, &lora, longest, answer),
        critic,
        // Judged with the facts and a question after the answer, which are as long as the answer at most.
        if judge_lora.is_some() {
            judge.forward(pass * (value + answer))
        } else {
            0
        },
        judge.encoding(IMAGES_PER_PASS),
    ];
    let judge_adapter = judge_lora.as_ref().map_or(0, |lora| judge.adapter(lora));
    let bases: &[Budget<'_>] = if shared { &[policy] } else { &[policy, judge] };
    let of_critic = u64::from(has_critic) * judge_adapter;
    let trained = policy.adapter(&lora) + of_critic;
    // Those that are trained, the reference and the reward model's.
    let adapters = trained + policy.adapter(&lora) + judge_adapter;
    plan.memory = Some(Memory {
        weights_bytes: bases.iter().map(Budget::weights).sum::<u64>() + adapters,
        trained_bytes: optimizer(trained),
        features_bytes: features(bases, workload.as_ref(), &mut plan),
        work_bytes: phases.into_iter().max().unwrap_or(0),
    });
    say_what_is_read(recipe, &mut plan);
    Ok(plan)
}

/// Whether reward model and critic are on another device than the policy, with a note if so.
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
    plan.note(format!(
        "reward model and critic are on {other} with a base of their own, the rest on {own}: memory is that of both devices \
         together"
    ));
    true
}

/// Notes how often a step's responses are read, and by whom outside of the run.
fn say_what_is_read(recipe: &RlRecipe, plan: &mut Plan) {
    for term in recipe.rewards.iter().filter(|term| term.asks()) {
        let n = plan.n_steps.map(|n| n * recipe.batch.rollout_batch as u64);
        let n = n.map_or_else(|| "all".to_owned(), |n| format!("up to {n}"));
        plan.note(format!(
            "reward {:?} is asked about {n} responses",
            term.name
        ));
    }
    let epochs = recipe.batch.inner_epochs;
    let (n, readers, times) = match (recipe.ppo.advantages.critic().is_some(), &recipe.reward) {
        (true, _) => (
            4 + 2 * epochs,
            "scored, by reference and value model",
            "twice",
        ),
        (false, Some(_)) => (3 + epochs, "scored, by the reference", "once"),
        (false, None) => (2 + epochs, "by the reference", "once"),
    };
    plan.note(format!(
        "a token counts once, and is read {n} times: sampled, {readers}, and trained on {times} in each of \
         {epochs} inner epochs"
    ));
}

/// Plans grounding, which makes the model that it trains.
pub(crate) fn ground(path: &Path, recipe: &GroundRecipe) -> Plan {
    let mut plan = Plan::new(path, "ground", &recipe.session.out);
    plan.n_steps = Some(recipe.n_steps);
    let images = recipe.n_steps * recipe.batch_images as u64;
    plan.note(format!(
        "{images} images of {} patches are trained on",
        recipe.model.n_view_rows()
    ));
    plan
}

/// Writing answers.
struct Speaking<'a> {
    config: &'a ModelConfig,
    precision: BasePrecision,
    adapter: Option<&'a Path>,
    batch_rows: usize,
    max_new_tokens: usize,
}

impl Speaking<'_> {
    fn memory(&self, workload: Option<&Workload>, made: &Made, plan: &mut Plan) -> Memory {
        let budget = budget(self.config, self.precision);
        let positions = self.config.n_positions() as u64;
        // Questions of unknown length are hardly longer than an image and an answer.
        let image = self.config.n_image_tokens(USUAL_IMAGE) as u64;
        let bound = positions.min(2 * (image + self.max_new_tokens as u64));
        let writing = budget.writing(self.batch_rows as u64, longest(workload, bound));
        let adapter = self.adapter.map(|folder| known_lora(made, folder, plan));
        Memory {
            weights_bytes: budget.weights() + adapter.map_or(0, |lora| budget.adapter(&lora)),
            features_bytes: features(&[budget], workload, plan),
            work_bytes: writing.max(budget.encoding(IMAGES_PER_PASS)),
            ..Memory::default()
        }
    }
}

fn budget(config: &ModelConfig, precision: BasePrecision) -> Budget<'_> {
    Budget { config, precision }
}

/// What is known of the model that a run starts from, or a note that nothing is.
fn model(made: &Made, folder: &Path, plan: &mut Plan) -> Result<Option<Known>, PlanError> {
    let known = made.known(folder)?;
    match &known {
        Some(Known::Here(_)) => {}
        Some(Known::Sizes(_, of)) => {
            plan.note(format!("{} is not here yet: planned on the published sizes of {of}", folder.display()));
        }
        None => plan.note(format!(
            "{} is not here, and no recipe before this one makes it: neither data nor memory can be told",
            folder.display()
        )),
    }
    Ok(known)
}

/// The data; or, where a file or the tokenizer is missing, what the recipe's own counts say, and a note of that.
fn counted<'p>(
    files: impl IntoIterator<Item = &'p PathBuf>,
    known: &Known,
    plan: &mut Plan,
    bound: Option<Bound>,
    count: impl FnOnce(&Reading) -> Result<Workload, PlanError>,
) -> Result<Option<Workload>, PlanError> {
    let missing = files.into_iter().find(|file| !file.exists());
    let why = match (missing, known) {
        (None, Known::Here(reading)) => {
            let workload = count(reading)?;
            plan.count(&workload);
            return Ok(Some(workload));
        }
        (Some(missing), _) => format!("{} is not here", missing.display()),
        (None, Known::Sizes(..)) => "the tokenizer is not here".to_owned(),
    };
    match bound {
        Some(bound) => {
            plan.bound(&bound);
            plan.note(format!("{why}: steps and rows are the recipe's own counts, and tokens those of rows of the full length"));
        }
        None => plan.note(format!("{why}, so tokens are not counted")),
    }
    Ok(None)
}

fn known_lora(made: &Made, folder: &Path, plan: &mut Plan) -> LoraConfig {
    let (lora, assumed) = made.lora(folder);
    if assumed {
        plan.note(format!(
            "{} is not here, counted as an adapter of rank {} on all layers",
            folder.display(),
            lora.r
        ));
    }
    lora
}

fn longest(workload: Option<&Workload>, bound: u64) -> u64 {
    workload.map_or(bound, |workload| workload.longest_tokens)
}

fn features(bases: &[Budget<'_>], workload: Option<&Workload>, plan: &mut Plan) -> u64 {
    let of = |n: u64| bases.iter().map(|budget| budget.features(n)).sum();
    if let Some(workload) = workload {
        return of(workload.n_images);
    }
    let thousand: u64 = of(1000);
    plan.note(format!(
        "the features of the images come on top: {:.2} GB for every 1000",
        thousand as f64 / 1e9
    ));
    0
}
