//! The plan of rounds: that of sampling and that of learning, as often as there are rounds.

use std::path::Path;

use candor_rounds::{LabelRecipe, Round, RoundsRecipe, check_prompts};
use candor_train::Tune;

use super::made::Made;
use super::{Plan, bound, speaking, stages};
use crate::PlanError;
use crate::memory::Memory;

/// Plans rounds. The stages follow each other in one process, so memory is that of the larger one.
pub(crate) fn rounds(
    path: &Path,
    recipe: &RoundsRecipe,
    made: &mut Made,
    n_ranks: u64,
) -> Result<Plan, PlanError> {
    if recipe.sample.prompts.exists() {
        check_prompts(recipe)?;
    }
    let (first, last) = (Round::new(recipe, 1), Round::new(recipe, recipe.n_rounds));
    let sampling = speaking::sample(path, &first.sampling(1)?, made, n_ranks)?;
    let (dpo, _) = first.learning()?;
    let learning = stages::dpo(path, &dpo, made, n_ranks)?;
    let lora = match dpo.tune {
        Tune::Lora(_) => Some(made.lora(&first.policy()).0),
        Tune::AllButTower | Tune::Projector => None,
    };
    let (learned, suite) = (last.learned(), dpo.suite.as_ref());
    made.trained(&learned, suite, &dpo.base, lora.as_ref());
    let mut plan = Plan::new(path, "rounds", &recipe.out);
    let n_runs = recipe.n_rounds * (recipe.n_answers as u64 / 2);
    plan.n_steps = Some(recipe.n_rounds);
    plan.n_rows = sampling.n_rows;
    plan.rows = "prompts a round";
    let n_pairs = sampling
        .n_rows
        .map(|n| n as usize * recipe.pairs_of_a_prompt());
    let learned = bound::dpo_of(&dpo, n_pairs);
    let both = sampling.n_tokens.zip(learned);
    plan.n_tokens =
        both.map(|(sampled, learned)| sampled * n_runs + learned.n_tokens * recipe.n_rounds);
    plan.tokens_are_a_bound = true;
    let memories = [sampling.memory, learning.memory].into_iter().flatten();
    plan.memory = memories.max_by_key(Memory::total_bytes);
    plan.sharing = learning.sharing;
    if n_ranks > 1 {
        plan.note(
            "what ranks share is said of an update of learning; chunks of prompts and of answers to be scored are shared out whole",
        );
    }
    // That there are no comparisons yet is no surprise.
    let comparisons = first.preferences().display().to_string();
    let notes = sampling.notes.into_iter().chain(learning.notes);
    for note in notes.filter(|note| !note.contains(&comparisons)) {
        plan.note(note);
    }
    plan.note(
        "tokens are those of sampling and learning in all rounds, as if all answers could be told apart",
    );
    if let LabelRecipe::Reward { folder, .. } = &recipe.label {
        plan.note(format!(
            "the reward model {} is opened between sampling and learning, and neither its memory nor the tokens that it reads are \
             counted here",
            folder.display()
        ));
    }
    Ok(plan)
}
