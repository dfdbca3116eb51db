//! The recipe of rounds: that of `candor sample` and that of `candor dpo` in one, which have the keys of model, data and run in
//! common, with `[rounds]`, `[label]` and `[[rewards]]`. It has no comparisons (`data.preferences`): each round makes its own.

mod own;

use std::path::{Path, PathBuf};

use candor_dpo::{DpoError, DpoRecipe};
use candor_recipe::{Mistake, Reader, RecipeError, Resolved};
use candor_sample::{SampleError, SampleRecipe};
use candor_train::{DeviceChoice, Judgements, MAY_CHANGE};

pub use self::own::{LabelRecipe, Own, ReferenceOf, read_own};
use crate::RoundsError;

/// Keys that `candor sample` has and `candor dpo` has not.
const OF_SAMPLE: [&str; 2] = ["run.chunk", "data.prompts"];
/// Keys that both have.
const OF_BOTH: [&str; 11] = [
    "seed",
    "run.out",
    "run.device",
    "model.base",
    "model.base_precision",
    "model.min_pixels",
    "model.max_pixels",
    "model.adapter",
    "data.root",
    "data.images",
    "data.on_bad_row",
];
/// What each round makes anew, in the place of what `candor dpo` reads.
const MADE: [&str; 2] = ["data.preferences", "data.rated"];
/// Stands for the comparisons of a round where there is none yet.
const NO_ROUND: &str = "data.preferences=[\"preferences.json\"]";

/// Everything that rounds need to know.
#[derive(Debug, Clone)]
pub struct RoundsRecipe {
    /// The folder of all rounds.
    pub out: PathBuf,
    /// What the models run on.
    pub device: DeviceChoice,
    /// How many rounds.
    pub n_rounds: u64,
    /// Answers to each prompt.
    pub n_answers: usize,
    /// Prompts of a round; all in every round if absent.
    pub n_prompts: Option<usize>,
    /// What the reference of a round's loss is.
    pub reference: ReferenceOf,
    /// Who compares the answers.
    pub label: LabelRecipe,
    /// Captions by image, for whoever compares the answers; never for the policy.
    pub facts: Option<PathBuf>,
    /// How the policy answers, before a round puts its own in.
    pub sample: SampleRecipe,
    /// How it learns, before a round puts its own in.
    pub dpo: DpoRecipe,
    /// The recipe as it is run.
    pub resolved: Resolved,
    /// Its name in messages.
    file: String,
}

/// Whether a key is one of `candor sample`.
fn is_of_sample(key: &str) -> bool {
    OF_SAMPLE.contains(&key)
        || OF_BOTH.contains(&key)
        || key.starts_with("prompts.")
        || key.starts_with("sampling.")
}

/// Whether a key is one of rounds alone, or of what all have.
fn is_own(key: &str) -> bool {
    ["run.out", "run.device", "rewards"].contains(&key)
        || key.starts_with("rounds.")
        || key.starts_with("label.")
}

/// Whether a key is left to `candor dpo`: all that is nobody else's, so that it names those that nobody knows.
fn is_of_dpo(key: &str) -> bool {
    OF_BOTH.contains(&key) || !(is_of_sample(key) || is_own(key) || MADE.contains(&key))
}

impl RoundsRecipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn open(path: &Path, sets: &[String]) -> Result<Self, RoundsError> {
        Self::read(&Reader::open(path, sets)?, &path.display().to_string())
    }

    /// Reads a recipe that is already in memory; `file` is its name in messages.
    ///
    /// # Errors
    /// All mistakes of the recipe at once.
    pub fn read(recipe: &Reader, file: &str) -> Result<Self, RoundsError> {
        let mut mistakes = misplaced(recipe);
        let mut own = recipe.part(is_own);
        let read = read_own(&mut own);
        collect(&mut mistakes, own.finish().err());
        let sample = match SampleRecipe::read(recipe.part(is_of_sample)) {
            Err(SampleError::Recipe(error)) => {
                collect(&mut mistakes, Some(error));
                None
            }
            other => Some(other?),
        };
        let comparisons = [NO_ROUND.to_owned()];
        let dpo = match DpoRecipe::read(recipe.part(is_of_dpo).with(&comparisons)) {
            Err(DpoError::Recipe(error)) => {
                collect(&mut mistakes, Some(error));
                None
            }
            other => Some(other?),
        };
        let (Some(sample), Some(dpo), true) = (sample, dpo, mistakes.is_empty()) else {
            mistakes
                .sort_by(|left, right| (&left.origin, &left.key).cmp(&(&right.origin, &right.key)));
            let file = file.to_owned();
            return Err(RecipeError { file, mistakes }.into());
        };
        let recipe = Self {
            out: read.out,
            device: read.device,
            n_rounds: read.n_rounds,
            n_answers: read.n_answers,
            n_prompts: read.n_prompts,
            reference: read.reference,
            label: read.label,
            facts: read.facts,
            sample,
            dpo,
            resolved: recipe.resolved(),
            file: file.to_owned(),
        };
        recipe.check()?;
        Ok(recipe)
    }

    /// Refuses what would fail only after the first answers are sampled.
    fn check(&self) -> Result<(), RoundsError> {
        let unfit = |problem: String, remedy: &str| RoundsError::Unfit {
            path: self.file.clone().into(),
            problem,
            remedy: remedy.to_owned(),
        };
        if self.dpo.objective.severity {
            let problem = "dpo.severity: who compares answers in rounds does not say how bad the other one is";
            return Err(unfit(problem.to_owned(), "remove it"));
        }
        let Judgements::Comparisons(set) = &self.dpo.judgements else {
            return Ok(());
        };
        let measured = set.n_validation + set.n_held_out;
        let of_a_prompt = self.pairs_of_a_prompt();
        if let Some(prompts) = self.n_prompts.filter(|n| n * of_a_prompt <= measured) {
            let problem = format!(
                "rounds.prompts = {prompts} make {} comparisons of a round at most, of which data.n_validation and \
                 data.n_held_out take {measured}",
                prompts * of_a_prompt
            );
            return Err(unfit(problem, "raise rounds.prompts or lower the others"));
        }
        Ok(())
    }

    /// How many comparisons the answers to a prompt make at most.
    #[must_use]
    pub fn pairs_of_a_prompt(&self) -> usize {
        match self.label {
            LabelRecipe::Reward { .. } | LabelRecipe::Rules(_) => 1,
            LabelRecipe::Judge(_) => self.n_answers / 2,
            // They may put all answers in order, of which every two make one.
            LabelRecipe::People => self.n_answers * (self.n_answers - 1) / 2,
        }
    }

    /// The part of the recipe that `candor sample` reads, with what a round puts in.
    ///
    /// # Errors
    /// A value that a round puts in is refused.
    pub(crate) fn sample_with(&self, sets: &[String]) -> Result<SampleRecipe, RoundsError> {
        let reader = Reader::parse(&self.file, &self.resolved.to_text(), &[]);
        Ok(SampleRecipe::read(reader.part(is_of_sample).with(sets))?)
    }

    /// The part that `candor dpo` reads, with what a round puts in. One that goes on from an adapter has no sizes of a fresh one.
    ///
    /// # Errors
    /// A value that a round puts in is refused.
    pub(crate) fn dpo_with(
        &self,
        sets: &[String],
        goes_on: bool,
    ) -> Result<DpoRecipe, RoundsError> {
        let reader = Reader::parse(&self.file, &self.resolved.to_text(), &[]);
        let part = reader.part(|key| is_of_dpo(key) && !(goes_on && key == "model.lora"));
        Ok(DpoRecipe::read(part.with(sets))?)
    }

    /// The keys that a resume may change: how many rounds there are, and what the stages may change. Not the folder: the recipes of
    /// stages name what earlier ones wrote in it.
    #[must_use]
    pub fn may_change(&self) -> Vec<&'static str> {
        let (sample, dpo) = (self.sample.may_change(), self.dpo.may_change());
        let mut keys = [&["rounds.n"], &MAY_CHANGE[..], sample, dpo].concat();
        keys.retain(|key| *key != "run.out");
        keys
    }
}

/// Comparisons that the recipe names, which no round would read.
fn misplaced(recipe: &Reader) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for key in MADE.into_iter().filter(|key| recipe.has(key)) {
        let mut part = recipe.part(|other| other == key);
        part.mistake(
            key,
            "each round compares answers of its own",
            "remove it; `candor dpo` learns from comparisons that are there",
        );
        let found = part.finish().err().into_iter();
        let found = found.flat_map(|error| error.mistakes);
        mistakes.extend(found.filter(|mistake| mistake.key == key));
    }
    mistakes
}

/// Takes the mistakes of a part to those of the others, each once.
fn collect(mistakes: &mut Vec<Mistake>, error: Option<RecipeError>) {
    for mistake in error.into_iter().flat_map(|error| error.mistakes) {
        if !mistakes.contains(&mistake) {
            mistakes.push(mistake);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const TEXT: &str = r#"seed = 3
[run]
out = "out"
chunk = 8
epochs = 1
checkpoint_every = 5
keep_checkpoints = 2
[model]
base = "sft"
tune = "lora"
activations = "keep"
lora = { r = 2, alpha = 4.0, targets = ["q_proj"] }
[data]
root = "runs"
images = "world/images"
prompts = "prompts.json"
max_tokens = 100
batch = 8
micro_batch = 4
n_validation = 4
n_held_out = 4
[sampling]
temperature = 1.0
top_p = 1.0
max_new_tokens = 16
batch_rows = 8
[rounds]
n = 3
answers = 4
prompts = 40
reference = "round"
[label]
by = "reward"
reward = "reward"
facts = "facts.json"
[dpo]
loss = "sigmoid"
beta = 0.1
label_smoothing = 0.0
logprob = "sum"
common_beginning = "counted"
sft_weight = 0.0
[evaluation]
every = 5
[optimizer]
learning_rate = 1e-3
schedule = "cosine"
warmup_ratio = 0.1
beta1 = 0.9
beta2 = 0.999
eps = 1e-8
weight_decay = 0.0
max_grad_norm = 1.0
"#;

    pub(crate) fn read(sets: &[&str]) -> Result<RoundsRecipe, RoundsError> {
        read_text(TEXT, sets)
    }

    pub(crate) fn read_text(text: &str, sets: &[&str]) -> Result<RoundsRecipe, RoundsError> {
        let sets: Vec<String> = sets.iter().map(|&set| set.to_owned()).collect();
        RoundsRecipe::read(&Reader::parse("r.toml", text, &sets), "r.toml")
    }

    fn refused(sets: &[&str]) -> String {
        read(sets).unwrap_err().to_string()
    }

    #[test]
    fn one_recipe_is_that_of_all_its_stages() {
        let recipe = read(&[]).unwrap();
        assert_eq!((recipe.n_rounds, recipe.n_answers), (3, 4));
        assert_eq!((recipe.sample.chunk, recipe.dpo.batch), (8, 8));
        assert_eq!(recipe.sample.base, recipe.dpo.base);
        let reward = LabelRecipe::Reward {
            folder: "reward".into(),
            base_precision: candor_train::BasePrecision::F32,
            pass_rows: 32,
        };
        assert_eq!(recipe.label, reward);
        assert_eq!(recipe.facts.as_deref(), Some(Path::new("facts.json")));
    }

    #[test]
    fn the_mistakes_of_all_parts_are_told_together_and_once() {
        let message = refused(&[
            "rounds.answers=3",
            "sampling.top_p=2.0",
            "dpo.beta=-1.0",
            "optimizer.learning_rat=1.0",
            "model.bsae=1",
            "data.preferences=[\"a.json\"]",
        ]);
        assert!(message.contains("has 6 mistakes"), "{message}");
        for part in [
            "3 is odd",
            "sampling.top_p",
            "dpo.beta",
            "did you mean `learning_rate`?",
            "did you mean `base`?",
            "each round compares answers of its own",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let both = refused(&["seed=-1"]);
        assert!(both.contains("has 1 mistake\n"), "{both}");
    }

    /// By hand: four answers in order are six pairs, and a judge is asked about two and two.
    #[test]
    fn people_may_put_all_answers_to_a_prompt_in_order() {
        let ours = "by = \"reward\"\nreward = \"reward\"\nfacts = \"facts.json\"\n";
        for (label, pairs) in [
            ("by = \"people\"\n", 6),
            ("by = \"judge\"\njudge = \"judge.toml\"\n", 2),
        ] {
            let text = TEXT.replace(ours, label);
            let recipe = read_text(&text, &[]).unwrap();
            assert_eq!(recipe.pairs_of_a_prompt(), pairs, "{label}");
            // Eight comparisons are held out, and one at least must be left.
            let enough = read_text(&text, &["rounds.prompts=2"]);
            assert_eq!(enough.is_ok(), pairs > 4, "{label}");
        }
    }

    /// An unfinished stage names the folder in keys that no user has written.
    #[test]
    fn a_resume_may_have_more_rounds_and_no_other_folder() {
        let keys = read(&[]).unwrap().may_change();
        for (key, may) in [
            ("rounds.n", true),
            ("data.micro_batch", true),
            ("run.checkpoint_every", true),
            ("run.out", false),
            ("dpo.beta", false),
        ] {
            assert_eq!(keys.contains(&key), may, "{key}");
        }
    }

    #[test]
    fn what_would_fail_after_sampling_is_refused_before() {
        for (sets, words) in [
            (&["rounds.prompts=8"][..], "take 8"),
            (&["dpo.severity=true"], "dpo.severity"),
            (&["label.by=\"rules\""], "there are no rules"),
            (&["label.by=\"judge\""], "label.judge"),
            (&["label.by=\"people\""], "label.facts"),
        ] {
            let message = refused(sets);
            assert!(message.contains(words), "{message}");
        }
        // Whoever compares, a term of sentences is one mistake, with a way out of it.
        let term =
            "rewards=[{ name = \"relations\", kind = \"segments\", weight = 1.0, reward = \"r\" }]";
        let message = refused(&[term, "label.by=\"rules\""]);
        assert!(
            message.contains("remove the term; `candor rl` pays by the sentence"),
            "{message}"
        );
        let message = refused(&[term]);
        assert!(
            message.contains("they compare no answers here") && message.contains("has 1 mistake\n"),
            "{message}"
        );
    }
}
