//! The recipe's `[optimizer]` and `[run]` tables.

use std::path::PathBuf;

use crate::{AdamWConfig, Reader, Shape, Warmup};

/// What every stage's recipe says about its optimizer and its run folder.
#[derive(Debug, Clone)]
pub struct SessionRecipe {
    /// Everything random follows from it.
    pub seed: u64,
    /// The run folder.
    pub out: PathBuf,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Betas, epsilon, decay.
    pub adamw: AdamWConfig,
    /// Gradients are scaled down to this global norm.
    pub max_grad_norm: f64,
    /// What the rate does after the warm-up.
    pub shape: Shape,
    /// How long the rate rises first.
    pub warmup: Warmup,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Checkpoints kept.
    pub n_keep_checkpoints: usize,
}

impl SessionRecipe {
    /// Asks the recipe for its keys. The warm-up is `optimizer.warmup_ratio`, a share of all steps, or
    /// `optimizer.warmup_steps`.
    pub fn read(recipe: &mut Reader) -> Self {
        Self {
            seed: recipe.u64("seed").required(),
            out: recipe.path("run.out").required(),
            learning_rate: recipe.f64("optimizer.learning_rate").positive().required(),
            adamw: AdamWConfig {
                beta1: recipe.f64("optimizer.beta1").within(0.0..1.0).required(),
                beta2: recipe.f64("optimizer.beta2").within(0.0..1.0).required(),
                eps: recipe.f64("optimizer.eps").positive().required(),
                weight_decay: recipe
                    .f64("optimizer.weight_decay")
                    .within(0.0..)
                    .required(),
            },
            max_grad_norm: recipe.f64("optimizer.max_grad_norm").positive().required(),
            shape: recipe
                .one_of(
                    "optimizer.schedule",
                    &[
                        ("constant", Shape::Constant),
                        ("linear", Shape::Linear),
                        ("cosine", Shape::Cosine),
                    ],
                )
                .required(),
            warmup: read_warmup(recipe),
            checkpoint_every: recipe.u64("run.checkpoint_every").positive().required(),
            n_keep_checkpoints: recipe.usize("run.keep_checkpoints").positive().required(),
        }
    }
}

fn read_warmup(recipe: &mut Reader) -> Warmup {
    let (ratio_key, steps_key) = ("optimizer.warmup_ratio", "optimizer.warmup_steps");
    let given = [recipe.has(ratio_key), recipe.has(steps_key)];
    let ratio = recipe.f64(ratio_key).within(0.0..=1.0).optional();
    let steps = recipe.u64(steps_key).optional();
    if given[0] == given[1] {
        let found = if given[0] { "both" } else { "neither" };
        let problem = format!("{found} of `warmup_ratio` and `warmup_steps` given");
        recipe.mistake("optimizer", problem, "give one of them");
    }
    steps.map_or(Warmup::Ratio(ratio.unwrap_or(0.0)), Warmup::Steps)
}
