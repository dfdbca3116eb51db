//! The plans of stages that write answers and train nothing.

use std::path::Path;

use candor_eval::EvalRecipe;
use candor_run::Workload;
use candor_sample::SampleRecipe;
use candor_train::FeaturePlace;

use super::known::{OfImages, budget, counted, features, known_lora, longest, model};
use super::made::Made;
use super::{Plan, bound};
use crate::PlanError;
use crate::memory::{Budget, IMAGES_PER_PASS, Memory};
use crate::sharing::Sharing;

/// Plans sampling.
pub(crate) fn sample(
    path: &Path,
    recipe: &SampleRecipe,
    made: &Made,
    n_ranks: u64,
) -> Result<Plan, PlanError> {
    let mut plan = Plan::new(path, "sample", &recipe.out);
    let (base, adapter) = made.with_base(&recipe.base, recipe.adapter.as_deref())?;
    let Some(known) = model(made, &base, recipe.pixels, &mut plan)? else {
        return Ok(plan);
    };
    let bound = bound::sample(recipe, known.config());
    let workload = counted([&recipe.prompts], &known, &mut plan, bound, |reading| {
        Ok(candor_sample::workload(recipe, reading)?)
    })?;
    let workload = workload.map(|mut workload| {
        // The features of a chunk, not of all prompts.
        let of_chunk = recipe.chunk as u64 * workload.images.of_a_row;
        workload.images.different = workload.images.different.min(of_chunk);
        workload
    });
    let speaking = Speaking {
        budget: budget(&known, recipe.base_precision),
        adapter: adapter.as_deref(),
        batch_rows: recipe.batch_rows,
        max_new_tokens: recipe.max_new_tokens,
    };
    let (memory, _) = speaking.memory(workload.as_ref(), made, &mut plan);
    plan.memory = Some(memory);
    // The images of a chunk are encoded by the rank that answers it.
    plan.sharing = Sharing::of_chunks(n_ranks, plan.n_steps, 0);
    Ok(plan)
}

/// Plans an evaluation.
pub(crate) fn eval(
    path: &Path,
    recipe: &EvalRecipe,
    made: &Made,
    n_ranks: u64,
) -> Result<Plan, PlanError> {
    let mut plan = Plan::new(path, "eval", &recipe.out);
    let (base, adapter) = made.with_base(&recipe.model, recipe.adapter.as_deref())?;
    let Some(known) = model(made, &base, recipe.pixels, &mut plan)? else {
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
        budget: budget(&known, recipe.base_precision),
        adapter: adapter.as_deref(),
        batch_rows: recipe.batch_rows,
        max_new_tokens: recipe.max_new_tokens,
    };
    let (memory, of_images) = speaking.memory(workload.as_ref(), made, &mut plan);
    plan.memory = Some(memory);
    plan.sharing = Sharing::of_chunks(n_ranks, None, of_images.shared_bytes);
    Ok(plan)
}

/// Writing answers.
struct Speaking<'a> {
    budget: Budget<'a>,
    adapter: Option<&'a Path>,
    batch_rows: usize,
    max_new_tokens: usize,
}

impl Speaking<'_> {
    /// What it takes, and what is kept of the images.
    fn memory(
        &self,
        workload: Option<&Workload>,
        made: &Made,
        plan: &mut Plan,
    ) -> (Memory, OfImages) {
        let budget = self.budget;
        let positions = budget.config.n_positions() as u64;
        // Questions of unknown length are hardly longer than an image and an answer.
        let image = budget.image_tokens();
        let bound = positions.min(2 * (image + self.max_new_tokens as u64));
        let writing = budget.writing(self.batch_rows as u64, longest(workload, bound));
        let lora = self.adapter.map(|folder| known_lora(made, folder, plan));
        let kept = (budget, lora.as_ref().is_some_and(|lora| lora.with_tower));
        let of_images = features(&[kept], &FeaturePlace::memory(), workload, plan);
        let memory = Memory {
            weights_bytes: budget.weights() + lora.map_or(0, |lora| budget.adapter(&lora).bytes),
            features_bytes: of_images.bytes,
            work_bytes: writing.max(budget.encoding(IMAGES_PER_PASS)),
            ..Memory::default()
        };
        (memory, of_images)
    }
}
