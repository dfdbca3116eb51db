//! The recipe of learning from preferences.

use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_eval::training_suite::{InTraining, SuiteRecipe};
use candor_model::{Activations, Adapter, Bundle};
use candor_recipe::{Reader, Resolved};
use candor_train::stage_fields::{
    MODEL, ROOT, read_activations, read_batch, read_pixels, read_snapshots,
};
use candor_train::{
    BasePrecision, Judgements, Length, LoraStart, PassSize, SessionRecipe, Tune, read_judgements,
};

use crate::DpoError;
use crate::loss::Loss;
use crate::objective::Objective;

/// Everything that learning from preferences needs to know.
#[derive(Debug, Clone)]
pub struct DpoRecipe {
    /// Optimizer and run folder.
    pub session: SessionRecipe,
    /// Folder of the model to start from.
    pub base: PathBuf,
    /// What the model is held in; anything but f32 only where an adapter alone is trained.
    pub base_precision: BasePrecision,
    /// Bounds of images.
    pub pixels: PixelBounds,
    /// What is trained: all but the tower, or an adapter.
    pub tune: Tune,
    /// What a pass keeps in memory.
    pub activations: Activations,
    /// What people preferred, or called good and bad.
    pub judgements: Judgements,
    /// Longest sequence; a longer one is a bad row, never a silent cut.
    pub max_tokens: usize,
    /// Rows per update.
    pub batch: usize,
    /// The most that a pass has.
    pub pass: PassSize,
    /// How long to train.
    pub length: Length,
    /// Steps between copies of the adapter, where they are kept.
    pub snapshot_every: Option<u64>,
    /// What is minimised.
    pub objective: Objective,
    /// Updates between evaluations.
    pub evaluate_every: u64,
    /// Benchmarks that the run measures itself by, where the recipe has some.
    pub suite: Option<SuiteRecipe>,
    /// The recipe as it is run.
    pub resolved: Resolved,
}

impl DpoRecipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, DpoError> {
        Self::read(Reader::open(path, sets)?)
    }

    /// Reads a recipe that is already in memory.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn read(mut recipe: Reader) -> Result<Self, DpoError> {
        let session = SessionRecipe::read(&mut recipe).with_shard(&mut recipe, false);
        let base = recipe.path("model.base", MODEL).required();
        let base_precision = BasePrecision::read(&mut recipe);
        let pixels = read_pixels(&mut recipe);
        let tune = read_tune(&mut recipe);
        if base_precision != BasePrecision::F32 && tune == Tune::AllButTower {
            recipe.mistake(
                "model.base_precision",
                "this run trains weights of the base and writes the whole model",
                "use \"f32\", or train an adapter: tune = \"lora\"",
            );
        }
        let activations = read_activations(&mut recipe);
        let root = recipe.path("data.root", ROOT).required();
        let judgements = read_judgements(&mut recipe, &root, session.seed);
        let max_tokens = recipe
            .usize("data.max_tokens", "Longest conversation with its answer in tokens, those of its image included; a longer one is never cut in silence.")
            .positive()
            .required();
        let of_pass = "Comparisons, or rated answers, of a pass, a divisor of `data.batch`: changes memory and speed, never the result.";
        let of_update = "Comparisons, or rated answers, of an update.";
        let (batch, micro_batch) = read_batch(&mut recipe, [of_update, of_pass]);
        let pass = PassSize::read(&mut recipe, micro_batch);
        let length = Length::read(&mut recipe);
        let snapshot_every = read_snapshots(&mut recipe, matches!(tune, Tune::Lora(_)));
        let objective = Objective::read(&mut recipe);
        if matches!(judgements, Judgements::Rated(_)) {
            check_rated(&mut recipe, &objective);
        }
        let evaluate_every = recipe
            .u64(
                "evaluation.every",
                "Steps between evaluations on the validation rows.",
            )
            .positive()
            .required();
        let suite = SuiteRecipe::read(&mut recipe);
        let resolved = recipe.finish()?;
        Ok(Self {
            session,
            base,
            base_precision,
            pixels,
            tune,
            activations,
            judgements,
            max_tokens,
            batch,
            pass,
            length,
            snapshot_every,
            objective,
            evaluate_every,
            suite,
            resolved,
        })
    }

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

    /// Rows of a pass without gradients. Each may be as many conversations of any length as it has answers, whose beginning and
    /// answers are filled apart, and again with a spoilt image.
    pub(crate) fn rows_of_a_pass(&self) -> usize {
        let n_answers = match self.judgements {
            Judgements::Comparisons(_) => 2,
            Judgements::Rated(_) => 1,
        };
        let times = 1 + usize::from(self.objective.image_negative.is_some());
        self.pass.rows_of(times * (1 + n_answers) * self.max_tokens)
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

/// Refuses what compares two answers, where each is rated by itself.
fn check_rated(recipe: &mut Reader, objective: &Objective) {
    if !matches!(objective.loss, Loss::Kto { .. }) {
        recipe.mistake(
            "data.rated",
            "this loss compares two answers, and here each is rated by itself",
            "use dpo.loss = \"kto\", or comparisons as data.preferences",
        );
    }
    let remedy = "there is no other answer beside a rated one: remove it";
    if objective.counting.changed_weight.is_some() {
        recipe.mistake("dpo.changed_weight", "nothing can have changed", remedy);
    }
    if !objective.counting.common_beginning {
        let remedy = "there is no other answer beside a rated one: use \"counted\"";
        let problem = "nothing is common";
        recipe.mistake("dpo.common_beginning", problem, remedy);
    }
}

fn read_tune(recipe: &mut Reader) -> Tune {
    let choices = [("all_but_tower", false), ("lora", true)];
    let meaning = "What is trained: decoder and projector, or a LoRA adapter.";
    if recipe.one_of("model.tune", &choices, meaning).required() {
        Tune::Lora(LoraStart::read(recipe))
    } else {
        Tune::AllButTower
    }
}
