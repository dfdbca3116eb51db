//! The recipe of supervised fine-tuning, projector pretraining included.

use std::path::{Path, PathBuf};

use candor_data::rows::OnBadRow;
use candor_model::{Activations, LoraConfig};
use candor_train::recipe::Field;
use candor_train::{BasePrecision, Reader, Resolved, SessionRecipe, on_bad_row};

use crate::SftError;
use crate::corpus::SourceRecipe;

/// What is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Tune {
    /// Everything but the vision tower (the paper's SFT).
    AllButTower,
    /// The projector alone (the paper's stage 0).
    Projector,
    /// A LoRA adapter on the decoder (the paper's policy initialisation).
    Lora(LoraStart),
}

/// What an adapter's training starts from.
#[derive(Debug, Clone, PartialEq)]
pub enum LoraStart {
    /// An adapter that changes nothing yet.
    Fresh(Box<LoraConfig>),
    /// The adapter in this folder.
    Adapter(PathBuf),
}

/// How long a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// Updates.
    Steps(u64),
    /// Passes through the mixture.
    Epochs(u64),
}

/// Everything supervised fine-tuning needs to know.
#[derive(Debug, Clone)]
pub struct SftRecipe {
    /// Optimizer and run folder.
    pub session: SessionRecipe,
    /// Folder of the model to start from.
    pub base: PathBuf,
    /// What the model is held in; anything but f32 only where an adapter alone is trained.
    pub base_precision: BasePrecision,
    /// What is trained.
    pub tune: Tune,
    /// Whether turns are rendered by the plain template of projector pretraining.
    pub plain: bool,
    /// What a pass keeps in memory.
    pub activations: Activations,
    /// Image folder.
    pub images: PathBuf,
    /// Conversations.
    pub sources: Vec<SourceRecipe>,
    /// What follows from a row that cannot be trained on.
    pub on_bad_row: OnBadRow,
    /// Longest sequence; a longer one is a bad row, never a silent cut.
    pub max_tokens: usize,
    /// Conversations per update.
    pub batch: usize,
    /// Conversations per pass; gradients add up over the passes of an update.
    pub micro_batch: usize,
    /// Rows of an epoch, where sources have weights.
    pub epoch_rows: Option<usize>,
    /// How long to train.
    pub length: Length,
    /// The recipe as it is run.
    pub resolved: Resolved,
}

impl SftRecipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, SftError> {
        Self::read(Reader::open(path, sets)?)
    }

    /// Reads a recipe that is already in memory.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn read(mut recipe: Reader) -> Result<Self, SftError> {
        let session = SessionRecipe::read(&mut recipe);
        let base = recipe.path("model.base").required();
        let base_precision = BasePrecision::read(&mut recipe);
        let tune = read_tune(&mut recipe);
        if base_precision != BasePrecision::F32 && !matches!(tune, Tune::Lora(_)) {
            recipe.mistake(
                "model.base_precision",
                "this run trains weights of the base and writes the whole model",
                "use \"f32\", or train an adapter: tune = \"lora\"",
            );
        }
        let plain = recipe
            .one_of("model.template", &[("own", false), ("plain", true)])
            .required();
        let activations = recipe
            .one_of(
                "model.activations",
                &[
                    ("keep", Activations::Keep),
                    ("recompute", Activations::Recompute),
                ],
            )
            .required();
        let root = recipe.path("data.root").required();
        let images = root.join(recipe.path("data.images").required());
        let sources = SourceRecipe::read_all(&mut recipe, "data.sources", &root);
        let on_bad_row = on_bad_row(&mut recipe);
        let max_tokens = recipe.usize("data.max_tokens").positive().required();
        let batch = recipe.usize("data.batch").positive().required();
        let micro_batch = recipe.usize("data.micro_batch").positive().required();
        if !batch.is_multiple_of(micro_batch.max(1)) {
            let problem = format!("{micro_batch} does not divide data.batch = {batch}");
            recipe.mistake(
                "data.micro_batch",
                problem,
                "choose a divisor, so that no pass is short",
            );
        }
        let epoch_rows = recipe.usize("data.epoch_rows").positive().optional();
        let length = read_length(&mut recipe);
        let resolved = recipe.finish()?;
        Ok(Self {
            session,
            base,
            base_precision,
            tune,
            plain,
            activations,
            images,
            sources,
            on_bad_row,
            max_tokens,
            batch,
            micro_batch,
            epoch_rows,
            length,
            resolved,
        })
    }
}

impl SftRecipe {
    /// The keys that a resume may change, besides those of every stage: how an update is cut into passes, and what a pass
    /// keeps in memory.
    #[must_use]
    pub fn may_change(&self) -> &'static [&'static str] {
        &["data.micro_batch", "model.activations"]
    }
}

fn read_length(recipe: &mut Reader) -> Length {
    let given = [recipe.has("run.steps"), recipe.has("run.epochs")];
    let steps = recipe.u64("run.steps").positive().optional();
    let epochs = recipe.u64("run.epochs").positive().optional();
    if given[0] == given[1] {
        let found = if given[0] { "both" } else { "neither" };
        let problem = format!("{found} of `steps` and `epochs` given");
        recipe.mistake("run", problem, "give one of them");
    }
    epochs.map_or(Length::Steps(steps.unwrap_or(1)), Length::Epochs)
}

fn read_tune(recipe: &mut Reader) -> Tune {
    let choices = [("all_but_tower", 0), ("projector", 1), ("lora", 2)];
    match recipe.one_of("model.tune", &choices).required() {
        0 => Tune::AllButTower,
        1 => Tune::Projector,
        _ => Tune::Lora(read_lora(recipe)),
    }
}

/// A fresh adapter has its sizes in the recipe; an existing one brings its own.
fn read_lora(recipe: &mut Reader) -> LoraStart {
    let exists = recipe.has("model.adapter");
    let adapter = recipe.path("model.adapter").optional();
    let r = size_of_fresh(recipe.i64("model.lora.r").within(1..=4096), exists);
    let alpha = size_of_fresh(recipe.f64("model.lora.alpha").positive(), exists);
    let targets = size_of_fresh(recipe.strings("model.lora.targets"), exists);
    match (r, alpha, targets) {
        (Some(r), Some(alpha), Some(targets)) => {
            LoraStart::Fresh(Box::new(LoraConfig::new(r, alpha, &targets)))
        }
        _ => LoraStart::Adapter(adapter.unwrap_or_default()),
    }
}

/// A key that must be there without an adapter to start from, and must not with one.
fn size_of_fresh<T>(field: Field<'_, T>, adapter_exists: bool) -> Option<T> {
    if !adapter_exists {
        return Some(field.required());
    }
    let problem = "`model.adapter` is given, which has its own";
    let refused = field.check(|_| Err((problem.to_owned(), "remove one of them".to_owned())));
    refused.optional()
}
