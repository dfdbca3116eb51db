//! What recipes would do: read by the code that runs them, counted on their data, without any weights.
//!
//! The recipes of a pipeline start from each other's models. Where a recipe starts from what an earlier one is to
//! write, it is planned on the model that the earlier one starts from, which has the same sizes and the same tokenizer; and
//! where that is not there either, on the sizes of the published models that it is joined from.

mod bound;
mod known;
mod made;
mod reinforcement;
mod stages;

use std::path::{Path, PathBuf};

use candor_dpo::DpoRecipe;
use candor_eval::EvalRecipe;
use candor_recipe::Reader;
use candor_reward::RewardRecipe;
use candor_rl::RlRecipe;
use candor_run::Workload;
use candor_sample::SampleRecipe;
use candor_sft::{GroundRecipe, SftRecipe};
use serde::Serialize;

use self::bound::Bound;
use self::made::Made;
use crate::PlanError;
use crate::memory::Memory;

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
    /// Memory of the device.
    pub memory: Option<Memory>,
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

    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// Plans recipes one after the other, and remembers what they would write.
#[derive(Debug, Default)]
pub struct Planner {
    rate: Option<f64>,
    made: Made,
}

impl Planner {
    /// A planner for a machine that does `rate` tokens a second.
    #[must_use]
    pub fn new(rate: Option<f64>) -> Self {
        Self {
            rate,
            made: Made::default(),
        }
    }

    /// Reads a recipe and plans it.
    ///
    /// # Errors
    /// The recipe has mistakes, or a file that is there is damaged or does not fit. What is not there is noted.
    pub fn plan(&mut self, path: &Path, sets: &[String]) -> Result<Plan, PlanError> {
        let reader = Reader::open(path, sets)?;
        let made = &mut self.made;
        let mut plan = if reader.has("model.policy_init") {
            reinforcement::rl(path, &RlRecipe::read(reader)?, made)?
        } else if reader.has("dpo.loss") {
            stages::dpo(path, &DpoRecipe::read(reader)?, made)?
        } else if reader.has("data.preferences") {
            stages::reward(path, &RewardRecipe::read(reader)?, made)?
        } else if reader.has("model.tune") {
            stages::sft(path, &SftRecipe::read(reader)?, made)?
        } else if reader.has("run.chunk") {
            stages::sample(path, &SampleRecipe::read(reader)?, made)?
        } else if reader.has("run.benchmarks") {
            stages::eval(path, &EvalRecipe::read(reader)?, made)?
        } else if reader.has("tokenizer.max_vocab") {
            stages::ground(path, &GroundRecipe::read(reader)?)
        } else {
            let path = path.to_owned();
            return Err(PlanError::UnknownStage { path });
        };
        let tokens = plan.n_tokens.zip(self.rate);
        plan.secs = tokens.map(|(tokens, rate)| tokens as f64 / rate);
        Ok(plan)
    }
}
