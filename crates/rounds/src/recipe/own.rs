//! What a recipe of rounds says besides those of its stages: `[rounds]`, `[label]` and `[[rewards]]`.

use std::path::PathBuf;

use candor_judge::reward::Term;
use candor_recipe::Reader;
use candor_train::{BasePrecision, DeviceChoice};

/// What the reference of a round's loss is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceOf {
    /// The policy that the round starts from.
    Round,
    /// The model that the recipe starts from.
    First,
}

/// Who compares the answers.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelRecipe {
    /// A reward model: the best answer to a prompt against the worst.
    Reward {
        /// Its run folder.
        folder: PathBuf,
        /// What its base is held in.
        base_precision: BasePrecision,
        /// Answers that are scored together.
        pass_rows: usize,
    },
    /// A judge behind an endpoint, which compares two answers.
    Judge(PathBuf),
    /// The sum of `[[rewards]]`: the best answer against the worst.
    Rules(Vec<Term>),
    /// People, in the annotation app.
    People,
}

/// What `[rounds]`, `[label]` and `[[rewards]]` say.
#[derive(Debug)]
pub struct Own {
    pub(super) out: PathBuf,
    pub(super) device: DeviceChoice,
    pub(super) n_rounds: u64,
    pub(super) n_answers: usize,
    pub(super) n_prompts: Option<usize>,
    pub(super) reference: ReferenceOf,
    pub(super) label: LabelRecipe,
    pub(super) facts: Option<PathBuf>,
}

/// Reads the fields that the recipes of the stages have not, and where and on what the rounds run.
pub fn read_own(recipe: &mut Reader) -> Own {
    let out = recipe
        .path(
            "run.out",
            "The folder of all rounds, in which each has one.",
        )
        .required();
    let device = DeviceChoice::read(recipe);
    let n_rounds = recipe
        .u64("rounds.n", "Rounds of sampling, comparing and learning, each from the policy of the one before. A resume may have more of them.")
        .within(1..=1000)
        .required();
    let n_answers = recipe
        .usize(
            "rounds.answers",
            "Answers to each prompt, an even number: two are sampled at a time.",
        )
        .within(2..=64)
        .check(|n| {
            if n.is_multiple_of(2) {
                return Ok(());
            }
            Err((format!("{n} is odd"), "use an even number".to_owned()))
        })
        .required();
    let n_prompts = recipe
        .usize("rounds.prompts", "Prompts of a round, in each round the next ones of the file; all of them in every round if absent.")
        .positive()
        .optional();
    let references = [("round", ReferenceOf::Round), ("first", ReferenceOf::First)];
    let reference = recipe
        .one_of("rounds.reference", &references, "What the reference of a round's loss is: the policy that the round starts from, or the model that the recipe starts from.")
        .required();
    let (label, facts) = read_label(recipe);
    Own {
        out,
        device,
        n_rounds,
        n_answers,
        n_prompts,
        reference,
        label,
        facts,
    }
}

/// Who can compare answers, by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Reward,
    Judge,
    Rules,
    People,
}

fn read_label(recipe: &mut Reader) -> (LabelRecipe, Option<PathBuf>) {
    let choices = [
        ("reward", By::Reward),
        ("judge", By::Judge),
        ("rules", By::Rules),
        ("people", By::People),
    ];
    let meaning = "Who compares the answers: a reward model or the sum of `[[rewards]]`, by which the best answer to a prompt is set against the worst, a judge behind an endpoint, which compares two and two, or people in the annotation app.";
    let by = recipe.one_of("label.by", &choices, meaning).required();
    let facts = recipe
        .path("label.facts", "Captions by image (`image_to_caption.json`), for whoever compares the answers; the policy never sees them.")
        .optional();
    let label = match by {
        By::Reward => LabelRecipe::Reward {
            folder: recipe
                .path("label.reward", "Run folder of `candor reward`.")
                .required(),
            base_precision: read_precision(recipe),
            pass_rows: recipe
                .usize("label.pass_rows", "Answers that are scored together: changes memory, speed, and the last bits of scores.")
                .within(1..=4096)
                .or(32, "32"),
        },
        By::Judge => LabelRecipe::Judge(
            recipe
                .path("label.judge", "`judge.toml` (docs/evaluation.md): endpoint, prompt, cap and the file of every reply that was paid for.")
                .required(),
        ),
        By::Rules => LabelRecipe::Rules(Vec::new()),
        By::People => LabelRecipe::People,
    };
    let terms = Term::read_all(recipe);
    match (by, terms.is_empty()) {
        (By::Rules, true) => recipe.mistake(
            "label.by",
            "there are no rules",
            "add a table [[rewards]], or several",
        ),
        (By::Rules, false) => {
            if terms.iter().any(|term| term.segments().is_some()) {
                recipe.mistake(
                    "rewards",
                    "kind = \"segments\" is paid by the sentence, and here answers are compared as a whole",
                    "remove the term; `candor rl` pays by the sentence",
                );
            }
            return (LabelRecipe::Rules(terms), facts);
        }
        (_, false) => recipe.mistake(
            "rewards",
            "they compare no answers here",
            "use label.by = \"rules\", or remove them",
        ),
        (_, true) => {}
    }
    if by == By::People && facts.is_some() {
        recipe.mistake(
            "label.facts",
            "people are told facts by the project of the annotation app",
            "remove it",
        );
    }
    (label, facts)
}

fn read_precision(recipe: &mut Reader) -> BasePrecision {
    let choices = [
        ("f32", BasePrecision::F32),
        ("bf16", BasePrecision::Bf16),
        ("int8", BasePrecision::Int8),
        ("nf4", BasePrecision::Nf4),
    ];
    recipe
        .one_of(
            "label.base_precision",
            &choices,
            "What the base of the reward model is held in: as when it was trained.",
        )
        .or(BasePrecision::F32, "\"f32\"")
}
