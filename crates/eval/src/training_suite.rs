//! A few benchmarks by which a run measures itself while it trains: steps → answers of the model in memory → numbers → the
//! best step.
//!
//! Nothing random is drawn and no weight is changed, so that a run has the same updates with and without it. A measurement is
//! an evaluation folder for each benchmark, `suite/step-N/BENCHMARK` in the folder of the run, and its answers are kept batch by
//! batch behind a fingerprint of the weights that gave them: a run that was killed and comes to the step again with the same
//! weights asks nothing again. With others, as a GPU may compute them, all is asked anew.
//!
//! Of several ranks all answer; the first asks the judge and scores, while the others wait. A benchmark about which the judge does not
//! reply to everything is left out of the step's numbers, and the run goes on.
//!
//! The truth about images that a world knows is not read here: what is measured are files of benchmarks.

mod measuring;
mod recipe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_data::{atomic, sha256};
use candor_judge::benchmarks::Files;
use candor_judge::score::JudgeSession;
use candor_judge::settings::Templates;
use candor_judge::suite::best::BestBy;
use candor_judge::{Benchmark, ChatJudge, Judge as _, Settings};
use candor_model::{Adapter, Bundle, ModelError};
use candor_run::{Progress, Ranks};
use candor_train::{BasePrecision, Best, Found, Opening, Session, SessionRecipe, set_tf32};
use serde::Serialize;
use tch::Tensor;

pub use self::recipe::SuiteRecipe;
use self::recipe::{of_files, of_judge};
use crate::EvalError;
use crate::files::{EvalRun, check_lengths};
use crate::images::look_through;
use crate::questions::{Questions, questions_sha256};
use crate::suite::{Greedy, SuiteModel};

/// The numbers of a step, by benchmark and key; without those that are ratios over nothing.
pub type SuiteFigures = BTreeMap<String, BTreeMap<String, f64>>;

/// A model in training, and what its recipe says of measuring it.
#[derive(Debug, Clone, Copy)]
pub struct InTraining<'a> {
    /// The suite, where the run has one.
    pub suite: Option<&'a SuiteRecipe>,
    /// Seed and folder of the run.
    pub session: &'a SessionRecipe,
    /// The model.
    pub bundle: &'a Bundle,
    /// The adapter in training, if one is.
    pub adapter: Option<&'a Adapter>,
    /// Folder that the model was read from.
    pub base: &'a Path,
    /// Bounds of images.
    pub pixels: PixelBounds,
    /// What the model is held in.
    pub precision: BasePrecision,
}

/// The suite of a run, which may have none.
pub struct TrainingSuite {
    recipe: Option<SuiteRecipe>,
    seed: u64,
    /// Folder of the run.
    out: PathBuf,
    ranks: Ranks,
    /// On the first rank, where the recipe names one.
    judge: Option<(ChatJudge, Templates)>,
    questions: Vec<Questions>,
    trained: Vec<(String, Tensor)>,
    best: Option<(BestBy, Best)>,
    /// Where the best weights are written, within the folder of the run.
    best_folder: &'static str,
}

/// `best.json`.
#[derive(Debug, Serialize)]
struct BestStep {
    /// What it was chosen by.
    by: String,
    step: u64,
    value: f64,
    /// Its weights, within the folder of the run.
    weights: &'static str,
    /// At how many steps the judge did not reply to everything, so that the best of them may not be among those chosen from.
    #[serde(skip_serializing_if = "Option::is_none")]
    n_not_measured: Option<usize>,
}

impl TrainingSuite {
    /// Reads the questions, and looks at everything that could fail at a later step: files, images, lengths and the judge.
    /// `trained` are the tensors that are trained of the model, and no others.
    ///
    /// # Errors
    /// A file or an image is missing or damaged, a question is too long for the model, or there is no judge where one is needed.
    pub fn open(
        model: InTraining<'_>,
        opening: &mut Opening,
        trained: &[(String, Tensor)],
    ) -> Result<Self, EvalError> {
        let session = model.session;
        let mut suite = Self {
            recipe: model.suite.cloned(),
            seed: session.seed,
            out: session.out.clone(),
            ranks: opening.ranks().clone(),
            judge: None,
            questions: Vec::new(),
            trained: Vec::new(),
            best: None,
            best_folder: match model.adapter {
                Some(_) => "best/adapter",
                None => "best/model",
            },
        };
        let Some(recipe) = model.suite else {
            return Ok(suite);
        };
        opening.doing("reading the suite");
        let all = recipe.files()?;
        let judge = recipe.judge.as_ref();
        if let Some(path) = judge.filter(|_| suite.ranks.is_first()) {
            let settings = Settings::read(path)?;
            let templates = settings.templates.clone();
            let judge = ChatJudge::open(path, settings, session.seed)?;
            suite.judge = Some((judge, templates));
        }
        for (benchmark, files) in all {
            let out = suite.out.clone();
            let eval_run = model.eval_run(recipe, benchmark, files, out);
            let session = suite.judge_session();
            let questions = eval_run.questions(session.as_ref())?;
            recipe.check_judge(benchmark, &questions.files, &*questions.task)?;
            look_through(&questions, &eval_run.images)?;
            let fits = check_lengths(&questions, model.bundle, &eval_run);
            fits.map_err(|error| EvalError::Unfit {
                path: recipe.data.clone(),
                problem: format!("{}, {error}", benchmark.label()),
                remedy: "shorten or remove the question, or leave the benchmark out of suite.benchmarks",
            })?;
            suite.questions.push(questions);
        }
        let copy = |(name, tensor): &(String, Tensor)| (name.clone(), tensor.shallow_clone());
        suite.trained = trained.iter().map(copy).collect();
        // The highest of all: a number of which less is better is taken with the other sign.
        let best = |by| (by, Best::on_host(candor_train::BestBy::Accuracy, trained));
        suite.best = recipe.best.map(best);
        Ok(suite)
    }

    /// What a run with the suite reads besides: the files of the benchmarks, and who judges, how and by which prompts.
    ///
    /// # Errors
    /// A file cannot be read, or a rank has ended or hangs.
    pub fn inputs(&self) -> Result<Vec<(&'static str, String)>, EvalError> {
        let Some(recipe) = &self.recipe else {
            return Ok(Vec::new());
        };
        let asks = self.questions.iter().flat_map(|of| &of.asks);
        let mut parts = vec![questions_sha256(asks)];
        for Questions { files, .. } in &self.questions {
            parts.extend(of_files(files)?);
        }
        let mut inputs = vec![("suite", sha256::of_bytes(parts))];
        if recipe.judge.is_some() {
            let who = self.ranks.made_by_first(|| {
                let judge = self.judge.as_ref().map(|(judge, _)| judge.identity());
                let tasks = self.questions.iter().map(|of| &of.task);
                let templates = tasks.filter_map(|task| Some(task.templates()?.sha256()));
                Ok::<_, EvalError>(of_judge(judge.as_ref(), templates))
            })?;
            inputs.push(("judge of the suite", who));
        }
        Ok(inputs)
    }

    /// What a checkpoint must hold; a resume overwrites the tensors in place.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let best = self.best.iter().flat_map(|(_, best)| best.state());
        best.map(|(name, tensor)| (format!("suite_{name}"), tensor))
            .collect()
    }

    /// Measures the model as it is after a step, where that is due; no numbers where it is not. A stop that is asked for
    /// meanwhile waits until all is measured.
    ///
    /// # Errors
    /// The model's logits are not finite, the disk refuses, or a rank has ended or hangs.
    pub fn after_step(
        &mut self,
        session: &mut Session,
        model: InTraining<'_>,
        step: u64,
    ) -> Result<SuiteFigures, EvalError> {
        let n_steps = session.steps_left().end;
        let is_due = |recipe: &&SuiteRecipe| step.is_multiple_of(recipe.every) || step == n_steps;
        let Some(recipe) = self.recipe.as_ref().filter(is_due) else {
            return Ok(SuiteFigures::new());
        };
        session.phase("suite");
        session.gather_weights()?;
        let trains_in_tf32 = model.session.tf32;
        let figures = in_f32(trains_in_tf32, || self.measure(recipe, model, step))?;
        self.offer(step, &figures)?;
        session.release_weights();
        Ok(figures)
    }

    /// Keeps the weights as they are if their number is the best so far; of equally good ones the first.
    fn offer(&mut self, step: u64, figures: &SuiteFigures) -> Result<(), EvalError> {
        if let Some((by, best)) = &mut self.best
            && let Some(&value) = figures
                .get(by.benchmark.key())
                .and_then(|of| of.get(by.measure.key))
        {
            best.offer(Found {
                step,
                accuracy: signed(*by, value),
                loss: 0.0,
            })?;
        }
        Ok(())
    }

    /// Puts the weights of the best step into the tensors that were trained, and says which it is: in `best.json`, after `save`
    /// has written them into the folder that it is given. To be called when all else of the run is written.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(
        self,
        save: impl FnOnce(&Path) -> Result<(), ModelError>,
    ) -> Result<(), EvalError> {
        let said = Progress::of_rank(&self.ranks, "suite");
        for Questions { benchmark, .. } in &self.questions {
            let n = self.n_not_measured(*benchmark);
            if n > 0 {
                let label = benchmark.label();
                said.note(&format!(
                    "steps at which {label} is not measured, because the judge did not reply to everything: {n}"
                ));
            }
        }
        let Some((by, best)) = &self.best else {
            return Ok(());
        };
        let Some(found) = best.found() else {
            let name = by.name();
            said.note(&format!(
                "no step has the number {name}, so none is the best"
            ));
            return Ok(());
        };
        best.recall();
        if !self.ranks.is_first() {
            return Ok(());
        }
        save(&self.out.join("best"))?;
        let best = BestStep {
            by: by.name(),
            step: found.step,
            value: signed(*by, found.accuracy),
            weights: self.best_folder,
            n_not_measured: Some(self.n_not_measured(by.benchmark)).filter(|&n| n > 0),
        };
        let path = self.out.join("best.json");
        let json = serde_json::to_string_pretty(&best).map_err(|error| EvalError::Unfit {
            path: path.clone(),
            problem: error.to_string(),
            remedy: "report this: it is made of plain fields",
        })?;
        atomic::write(&path, (json + "\n").as_bytes())?;
        said.note(&format!(
            "the best of the steps measured by {} is {}, with {:.*}: {}",
            best.by,
            best.step,
            by.measure.decimals,
            best.value,
            self.out.join(best.weights).display()
        ));
        Ok(())
    }

    fn judge_session(&self) -> Option<JudgeSession<'_>> {
        self.judge.as_ref().map(|(judge, templates)| JudgeSession {
            judge,
            templates,
            progress: &unheard,
        })
    }
}

impl InTraining<'_> {
    fn eval_run(
        &self,
        recipe: &SuiteRecipe,
        benchmark: Benchmark,
        files: Files,
        out: PathBuf,
    ) -> EvalRun {
        let model = SuiteModel {
            name: String::new(),
            model: self.base.to_owned(),
            adapter: None,
            precision: self.precision,
        };
        let greedy = Greedy {
            pixels: self.pixels,
            max_new_tokens: recipe.max_new_tokens,
            batch_rows: recipe.batch_rows,
        };
        greedy.eval_run(&model, benchmark, files, out)
    }
}

/// Computes in f32, as every evaluation does, and goes on with what the run has set for training.
fn in_f32<T>(trains_in_tf32: bool, compute: impl FnOnce() -> T) -> T {
    set_tf32(false);
    let computed = compute();
    set_tf32(trains_in_tf32);
    computed
}

/// Replies come while a step is measured, whose numbers are told when all of them are there.
fn unheard(_: usize) {}

/// A number with the sign that makes more of it better; and back.
fn signed(by: BestBy, value: f64) -> f64 {
    if by.is_higher() { value } else { -value }
}
