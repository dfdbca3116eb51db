//! What recipes would do: read by the code that runs them, counted on their data, without any weights.
//!
//! The recipes of a pipeline start from each other's models. Where a recipe starts from what an earlier one is to
//! write, it is planned on the model that the earlier one starts from, which has the same sizes and the same tokenizer; and
//! where that is not there either, on the sizes of the published models that it is joined from.

mod bound;
mod known;
mod made;
mod of_ranks;
mod reinforcement;
mod rounds;
mod speaking;
mod stages;

use std::path::{Path, PathBuf};

use candor_dpo::DpoRecipe;
use candor_eval::EvalRecipe;
use candor_eval::training_suite::SuiteRecipe;
use candor_recipe::Reader;
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_rounds::RoundsRecipe;
use candor_run::Workload;
use candor_sample::SampleRecipe;
use candor_sft::{GroundRecipe, SftRecipe};
use candor_train::TrainError;
use serde::Serialize;

use self::bound::Bound;
use self::made::Made;
use crate::PlanError;
use crate::memory::Memory;
use crate::sharing::{Sharing, Training};

/// What a recipe would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The recipe.
    pub recipe: PathBuf,
    /// The stage that it is of.
    pub stage: &'static str,
    /// Where the run writes to.
    pub out: PathBuf,
    /// Steps.
    pub n_steps: Option<u64>,
    /// Rows of data.
    pub n_rows: Option<u64>,
    /// What a row is.
    pub rows: &'static str,
    /// Tokens of the whole run.
    pub n_tokens: Option<u64>,
    /// Whether the tokens are those of answers of the full length.
    pub tokens_are_a_bound: bool,
    /// Memory of the device; of several ranks, that of each.
    pub memory: Option<Memory>,
    /// What it takes to share the run, where that was asked for.
    pub sharing: Option<Sharing>,
    /// How long it takes at the rate that was given.
    pub secs: Option<f64>,
    /// What could not be told, and what to know besides.
    pub notes: Vec<String>,
}

impl Plan {
    fn new(recipe: &Path, stage: &'static str, out: &Path) -> Self {
        Self {
            recipe: recipe.to_owned(),
            stage,
            out: out.to_owned(),
            n_steps: None,
            n_rows: None,
            rows: "",
            n_tokens: None,
            tokens_are_a_bound: false,
            memory: None,
            sharing: None,
            secs: None,
            notes: Vec::new(),
        }
    }

    fn count(&mut self, workload: &Workload) {
        self.n_steps = workload.n_steps;
        self.n_rows = Some(workload.n_rows);
        self.rows = workload.rows;
        self.n_tokens = Some(workload.n_tokens);
        self.tokens_are_a_bound = workload.tokens_are_a_bound;
        self.notes.extend(workload.notes.iter().cloned());
    }

    fn bound(&mut self, bound: &Bound) {
        self.n_steps = bound.n_steps;
        self.n_rows = Some(bound.n_rows);
        self.rows = bound.rows;
        self.n_tokens = Some(bound.n_tokens);
        self.tokens_are_a_bound = true;
    }

    /// How the run is shared, with a note where lanes have nothing to do; where tokens bound passes, their number is not known.
    fn share(&mut self, n_ranks: u64, training: &Training) {
        self.sharing = Sharing::of_training(n_ranks, training);
        let (passes, lanes) = (training.n_passes, training.n_lanes);
        if passes < lanes && !training.passes_are_a_bound {
            self.note(format!(
                "run.lanes is {lanes}, and an update has {passes} passes: {} lanes have nothing to do",
                lanes - passes
            ));
        }
    }

    /// What the host has of moments and masters, in a note.
    fn say_on_host(&mut self, n_bytes: u64) {
        if n_bytes > 0 {
            self.note(format!(
                "optimizer.states = \"host\": {:.2} GB of the host's memory hold moments, and weights in f32 where passes read bf16; \
                 where `auto` is the CPU they come on top",
                n_bytes as f64 / 1e9
            ));
        }
    }

    /// What a rank keeps of the best weights so far by `suite.best`, of which `copy` is one: on the host, in a note.
    fn suite_best(&mut self, suite: Option<&SuiteRecipe>, copy: u64) -> u64 {
        if suite.is_none_or(|suite| suite.best.is_none()) {
            return 0;
        }
        self.note(format!(
            "suite.best: {:.2} GB of the host's memory, in each rank, hold the best weights so far and come on top",
            copy as f64 / 1e9
        ));
        copy
    }

    /// The same with what is to be known of the benchmarks that the run measures itself by.
    fn with_suite(mut self, suite: Option<&SuiteRecipe>) -> Self {
        for note in suite.into_iter().flat_map(SuiteRecipe::notes) {
            self.note(note);
        }
        self
    }

    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Plans recipes one after the other, and remembers what they would write.
#[derive(Debug)]
pub struct Planner {
    rate: Option<f64>,
    n_ranks: u64,
    made: Made,
}

impl Default for Planner {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Planner {
    /// A planner for a machine that does `rate` tokens a second.
    #[must_use]
    pub fn new(rate: Option<f64>) -> Self {
        Self {
            rate,
            n_ranks: 1,
            made: Made::default(),
        }
    }

    /// The same for runs that so many ranks share, at least 1.
    #[must_use]
    pub fn of_ranks(self, n_ranks: u64) -> Self {
        let n_ranks = n_ranks.max(1);
        Self { n_ranks, ..self }
    }

    /// Reads a recipe and plans it.
    ///
    /// # Errors
    /// The recipe has mistakes or cannot be shared by so many ranks, or a file that is there is damaged or does not fit. What is
    /// not there is noted.
    pub fn plan(&mut self, path: &Path, sets: &[String]) -> Result<Plan, PlanError> {
        let reader = Reader::open(path, sets)?;
        let (n_ranks, made) = (self.n_ranks, &mut self.made);
        let mut plan = if reader.has("model.policy_init") {
            let recipe = RlRecipe::read(reader)?;
            let plan = reinforcement::rl(path, &recipe, made, n_ranks)?;
            plan.with_suite(recipe.suite.as_ref())
        } else if reader.has("rounds.n") {
            let recipe = RoundsRecipe::read(&reader, &path.display().to_string())?;
            let plan = rounds::rounds(path, &recipe, made, n_ranks)?;
            plan.with_suite(recipe.dpo.suite.as_ref())
        } else if reader.has("dpo.loss") {
            let recipe = DpoRecipe::read(reader)?;
            let plan = stages::dpo(path, &recipe, made, n_ranks)?;
            plan.with_suite(recipe.suite.as_ref())
        } else if reader.has("data.preferences") || reader.has("data.rated") {
            stages::reward(path, &RewardRecipe::read(reader)?, made, n_ranks)?
        } else if reader.has("model.tune") {
            let recipe = SftRecipe::read(reader)?;
            let plan = stages::sft(path, &recipe, made, n_ranks)?;
            plan.with_suite(recipe.suite.as_ref())
        } else if reader.has("run.chunk") {
            speaking::sample(path, &SampleRecipe::read(reader)?, made, n_ranks)?
        } else if reader.has("run.benchmarks") {
            speaking::eval(path, &EvalRecipe::read(reader)?, made, n_ranks)?
        } else if reader.has("tokenizer.max_vocab") {
            stages::ground(path, &GroundRecipe::read(reader)?, n_ranks)?
        } else {
            let path = path.to_owned();
            return Err(PlanError::UnknownStage { path });
        };
        let tokens = plan.n_tokens.zip(self.rate);
        plan.secs = tokens.map(|(tokens, rate)| tokens as f64 / rate);
        Ok(plan)
    }
}

/// Whether so many ranks can share lanes.
///
/// # Errors
/// They cannot, as the stage itself would say.
fn check_lanes(path: &Path, n_ranks: u64, lanes: usize) -> Result<(), PlanError> {
    let world = usize::try_from(n_ranks).unwrap_or(usize::MAX);
    if world <= lanes {
        return Ok(());
    }
    Err(PlanError::Ranks {
        recipe: path.to_owned(),
        problem: TrainError::TooManyRanks { world, lanes }.to_string(),
    })
}
