//! The recipe's `[optimizer]` and `[run]` tables.

use std::path::PathBuf;

use candor_recipe::Reader;

use crate::stage_fields::{OUT, SEED};
use crate::{AdamWConfig, DeviceChoice, FeaturePlace, Shape, States, Warmup};

/// What ranks share out besides the passes of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shard {
    /// Nothing: every rank has all states of the optimizer and all gradients.
    #[default]
    Nothing,
    /// Gradients, moments and f32 masters, as stage 2 of ZeRO.
    Zero2,
    /// The same, and the weights of the decoder's blocks, as stage 3.
    Zero3,
}

/// What every stage's recipe says about its optimizer and its run folder.
#[derive(Debug, Clone)]
pub struct SessionRecipe {
    /// Everything random follows from it.
    pub seed: u64,
    /// The run folder.
    pub out: PathBuf,
    /// What the models run on.
    pub device: DeviceChoice,
    /// Whether training passes on a GPU compute the same bits each time.
    pub deterministic: bool,
    /// Whether products of f32 matrices on a GPU are rounded to TF32.
    pub tf32: bool,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Betas, epsilon, decay.
    pub adamw: AdamWConfig,
    /// Gradients are scaled down to this global norm.
    pub max_grad_norm: f64,
    /// Where moments and masters are.
    pub states: States,
    /// What the rate does after the warm-up.
    pub shape: Shape,
    /// How long the rate rises first.
    pub warmup: Warmup,
    /// Parts of an update's passes whose gradients are summed apart.
    pub lanes: usize,
    /// What ranks share out besides.
    pub shard: Shard,
    /// Where the features of images are kept.
    pub features: FeaturePlace,
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
            seed: recipe.u64("seed", SEED).required(),
            out: recipe.path("run.out", OUT).required(),
            device: DeviceChoice::read(recipe),
            deterministic: recipe
                .bool("run.deterministic", "On a GPU, training passes compute the same bits each time, as they do on a CPU: slower, and an operation that cannot is an error.")
                .or(false, "false"),
            tf32: recipe
                .bool("run.tf32", "On a GPU, products of f32 matrices are rounded to TF32, 10 bits of mantissa: several times faster, and no longer f32.")
                .or(false, "false"),
            learning_rate: recipe.f64("optimizer.learning_rate", "Peak learning rate of AdamW.").positive().required(),
            adamw: AdamWConfig {
                beta1: recipe.f64("optimizer.beta1", "Share of the mean gradient that AdamW keeps from step to step.").within(0.0..1.0).required(),
                beta2: recipe.f64("optimizer.beta2", "Share of the mean squared gradient that AdamW keeps from step to step.").within(0.0..1.0).required(),
                eps: recipe.f64("optimizer.eps", "Added to the root of the mean squared gradient.").positive().required(),
                weight_decay: recipe
                    .f64("optimizer.weight_decay", "Decoupled weight decay of matrices; norms and biases have none.")
                    .within(0.0..)
                    .required(),
            },
            max_grad_norm: recipe.f64("optimizer.max_grad_norm", "Gradients are scaled down to this norm over all trained weights.").positive().required(),
            states: States::read(recipe),
            shape: recipe
                .one_of(
                    "optimizer.schedule",
                    &[
                        ("constant", Shape::Constant),
                        ("linear", Shape::Linear),
                        ("cosine", Shape::Cosine),
                    ],
                    "What the learning rate does after the warm-up: stay, or fall to 0 on a line or half a cosine.",
                )
                .required(),
            warmup: read_warmup(recipe),
            lanes: read_lanes(recipe),
            shard: Shard::Nothing,
            features: FeaturePlace::read(recipe),
            checkpoint_every: recipe.u64("run.checkpoint_every", "Steps between checkpoints, from which `--resume` goes on.").positive().required(),
            n_keep_checkpoints: recipe.usize("run.keep_checkpoints", "Checkpoints that are kept; older ones are deleted.").positive().required(),
        }
    }

    /// The same with what the recipe says of sharing out, for a stage that may train a whole model; `blocks` says whether its passes
    /// can bring the weights of blocks.
    #[must_use]
    pub fn with_shard(self, recipe: &mut Reader, blocks: bool) -> Self {
        let choices = [
            ("none", Shard::Nothing),
            ("zero2", Shard::Zero2),
            ("zero3", Shard::Zero3),
        ];
        let meaning = "What ranks share out besides passes: with \"zero2\" each keeps gradients, moments and f32 masters of its part \
                       of the trained tensors alone, as stage 2 of ZeRO and FSDP's SHARD_GRAD_OP do. It changes memory and what \
                       goes over the network, never the result; on one rank nothing.";
        let of_blocks = "What ranks share out besides passes: with \"zero2\" each keeps gradients, moments and f32 masters of its part \
                         of the trained tensors alone, as stage 2 of ZeRO and FSDP's SHARD_GRAD_OP do, with \"zero3\" also the \
                         weights of the decoder's blocks, as stage 3 and FULL_SHARD do. It changes memory and what goes over the \
                         network, never the result; on one rank nothing.";
        let field = if blocks {
            recipe.one_of("run.shard", &choices, of_blocks)
        } else {
            recipe.one_of("run.shard", &choices[..2], meaning)
        };
        let shard = field.or(Shard::default(), "\"none\"");
        Self { shard, ..self }
    }
}

fn read_lanes(recipe: &mut Reader) -> usize {
    recipe
        .usize("run.lanes", "Parts that the passes of an update are dealt to, and whose gradients are summed apart. At most so many ranks share a run, and its weights depend on this number, not on theirs.")
        .positive()
        .or(1, "1")
}

fn read_warmup(recipe: &mut Reader) -> Warmup {
    recipe.one_of_two("optimizer", "warmup_ratio", "warmup_steps");
    let ratio = recipe
        .f64(
            "optimizer.warmup_ratio",
            "Share of all steps over which the learning rate rises from 0.",
        )
        .within(0.0..=1.0)
        .optional();
    let steps = recipe
        .u64(
            "optimizer.warmup_steps",
            "Steps over which the learning rate rises from 0.",
        )
        .optional();
    steps.map_or(Warmup::Ratio(ratio.unwrap_or(0.0)), Warmup::Steps)
}
