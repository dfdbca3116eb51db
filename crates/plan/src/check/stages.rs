//! The plan of each stage but PPO.

use std::path::Path;

use candor_dpo::{DpoRecipe, ImageNegative};
use candor_eval::EvalRecipe;
use candor_model::{LoraConfig, ModelConfig, USUAL_IMAGE, published};
use candor_reward::RewardRecipe;
use candor_run::Workload;
use candor_sample::SampleRecipe;
use candor_sft::{Files, GroundRecipe, SftRecipe, Tune};
use candor_train::{BasePrecision, Length, LoraStart};

use super::known::{budget, counted, features, known_lora, longest, model};
use super::made::Made;
use super::{Plan, bound};
use crate::PlanError;
use crate::memory::{CROSS_ENTROPY, IMAGES_PER_PASS, Memory, Pass, optimizer};

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
    let held_out = recipe
        .evaluation
        .iter()
        .flat_map(|evaluation| &evaluation.sources);
    let files = recipe
        .sources
        .iter()
        .chain(held_out)
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
    let keeps_best = recipe
        .evaluation
        .as_ref()
        .is_some_and(|evaluation| evaluation.keep_best);
    let best = if keeps_best { trained } else { 0 };
    plan.memory = Some(Memory {
        weights_bytes: budget.weights() + adapter + best,
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
