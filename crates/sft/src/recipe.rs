//! The recipe of supervised fine-tuning, projector pretraining included.

mod sources;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_data::rows::OnBadRow;
use candor_eval::training_suite::{InTraining, SuiteRecipe};
use candor_model::{Activations, Adapter, Bundle, Template};
use candor_recipe::{Reader, Resolved};
use candor_train::stage_fields::{
    IMAGES, MODEL, ROOT, read_activations, read_batch, read_pixels, read_snapshots,
};
use candor_train::{
    BasePrecision, Length, LoraStart, PassSize, SessionRecipe, Shard, Tune, on_bad_row,
};

pub use self::sources::{Files, SourceRecipe, TrainOn};
use crate::SftError;

/// How a run looks at conversations that it does not train on.
#[derive(Debug, Clone)]
pub struct EvaluationRecipe {
    /// Steps between two looks; the last step is always one.
    pub every: u64,
    /// Whether the weights of the step with the lowest loss are the result.
    pub keep_best: bool,
    /// The conversations.
    pub sources: Vec<SourceRecipe>,
}

impl EvaluationRecipe {
    fn read(recipe: &mut Reader, root: &Path) -> Option<Self> {
        if !recipe.has("evaluation") {
            return None;
        }
        let every = recipe
            .u64(
                "evaluation.every",
                "Steps between evaluations on `evaluation.sources`; the last step is always evaluated.",
            )
            .positive()
            .required();
        let keep_best = recipe
            .bool(
                "evaluation.keep_best",
                "Whether the weights of the evaluation with the lowest loss are the result, and not those of the last step; a copy of what is trained is kept in memory and in checkpoints.",
            )
            .or(false, "false");
        let sources = SourceRecipe::read_held_out(recipe, "evaluation.sources", root);
        let mut names = BTreeSet::new();
        for (number, source) in sources.iter().enumerate() {
            if !names.insert(&source.name) {
                recipe.mistake(
                    &format!("evaluation.sources[{number}].name"),
                    format!("a second source is called {:?}", source.name),
                    "give each source a name of its own",
                );
            }
        }
        Some(Self {
            every,
            keep_best,
            sources,
        })
    }
}

/// Everything supervised fine-tuning needs to know.
#[derive(Debug, Clone)]
pub struct SftRecipe {
    /// Optimizer and run folder.
    pub session: SessionRecipe,
    /// Folder of the model to start from.
    pub base: PathBuf,
    /// The published decoder and tower that the base is joined from, for planning.
    pub joined_from: Option<[String; 2]>,
    /// What the model is held in; packed only where an adapter alone is trained.
    pub base_precision: BasePrecision,
    /// Bounds of images.
    pub pixels: PixelBounds,
    /// What is trained.
    pub tune: Tune,
    /// What renders turns in training, if not the model folder's own template.
    pub template: Option<Template>,
    /// What a pass keeps in memory.
    pub activations: Activations,
    /// Image folder.
    pub images: PathBuf,
    /// Conversations.
    pub sources: Vec<SourceRecipe>,
    /// Conversations that are not trained on, where the recipe has some.
    pub evaluation: Option<EvaluationRecipe>,
    /// Benchmarks that the run measures itself by, where the recipe has some.
    pub suite: Option<SuiteRecipe>,
    /// What follows from a row that cannot be trained on.
    pub on_bad_row: OnBadRow,
    /// Longest sequence; a longer one is a bad row, never a silent cut.
    pub max_tokens: usize,
    /// Conversations per update.
    pub batch: usize,
    /// The most that a pass has.
    pub pass: PassSize,
    /// Rows of an epoch, where sources have weights.
    pub epoch_rows: Option<usize>,
    /// How long to train.
    pub length: Length,
    /// Steps between copies of the adapter, where they are kept.
    pub snapshot_every: Option<u64>,
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
        let session = SessionRecipe::read(&mut recipe).with_shard(&mut recipe, true);
        let base = recipe.path("model.base", MODEL).required();
        let joined_from = recipe
            .strings(
                "model.joined_from",
                "Names of the published decoder and tower that `candor join` makes the base of: `candor recipe check` plans on \
                 their sizes while the base is not there.",
            )
            .check(|names| {
                let remedy = "write [\"<decoder>\", \"<tower>\"]".to_owned();
                let problem = format!("{} names", names.len());
                (names.len() == 2).then_some(()).ok_or((problem, remedy))
            })
            .optional()
            .and_then(|names| <[String; 2]>::try_from(names).ok());
        let base_precision = BasePrecision::read(&mut recipe);
        let pixels = read_pixels(&mut recipe);
        let tune = read_tune(&mut recipe);
        let is_packed = matches!(base_precision, BasePrecision::Int8 | BasePrecision::Nf4);
        if is_packed && !matches!(tune, Tune::Lora(_)) {
            recipe.mistake(
                "model.base_precision",
                "this run trains weights of the base and writes the whole model",
                "use \"f32\" or \"bf16\", or train an adapter: tune = \"lora\"",
            );
        }
        let template = read_template(&mut recipe);
        let activations = read_activations(&mut recipe);
        if session.shard == Shard::Zero3
            && (tune != Tune::AllButTower || activations != Activations::Recompute)
        {
            recipe.mistake(
                "run.shard",
                "\"zero3\" has the weights of a block while it is computed, and this run does not train all blocks or keeps what it \
                 computed of one",
                "write model.tune = \"all_but_tower\" and model.activations = \"recompute\", without model.recompute_blocks",
            );
        }
        let root = recipe.path("data.root", ROOT).required();
        let images = root.join(recipe.path("data.images", IMAGES).required());
        let sources = SourceRecipe::read_trained(&mut recipe, "data.sources", &root);
        let evaluation = EvaluationRecipe::read(&mut recipe, &root);
        let suite = read_suite(&mut recipe, template.as_ref());
        let on_bad_row = on_bad_row(&mut recipe);
        let max_tokens = recipe
            .usize("data.max_tokens", "Longest conversation in tokens, those of its image included; a longer one is never cut in silence.")
            .positive().required();
        let of_update = "Conversations of an update.";
        let of_pass = "Conversations of a pass, a divisor of `data.batch`: changes memory and speed, never the result.";
        let (batch, micro_batch) = read_batch(&mut recipe, [of_update, of_pass]);
        let pass = PassSize::read(&mut recipe, micro_batch);
        let epoch_rows = recipe
            .usize(
                "data.epoch_rows",
                "Conversations of an epoch, which sources with a `weight` share.",
            )
            .positive()
            .optional();
        let length = Length::read(&mut recipe);
        let snapshot_every = read_snapshots(&mut recipe, matches!(tune, Tune::Lora(_)));
        let resolved = recipe.finish()?;
        Ok(Self {
            session,
            base,
            joined_from,
            base_precision,
            pixels,
            tune,
            template,
            activations,
            images,
            sources,
            evaluation,
            suite,
            on_bad_row,
            max_tokens,
            batch,
            pass,
            epoch_rows,
            length,
            snapshot_every,
            resolved,
        })
    }
}

impl SftRecipe {
    /// The model in training, as a suite asks it.
    pub(crate) fn in_training<'a>(
        &'a self,
        bundle: &'a Bundle,
        adapter: Option<&'a Adapter>,
    ) -> InTraining<'a> {
        InTraining {
            suite: self.suite.as_ref(),
            session: &self.session,
            bundle,
            adapter,
            base: &self.base,
            pixels: self.pixels,
            precision: self.base_precision,
        }
    }

    /// The keys that a resume may change, besides those of every stage: how an update is cut into passes, and what a pass
    /// keeps in memory.
    #[must_use]
    pub fn may_change(&self) -> &'static [&'static str] {
        &[
            "data.micro_batch",
            "data.pass_tokens",
            "model.activations",
            "model.recompute_blocks",
            "suite.batch_rows",
        ]
    }
}

/// Reads `[suite]`, which asks questions of a model that is trained to answer.
fn read_suite(recipe: &mut Reader, template: Option<&Template>) -> Option<SuiteRecipe> {
    let suite = SuiteRecipe::read(recipe);
    if suite.is_some() && matches!(template, Some(Template::Plain)) {
        recipe.mistake(
            "suite",
            "model.template = \"plain\" trains on captions alone, and the model answers no question yet",
            "leave it out: what such a run learns is seen in its loss",
        );
    }
    suite
}

fn read_template(recipe: &mut Reader) -> Option<Template> {
    let choices = [
        ("own", None),
        ("plain", Some(Template::Plain)),
        ("vicuna_v1", Some(Template::vicuna_v1())),
        ("qwen", Some(Template::qwen())),
    ];
    let meaning = "How turns become text: as the model folder says, as a caption alone (pretraining of the \
                   projector), or as Vicuna v1 or Qwen has it, for models whose own template ends no answer, such as \
                   llava-1.5-7b-hf and llava-onevision-qwen2-7b-ov-hf. A model trained whole keeps it; for an adapter \
                   alone put a template.json into the base's folder.";
    recipe
        .one_of("model.template", &choices, meaning)
        .required()
}

fn read_tune(recipe: &mut Reader) -> Tune {
    let choices = [("all_but_tower", 0), ("projector", 1), ("lora", 2)];
    let meaning = "What is trained: decoder and projector, the projector alone, or a LoRA adapter.";
    match recipe.one_of("model.tune", &choices, meaning).required() {
        0 => Tune::AllButTower,
        1 => Tune::Projector,
        _ => Tune::Lora(LoraStart::read(recipe)),
    }
}
