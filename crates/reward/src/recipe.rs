//! The recipe of a reward model.

use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_model::Activations;
use candor_recipe::{Reader, Resolved};
use candor_train::stage_fields::{MODEL, ROOT, read_activations, read_batch, read_pixels};
use candor_train::{
    BasePrecision, Judgements, Length, LoraStart, PassSize, SessionRecipe, read_judgements,
};

use crate::RewardError;
use crate::loss::CenteringOver;
use crate::prompt::RewardPrompt;
use crate::wording::{CaptionOrder, Pooling, Wording};

/// Everything the training of a reward model needs to know.
#[derive(Debug, Clone)]
pub struct RewardRecipe {
    /// Optimizer and run folder.
    pub session: SessionRecipe,
    /// Folder of the frozen base model.
    pub base: PathBuf,
    /// What the model is held in.
    pub base_precision: BasePrecision,
    /// Bounds of images, which the reward model keeps.
    pub pixels: PixelBounds,
    /// Where the adapter comes from.
    pub start: LoraStart,
    /// What a pass keeps in memory.
    pub activations: Activations,
    /// How a response is put before the model.
    pub wording: Wording,
    /// What people preferred, or called good and bad.
    pub judgements: Judgements,
    /// Facts by image; not read by a prompt without a slot.
    pub facts: Option<PathBuf>,
    /// Longest sequence; a longer one is a bad row, never a silent cut.
    pub max_tokens: usize,
    /// Rows per update.
    pub batch: usize,
    /// The most that a pass has.
    pub pass: PassSize,
    /// How long to train at most.
    pub length: Length,
    /// Factor of the loss's centering term.
    pub centering_coef: f64,
    /// What the centering term's mean goes over.
    pub centering_over: CenteringOver,
    /// Updates between evaluations.
    pub evaluate_every: u64,
    /// Evaluations in a row that may find nothing better; 0 never stops early.
    pub patience: u64,
    /// The recipe as it is run.
    pub resolved: Resolved,
}

impl RewardRecipe {
    /// Reads a recipe file, and the prompt file that it names.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, RewardError> {
        Self::read(Reader::open(path, sets)?)
    }

    /// Reads a recipe that is already in memory, and the prompt file that it names.
    ///
    /// # Errors
    /// All mistakes of the recipe at once, those of the prompt among them.
    pub fn read(mut recipe: Reader) -> Result<Self, RewardError> {
        let session = SessionRecipe::read(&mut recipe);
        let base = recipe.path("model.base", MODEL).required();
        let base_precision = BasePrecision::read(&mut recipe);
        let pixels = read_pixels(&mut recipe);
        let start = LoraStart::read(&mut recipe);
        let activations = read_activations(&mut recipe);
        let wording = read_wording(&mut recipe, session.seed);
        let root = recipe.path("data.root", ROOT).required();
        let judgements = read_judgements(&mut recipe, &root, session.seed);
        let facts = recipe.path("data.facts", "Facts by image, as image_to_caption.json; needed by a prompt with `{facts}`, and not read by one without.").optional();
        if facts.is_none() && wording.prompt.with_facts() && !recipe.has("data.facts") {
            let remedy = "name an image_to_caption.json, or use a prompt without the slot";
            recipe.mistake("data", "no `facts` for a prompt with `{facts}`", remedy);
        }
        let max_tokens = recipe.usize("data.max_tokens", "Longest conversation with its response and prompt, in tokens; a longer one is never cut in silence.").positive().required();
        let of_pass = "Pairs, or rated answers, of a pass, a divisor of `data.batch`: changes memory and speed, and the loss only through `loss.centering_over`.";
        let of_update = "Pairs, or rated answers, of an update.";
        let (batch, micro_batch) = read_batch(&mut recipe, [of_update, of_pass]);
        let pass = PassSize::read(&mut recipe, micro_batch);
        let length = Length::read(&mut recipe);
        let centering_coef = recipe
            .f64(
                "loss.centering_coef",
                "Weight of the absolute mean of both scores, which keeps scores around 0.",
            )
            .within(0.0..)
            .required();
        let centering_over = recipe
            .one_of(
                "loss.centering_over",
                &[
                    ("batch", CenteringOver::Batch),
                    ("micro_batch", CenteringOver::MicroBatch),
                ],
                "What that mean goes over; the reference's is the micro-batch.",
            )
            .required();
        let by_pass = centering_over == CenteringOver::MicroBatch && centering_coef != 0.0;
        if by_pass && pass.tokens.is_some_and(|n| n > 0) {
            let problem = "loss.centering_over = \"micro_batch\" makes the loss of passes, which would follow from lengths";
            let remedy = "leave it out, or centre over the batch";
            recipe.mistake("data.pass_tokens", problem, remedy);
        }
        if matches!(judgements, Judgements::Rated(_)) && centering_coef > 0.0 {
            recipe.mistake(
                "loss.centering_coef",
                "scores of rated answers have a zero of their own, which centering would move",
                "use 0.0",
            );
        }
        let evaluate_every = recipe
            .u64(
                "evaluation.every",
                "Steps between evaluations on the validation pairs.",
            )
            .positive()
            .required();
        let patience = recipe.u64("evaluation.patience", "Evaluations in a row that may find nothing better before the run ends; 0 never ends it early.").required();
        let resolved = recipe.finish()?;
        Ok(Self {
            session,
            base,
            base_precision,
            pixels,
            start,
            activations,
            wording,
            judgements,
            facts: facts.map(|path| root.join(path)),
            max_tokens,
            batch,
            pass,
            length,
            centering_coef,
            centering_over,
            evaluate_every,
            patience,
            resolved,
        })
    }
}

impl RewardRecipe {
    /// Whether it learns from answers by themselves, each good or bad.
    #[must_use]
    pub fn learns_from_rated(&self) -> bool {
        matches!(self.judgements, Judgements::Rated(_))
    }

    /// The keys that a resume may change, besides those of every stage: how an update is cut into passes, unless the loss
    /// depends on that, and what a pass keeps in memory.
    #[must_use]
    pub fn may_change(&self) -> &'static [&'static str] {
        let by_pass = self.centering_over == CenteringOver::MicroBatch;
        if by_pass && self.centering_coef != 0.0 {
            return &["model.activations", "model.recompute_blocks"];
        }
        &[
            "data.micro_batch",
            "data.pass_tokens",
            "model.activations",
            "model.recompute_blocks",
        ]
    }
}

fn read_wording(recipe: &mut Reader, seed: u64) -> Wording {
    recipe.one_of_two("prompt", "file", "text");
    let file = recipe.path("prompt.file", "File of the prompt that asks for a score, with slots for `{facts}` and `{response}`, relative to the working folder.").optional();
    let text = recipe
        .string("prompt.text", "The prompt itself.")
        .optional();
    let read = match (&file, &text) {
        (Some(path), _) => Some(("prompt.file", RewardPrompt::open(path))),
        (None, Some(text)) => Some((
            "prompt.text",
            RewardPrompt::parse(Path::new("prompt.text"), text),
        )),
        (None, None) => None,
    };
    let read_well = matches!(read, Some((_, Ok(_))));
    let prompt = match read {
        Some((_, Ok(prompt))) => prompt,
        Some((key, Err(error))) => {
            recipe.mistake(key, error.to_string(), "");
            RewardPrompt::default()
        }
        None => RewardPrompt::default(),
    };
    let bullet = recipe
        .string("prompt.bullet", "What stands before each fact.")
        .required();
    let caption_order = recipe
        .one_of(
            "prompt.caption_order",
            &[
                ("file", CaptionOrder::File),
                ("shuffled", CaptionOrder::Shuffled { seed }),
            ],
            "The order of the facts; the reference shuffles.",
        )
        .required();
    let pooling = recipe
        .one_of(
            "prompt.pooling",
            &[
                ("last_token", Pooling::LastToken),
                ("sum_over_response", Pooling::SumOverResponse),
            ],
            "Where the score is read: at the end, or over the response where the prompt repeats it.",
        )
        .required();
    if pooling == Pooling::SumOverResponse && !prompt.repeats_response() && read_well {
        let problem = "the prompt does not repeat the response after its question";
        let remedy =
            "write `ASSISTANT: {response}` at its end, or read the score at the last_token";
        recipe.mistake("prompt.pooling", problem, remedy);
    }
    Wording {
        prompt,
        bullet,
        caption_order,
        pooling,
    }
}
