//! The plan of each stage that trains, but PPO.

use std::path::Path;

use candor_dpo::{DpoRecipe, ImageNegative};
use candor_model::{LoraConfig, Part, published};
use candor_reward::RewardRecipe;
use candor_run::Workload;
use candor_sft::{Files, GroundRecipe, SftRecipe, Tune};
use candor_train::{BasePrecision, Judgements, Length, LoraStart, PassSize, Shard, check_room};

use super::known::{
    budget, counted, features, images_of_a_row, known_lora, longest, model, targets,
};
use super::made::{Judge, Made};
use super::of_ranks::OfRanks;
use super::{Plan, bound, check_lanes};
use crate::PlanError;
use crate::in_blocks::{InBlocks, blocks_of_run};
use crate::memory::{Budget, CROSS_ENTROPY, IMAGES_PER_PASS, Memory, Pass, copied};
use crate::sharing::{SharedOut, Training};
use crate::trained::{Held, Trained, states_of};

/// Plans supervised fine-tuning.
pub(crate) fn sft(
    path: &Path,
    recipe: &SftRecipe,
    made: &mut Made,
    n_ranks: u64,
) -> Result<Plan, PlanError> {
    let (out, lanes) = (&recipe.session.out, recipe.session.lanes);
    check_lanes(path, n_ranks, lanes)?;
    let mut plan = Plan::new(path, "sft", out);
    if let Length::Steps(steps) = recipe.length {
        plan.n_steps = Some(steps);
    }
    let lora = match &recipe.tune {
        Tune::Lora(LoraStart::Fresh(config)) => Some(LoraConfig::clone(config)),
        Tune::Lora(LoraStart::Adapter(folder)) => Some(known_lora(made, folder, &mut plan)),
        Tune::AllButTower | Tune::Projector => None,
    };
    note_joined(recipe, made, &mut plan);
    let known = model(made, &recipe.base, recipe.pixels, &mut plan)?;
    made.trained(out, recipe.suite.as_ref(), &recipe.base, lora.as_ref());
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
            Files::Llava(path)
            | Files::Messages(path)
            | Files::AOkvqa { path, .. }
            | Files::Flickr30k(path) => vec![path],
            Files::VqaV2 {
                questions,
                annotations,
                ..
            } => vec![questions, annotations],
        });
    check_room(
        &recipe.base,
        recipe.max_tokens,
        known.config().n_positions(),
    )?;
    let workload = counted(files, &known, &mut plan, bound::sft(recipe), |reading| {
        Ok(candor_sft::workload(recipe, reading)?)
    })?;
    let budget = budget(&known, recipe.base_precision);
    let longest = longest(workload.as_ref(), recipe.max_tokens as u64);
    let rows = recipe.pass.rows as u64;
    let (n_tokens, image) = (recipe.pass.most_tokens(longest), budget.image_tokens());
    let pass = Pass {
        n_tokens,
        n_targets: n_tokens.min(rows * targets(workload.as_ref(), longest, image)),
        n_images: images_of_a_pass(recipe.pass, workload.as_ref(), n_tokens, image),
        n_copied: 0,
        activations: recipe.activations,
    };
    let sizes = match (&recipe.tune, &lora) {
        (_, Some(lora)) => budget.adapter_sizes(lora),
        (Tune::Projector, None) => budget.sizes_of(|part| part == Part::Projector),
        _ => budget.sizes_of(|part| part != Part::Tower),
    };
    let trained = Trained::of(sizes.iter().copied());
    let adapter = lora.as_ref().map_or(0, |lora| budget.adapter(lora).bytes);
    let training = budget.training(pass, lora.as_ref(), CROSS_ENTROPY);
    let kept = (budget, lora.as_ref().is_some_and(|lora| lora.with_tower));
    // What is trained as the model itself has it, whose best state so far is a copy of that.
    let in_bf16 = lora.is_none() && recipe.base_precision == BasePrecision::Bf16;
    let held_by_passes = trained.bytes / (1 + u64::from(in_bf16));
    // As many passes as there can be.
    let cut = [recipe.batch, recipe.pass.rows_of(longest as usize)];
    let blocks = blocks_of_run(&recipe.session, budget, n_ranks);
    let held = Held::of(&sizes, &blocks, &recipe.session, n_ranks, cut, in_bf16);
    plan.say_on_host(held.host_bytes);
    let keeps_best = recipe
        .evaluation
        .as_ref()
        .is_some_and(|evaluation| evaluation.keep_best);
    let best = if keeps_best { held_by_passes } else { 0 };
    let place = &recipe.session.features;
    let of_images = features(&[kept], place, workload.as_ref(), &mut plan);
    let encoding = budget.encoding(IMAGES_PER_PASS);
    let memory = Memory {
        weights_bytes: budget.weights() + adapter + best,
        trained_bytes: held.bytes,
        features_bytes: of_images.bytes,
        work_bytes: training.max(held.giving_bytes).max(encoding),
    };
    let of_ranks = OfRanks {
        n_ranks,
        in_bf16,
        blocks: (!blocks.is_empty()).then(|| InBlocks::of(&sizes, &blocks, n_ranks)),
    };
    plan.memory = Some(of_ranks.memory(recipe, memory, held, training));
    let training = Training {
        kept_bytes: best + plan.suite_best(recipe.suite.as_ref(), held_by_passes),
        passes_are_a_bound: recipe.pass.tokens.is_some(),
        shared_out: of_ranks.shared_out(recipe.session.shard, &sizes),
        gathered_bytes: of_ranks.gathered_bytes(),
        ..Training::new(lanes, cut, trained, of_images.shared_bytes)
    };
    plan.share(n_ranks, &training);
    Ok(plan)
}

/// Remembers what a model is joined of that need not be there.
fn note_joined(recipe: &SftRecipe, made: &mut Made, plan: &mut Plan) {
    let Some(parts) = &recipe.joined_from else {
        return;
    };
    made.joined(&recipe.base, parts);
    let [decoder, tower] = parts;
    if published::joined(decoder, tower).is_none() {
        plan.note(format!(
            "model.joined_from: the sizes of {decoder} and {tower} are not known here, only those of {}",
            published::parts()
        ));
    }
}

/// Plans a reward model.
pub(crate) fn reward(
    path: &Path,
    recipe: &RewardRecipe,
    made: &mut Made,
    n_ranks: u64,
) -> Result<Plan, PlanError> {
    let (out, lanes) = (&recipe.session.out, recipe.session.lanes);
    check_lanes(path, n_ranks, lanes)?;
    let mut plan = Plan::new(path, "reward", out);
    if let Length::Steps(steps) = recipe.length {
        plan.n_steps = Some(steps);
    }
    let lora = match &recipe.start {
        LoraStart::Fresh(config) => LoraConfig::clone(config),
        LoraStart::Adapter(folder) => known_lora(made, folder, &mut plan),
    };
    let judge = Judge {
        base: recipe.base.clone(),
        pixels: recipe.pixels,
        lora: lora.clone(),
    };
    made.reward(out.clone(), judge);
    let Some(known) = model(made, &recipe.base, recipe.pixels, &mut plan)? else {
        return Ok(plan);
    };
    let facts = recipe.facts.iter();
    let facts = facts.filter(|_| recipe.wording.prompt.with_facts());
    let files = recipe.judgements.paths().into_iter().chain(facts);
    check_room(
        &recipe.base,
        recipe.max_tokens,
        known.config().n_positions(),
    )?;
    let workload = counted(files, &known, &mut plan, bound::reward(recipe), |reading| {
        Ok(candor_reward::workload(recipe, reading)?)
    })?;
    let budget = budget(&known, recipe.base_precision);
    let responses = if recipe.learns_from_rated() { 1 } else { 2 };
    let (rows, max_tokens) = (recipe.pass.rows as u64, recipe.max_tokens as u64);
    let pair = longest(workload.as_ref(), responses * max_tokens);
    let (n_tokens, image) = (recipe.pass.most_tokens(pair), budget.image_tokens());
    let pass = Pass {
        n_tokens,
        n_targets: 0,
        n_images: images_of_a_pass(recipe.pass, workload.as_ref(), n_tokens, image),
        n_copied: copied(n_tokens, responses, rows * max_tokens),
        activations: recipe.activations,
    };
    let training = budget.training(pass, Some(&lora), CROSS_ENTROPY);
    let trained = budget.adapter(&lora);
    let states = states_of(&recipe.session);
    plan.say_on_host(trained.on_host(states, false));
    let kept = (budget, lora.with_tower);
    let place = &recipe.session.features;
    let of_images = features(&[kept], place, workload.as_ref(), &mut plan);
    plan.memory = Some(Memory {
        // The best adapter so far is kept beside the one that is trained.
        weights_bytes: budget.weights() + 2 * trained.bytes,
        trained_bytes: trained.optimizer(lanes, states),
        features_bytes: of_images.bytes,
        work_bytes: training
            .max(trained.giving(n_ranks))
            .max(budget.encoding(IMAGES_PER_PASS)),
    });
    let training = Training {
        kept_bytes: trained.bytes,
        passes_are_a_bound: recipe.pass.tokens.is_some(),
        ..Training::new(
            lanes,
            // As many passes as there can be.
            [recipe.batch, recipe.pass.rows_of(pair as usize)],
            trained,
            of_images.shared_bytes,
        )
    };
    plan.share(n_ranks, &training);
    Ok(plan)
}

/// Plans learning from preferences.
pub(crate) fn dpo(
    path: &Path,
    recipe: &DpoRecipe,
    made: &mut Made,
    n_ranks: u64,
) -> Result<Plan, PlanError> {
    let (out, lanes) = (&recipe.session.out, recipe.session.lanes);
    check_lanes(path, n_ranks, lanes)?;
    let mut plan = Plan::new(path, "dpo", out);
    if let Length::Steps(steps) = recipe.length {
        plan.n_steps = Some(steps);
    }
    let lora = match &recipe.tune {
        Tune::Lora(LoraStart::Fresh(config)) => Some(LoraConfig::clone(config)),
        Tune::Lora(LoraStart::Adapter(folder)) => Some(known_lora(made, folder, &mut plan)),
        Tune::AllButTower | Tune::Projector => None,
    };
    let known = model(made, &recipe.base, recipe.pixels, &mut plan)?;
    made.trained(out, recipe.suite.as_ref(), &recipe.base, lora.as_ref());
    let Some(known) = known else {
        return Ok(plan);
    };
    let objective = &recipe.objective;
    // A row has two answers, or a rated one, and all again where the image is spoilt.
    let times = 1 + u64::from(objective.image_negative.is_some());
    let answers = match recipe.judgements {
        Judgements::Comparisons(_) => 2,
        Judgements::Rated(_) => 1,
    };
    let max_tokens = times * recipe.max_tokens as u64;
    let files = recipe.judgements.paths();
    check_room(
        &recipe.base,
        recipe.max_tokens,
        known.config().n_positions(),
    )?;
    let workload = counted(files, &known, &mut plan, bound::dpo(recipe), |reading| {
        Ok(candor_dpo::workload(recipe, reading)?)
    })?;
    let budget = budget(&known, recipe.base_precision);
    let rows = recipe.pass.rows as u64;
    let longest = longest(workload.as_ref(), answers * max_tokens);
    let n_tokens = recipe.pass.most_tokens(longest);
    let image = times * budget.image_tokens();
    let pass = Pass {
        n_tokens,
        n_targets: n_tokens.min(rows * targets(workload.as_ref(), longest, image)),
        n_images: times * images_of_a_pass(recipe.pass, workload.as_ref(), n_tokens, image),
        n_copied: copied(n_tokens, answers, rows * max_tokens),
        activations: recipe.activations,
    };
    let sizes = lora.as_ref().map_or_else(
        || budget.sizes_of(|part| part != Part::Tower),
        |lora| budget.adapter_sizes(lora),
    );
    let trained = Trained::of(sizes.iter().copied());
    // As many passes as there can be.
    let cut = [recipe.batch, recipe.pass.rows_of(longest as usize)];
    let held = Held::of(&sizes, &[], &recipe.session, n_ranks, cut, false);
    plan.say_on_host(held.host_bytes);
    let adapter = lora.as_ref().map_or(0, |lora| budget.adapter(lora).bytes);
    let training = budget.training(pass, lora.as_ref(), CROSS_ENTROPY);
    // Spoilt images have features of their own, which are kept in memory, but those of other rows.
    let copies = match objective.image_negative {
        Some(ImageNegative::Crop | ImageNegative::Blank) => 2,
        Some(ImageNegative::Other) | None => 1,
    };
    let kept = (budget, lora.as_ref().is_some_and(|lora| lora.with_tower));
    let place = &recipe.session.features;
    let of_images = features(&[kept], place, workload.as_ref(), &mut plan);
    plan.memory = Some(Memory {
        weights_bytes: budget.weights() + adapter,
        trained_bytes: held.bytes,
        features_bytes: copies * of_images.bytes + (copies - 1) * of_images.disk_bytes,
        work_bytes: training
            .max(held.giving_bytes)
            .max(budget.encoding(IMAGES_PER_PASS)),
    });
    let training = Training {
        kept_bytes: plan.suite_best(recipe.suite.as_ref(), trained.bytes),
        passes_are_a_bound: recipe.pass.tokens.is_some(),
        shared_out: (recipe.session.shard == Shard::Zero2)
            .then(|| SharedOut::of(&sizes, n_ranks, false)),
        ..Training::new(lanes, cut, trained, copies * of_images.shared_bytes)
    };
    plan.share(n_ranks, &training);
    if objective.loss.has_reference() {
        plan.note(format!(
            "all {} are read once more, by the model that the run starts from",
            recipe.judgements.rows()
        ));
    }
    Ok(plan)
}

/// Plans grounding, which makes the model that it trains.
pub(crate) fn ground(path: &Path, recipe: &GroundRecipe, n_ranks: u64) -> Result<Plan, PlanError> {
    let (batch, lanes) = (recipe.batch_images, recipe.session.lanes);
    check_lanes(path, n_ranks, lanes)?;
    let mut plan = Plan::new(path, "ground", &recipe.session.out);
    plan.n_steps = Some(recipe.n_steps);
    let images = recipe.n_steps * batch as u64;
    plan.note(format!(
        "{images} images of {} patches are trained on",
        recipe.model.n_patches()
    ));
    // The probe is counted nowhere: its sizes are those of data that need not be there yet, and small beside the tower's.
    let budget = Budget::new(&recipe.model.config, BasePrecision::F32);
    let trained = Trained::of(budget.sizes_of(|part| part == Part::Tower));
    // A pass for each lane, or for each image where these are fewer.
    let training = Training::new(lanes, [batch.min(lanes), 1], trained, 0);
    plan.share(n_ranks, &training);
    Ok(plan)
}

/// Images of a pass: no more than its tokens have room for, where they are bounded.
fn images_of_a_pass(
    pass: PassSize,
    workload: Option<&Workload>,
    n_tokens: u64,
    image_tokens: u64,
) -> u64 {
    let all = pass.rows as u64 * images_of_a_row(workload);
    let bound = pass.tokens.map(|_| n_tokens.div_ceil(image_tokens.max(1)));
    all.min(bound.unwrap_or(all))
}
