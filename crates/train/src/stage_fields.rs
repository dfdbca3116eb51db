//! Fields that the recipes of several stages have.

use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_model::{Activations, Adapter, Bundle, LoraConfig, ModelError, TARGETS};

use candor_recipe::Reader;

/// What `seed` means.
pub const SEED: &str = "Everything random follows from it.";
/// What `run.out` means.
pub const OUT: &str = "The run folder, which everything is written to.";
/// What `model.base` means.
pub const MODEL: &str =
    "Folder of the model to start from, or `org/name` in the cache of downloads.";
/// What `data.root` means.
pub const ROOT: &str = "Folder that the other paths of the data are relative to.";
/// What `data.images` means.
pub const IMAGES: &str = "Folder of the images.";

/// What `run.snapshot_every` means.
const SNAPSHOTS: &str = "Steps between copies of the adapter in `adapters/`, which `candor eval suite` takes as models; none if absent.";

/// What `model.min_pixels` means.
const MIN_PIXELS: &str = "The least pixels of an image as the model sees it, in the place of its folder's own bound: smaller ones are enlarged. For models that see images near their own size, as Qwen-VL.";
/// What `model.max_pixels` means.
const MAX_PIXELS: &str = "The same for the most, which decides how many tokens a large image takes. Stages after this one see images so only if their recipes say it too, but where this one writes a whole model.";

/// What `model.lora.targets` means.
const TARGETS_MEANING: &str = "The adapted layers, by the ends of their names (`q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj`, `down_proj`) or by parts: `decoder` for all of these, `projector` for the linear layers between tower and decoder, `tower` for those of the tower's blocks, which then sees every image in every pass.";

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Steps.
    Steps(u64),
    /// Passes through the data.
    Epochs(u64),
}

impl Length {
    /// Reads `run.steps` or `run.epochs`.
    pub fn read(recipe: &mut Reader) -> Self {
        recipe.one_of_two("run", "steps", "epochs");
        let steps = recipe
            .u64(
                "run.steps",
                "How many updates of the weights (of PPO: rollout batches) the run has.",
            )
            .positive()
            .optional();
        let epochs = recipe
            .u64("run.epochs", "How often the run goes through the data.")
            .positive()
            .optional();
        epochs.map_or(Self::Steps(steps.unwrap_or(1)), Self::Epochs)
    }
}

/// What an adapter's training starts from.
#[derive(Debug, Clone, PartialEq)]
pub enum LoraStart {
    /// An adapter that changes nothing yet.
    Fresh(Box<LoraConfig>),
    /// The adapter in this folder.
    Adapter(PathBuf),
}

impl LoraStart {
    /// Reads `model.lora`, the sizes of a fresh adapter, or `model.adapter`, which brings its own.
    pub fn read(recipe: &mut Reader) -> Self {
        recipe.one_of_two("model", "lora", "adapter");
        let folder = recipe
            .path("model.adapter", "Folder of a PEFT adapter to go on from; a fresh one has its sizes in `model.lora`.")
            .optional();
        let fresh = recipe.has("model.lora").then(|| {
            let r = recipe
                .i64("model.lora.r", "Rank of the fresh adapter.")
                .within(1..=4096)
                .required();
            let alpha = recipe
                .f64(
                    "model.lora.alpha",
                    "What the adapter adds is scaled by alpha / r.",
                )
                .positive()
                .required();
            let targets = recipe
                .strings("model.lora.targets", TARGETS_MEANING)
                .required();
            for target in &targets {
                let problem = match target.as_str() {
                    "decoder" | "projector" | "tower" => continue,
                    layer if TARGETS.contains(&layer) => continue,
                    other => format!("{other:?} is no layer that an adapter is made on"),
                };
                recipe.mistake(
                    "model.lora.targets",
                    problem,
                    "use names from docs/recipe-fields.md",
                );
            }
            Self::Fresh(Box::new(LoraConfig::new(r, alpha, &targets)))
        });
        fresh.unwrap_or_else(|| Self::Adapter(folder.unwrap_or_default()))
    }

    /// The adapter before the first update, for a model that came from the folder `base`; a fresh one follows from `seed`.
    ///
    /// # Errors
    /// Its folder cannot be read, or it does not fit the model.
    pub fn open(&self, bundle: &Bundle, base: &Path, seed: u64) -> Result<Adapter, ModelError> {
        match self {
            Self::Fresh(config) => {
                let mut config = config.clone();
                config.base_model_name_or_path = Some(base.display().to_string());
                Adapter::fresh(*config, &bundle.model, seed)
            }
            Self::Adapter(folder) => Adapter::open(folder, &bundle.model),
        }
    }
}

/// Reads `run.snapshot_every`; `has_adapter` says whether the run trains an adapter, of which alone there are copies.
pub fn read_snapshots(recipe: &mut Reader, has_adapter: bool) -> Option<u64> {
    let every = recipe
        .u64("run.snapshot_every", SNAPSHOTS)
        .positive()
        .optional();
    if every.is_some() && !has_adapter {
        recipe.mistake(
            "run.snapshot_every",
            "this run trains the model itself, and copies are kept of adapters alone",
            "leave it out, or train an adapter: tune = \"lora\"",
        );
    }
    every
}

/// Reads `model.min_pixels` and `model.max_pixels`.
pub fn read_pixels(recipe: &mut Reader) -> PixelBounds {
    let mut bound = |key: &'static str, meaning: &'static str| {
        let field = recipe.u64(key, meaning);
        let field = field.within(1..=u64::from(PixelBounds::MOST));
        field.optional().map(|pixels| pixels as u32)
    };
    let min = bound("model.min_pixels", MIN_PIXELS);
    let max = bound("model.max_pixels", MAX_PIXELS);
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let problem = format!("{min} is more than model.max_pixels = {max}");
        let remedy = "give the least number of pixels first";
        recipe.mistake("model.min_pixels", problem, remedy);
    }
    PixelBounds { min, max }
}

/// Reads `model.activations` and `model.recompute_blocks`.
pub fn read_activations(recipe: &mut Reader) -> Activations {
    let choices = [
        ("keep", Activations::Keep),
        ("recompute", Activations::Recompute),
    ];
    let activations = recipe
        .one_of(
            "model.activations",
            &choices,
            "Whether a training pass keeps what all blocks computed, or computes it again on the way back (gradient checkpointing: less memory, a third more time).",
        )
        .required();
    let first = recipe
        .usize(
            "model.recompute_blocks",
            "How many of the decoder's blocks, the first ones, compute again where `model.activations` is \"recompute\"; what the others computed is kept. All if absent.",
        )
        .positive()
        .optional();
    match (activations, first.filter(|&n| n > 0)) {
        (Activations::Recompute, Some(n)) => return Activations::RecomputeFirst(n),
        (Activations::Keep, Some(_)) => {
            let problem = "blocks are to compute again, but model.activations is \"keep\"";
            let remedy = "write model.activations = \"recompute\", or leave the blocks out";
            recipe.mistake("model.recompute_blocks", problem, remedy);
        }
        _ => {}
    }
    activations
}

/// Reads `data.batch` and `data.micro_batch`, which divides it; `meanings` is what they mean.
pub fn read_batch(recipe: &mut Reader, meanings: [&'static str; 2]) -> (usize, usize) {
    let [of_update, of_pass] = meanings;
    let batch = recipe.usize("data.batch", of_update).positive().required();
    let micro_batch = recipe
        .usize("data.micro_batch", of_pass)
        .positive()
        .required();
    if !batch.is_multiple_of(micro_batch.max(1)) {
        let problem = format!("{micro_batch} does not divide data.batch = {batch}");
        let remedy = "choose a divisor, so that no pass is short";
        recipe.mistake("data.micro_batch", problem, remedy);
    }
    (batch, micro_batch)
}
