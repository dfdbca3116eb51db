//! A suite over one or several models: for each model, each benchmark of the suite is asked and scored as `candor eval run`
//! does it, in an evaluation folder of its own.
//!
//! What questions ask is read and checked before the first model is opened, and a model is opened once. A benchmark that
//! cannot be measured is named with its reason, and the others are measured all the same. Whatever was answered before is not
//! answered again, and what a judge has replied comes out of its cache, so the same command goes on after a kill and ends in
//! the bytes of one that was not interrupted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::image::PixelBounds;
use candor_judge::benchmarks::Files;
use candor_judge::score::{JudgeSession, score};
use candor_judge::suite::{NotMeasured, Suite, folder};
use candor_judge::{Benchmark, Results, Run, Verdict};
use candor_run::{Ranks, StopSignal};
use candor_train::BasePrecision;
use tch::Device;

use crate::EvalError;
use crate::files::{EvalRun, OpenModel, answer_by};
use crate::questions::Questions;

/// What descriptions are asked for with (CHAIR).
const DESCRIPTION: &str = "Describe the image in detail.";

/// A model of a suite.
#[derive(Debug, Clone)]
pub struct SuiteModel {
    /// What it is called; the name of its folder.
    pub name: String,
    /// Model folder.
    pub model: PathBuf,
    /// Folder of a LoRA adapter on it, if there is one.
    pub adapter: Option<PathBuf>,
    /// What the model is held in.
    pub precision: BasePrecision,
}

/// Which models are asked which suite, and how.
#[derive(Debug, Clone)]
pub struct SuiteRun {
    /// The suite.
    pub suite: Suite,
    /// The models, at least one; the others are compared with the first.
    pub models: Vec<SuiteModel>,
    /// Folder of the benchmarks' files.
    pub data: PathBuf,
    /// How many questions of each file at most; all if absent.
    pub limit: Option<usize>,
    /// Bounds of images.
    pub pixels: PixelBounds,
    /// Longest answer, its end token included.
    pub max_new_tokens: usize,
    /// Questions that are answered together.
    pub batch_rows: usize,
    /// Decides intervals; answers are greedy.
    pub seed: u64,
    /// Folder of the evaluation folders.
    pub out: PathBuf,
}

/// What a suite found.
#[derive(Debug, Clone, PartialEq)]
pub struct SuiteMeasured {
    /// A run for each model, in their order, with all benchmarks that could be measured.
    pub runs: Vec<Run>,
    /// The benchmarks that could not, in the order of the suite.
    pub not_measured: Vec<NotMeasured>,
    /// Folders of images that were shown.
    pub images: Vec<PathBuf>,
}

/// Asks and scores everything that is not there yet; returns nothing if `stop` asked to end before. `said` hears what is
/// measured next. What is wrong with a model or a benchmark keeps nothing else from being measured, and is told in
/// [`SuiteMeasured::not_measured`].
#[must_use]
pub fn run(
    suite_run: &SuiteRun,
    session: Option<&JudgeSession<'_>>,
    stop: &StopSignal,
    device: Device,
    said: &dyn Fn(&str),
) -> Option<SuiteMeasured> {
    let (ready, mut not_measured) = suite_run.questions(session);
    let mut runs = Vec::new();
    let mut before: Option<(&SuiteModel, OpenModel)> = None;
    for model in &suite_run.models {
        let mut run = Run {
            name: model.name.clone(),
            results: Some(Results::default()),
            ..Run::default()
        };
        let Some(first) = ready.first() else {
            runs.push(run);
            continue;
        };
        let eval_run = suite_run.eval_run(model, first.benchmark, first.files.clone());
        let opened = match open(before.take(), model, &eval_run, device) {
            Ok(opened) => opened,
            Err(error) => {
                not_measured.extend(ready.iter().map(|questions| NotMeasured {
                    benchmark: questions.benchmark,
                    run: Some(run.name.clone()),
                    reason: told(&error),
                }));
                runs.push(run);
                continue;
            }
        };
        for questions in &ready {
            let benchmark = questions.benchmark;
            said(&format!("{}, {}", model.name, benchmark.label()));
            let eval_run = suite_run.eval_run(model, benchmark, questions.files.clone());
            let seed = suite_run.seed;
            let measured = measure(&opened, questions, &eval_run, session, seed, stop, &mut run);
            let reason = match measured {
                Ok(Measured::Stopped) => return None,
                Ok(Measured::Scored) => continue,
                Ok(Measured::LacksJudge) => format!(
                    "it takes a judge, and none is named; its answers are in {}, and the same command with --judge scores \
                     them",
                    eval_run.out.display()
                ),
                Err(error) => told(&error),
            };
            not_measured.push(NotMeasured {
                benchmark,
                run: Some(run.name.clone()),
                reason,
            });
        }
        before = Some((model, opened));
        runs.push(run);
    }
    let place = |missing: &NotMeasured| {
        let mut all = suite_run.suite.benchmarks();
        all.position(|benchmark| benchmark == missing.benchmark)
    };
    not_measured.sort_by_key(place);
    let mut images: Vec<PathBuf> = ready
        .iter()
        .filter_map(|of| of.files.images.clone())
        .collect();
    images.sort_unstable();
    images.dedup();
    Some(SuiteMeasured {
        runs,
        not_measured,
        images,
    })
}

/// The model of a run; on the weights of the model before, where it has the same base.
fn open(
    before: Option<(&SuiteModel, OpenModel)>,
    model: &SuiteModel,
    eval_run: &EvalRun,
    device: Device,
) -> Result<OpenModel, EvalError> {
    match before {
        Some((other, open)) if other.has_base_of(model) => {
            open.with_adapter(model.adapter.as_deref())
        }
        before => {
            // There is one model at a time in memory.
            drop(before);
            eval_run.open_model(device, &Ranks::alone())
        }
    }
}

impl SuiteModel {
    fn has_base_of(&self, other: &Self) -> bool {
        self.model == other.model && self.precision == other.precision
    }
}

/// How the measuring of a benchmark ended.
enum Measured {
    Scored,
    LacksJudge,
    Stopped,
}

/// Asks and scores a benchmark, and adds it to the run.
fn measure(
    model: &OpenModel,
    questions: &Questions,
    eval_run: &EvalRun,
    session: Option<&JudgeSession<'_>>,
    seed: u64,
    stop: &StopSignal,
    run: &mut Run,
) -> Result<Measured, EvalError> {
    let Some(answered) = answer_by(model, questions, eval_run, session, stop, &Ranks::alone())?
    else {
        return Ok(Measured::Stopped);
    };
    if answered.lacks_judge {
        return Ok(Measured::LacksJudge);
    }
    let (results, verdicts) = score_into(&eval_run.out, questions, &answered.files, session, seed)?;
    run.verdicts.extend(verdicts);
    let all = run.results.get_or_insert_default();
    all.benchmarks.extend(results.benchmarks);
    Ok(Measured::Scored)
}

/// Scores the answers to a benchmark, and writes what is found into its evaluation folder.
pub(crate) fn score_into(
    out: &Path,
    questions: &Questions,
    answers: &[PathBuf],
    session: Option<&JudgeSession<'_>>,
    seed: u64,
) -> Result<(Results, BTreeMap<Benchmark, Vec<Verdict>>), EvalError> {
    let (benchmark, files) = (questions.benchmark, &questions.files);
    let (verdicts, scored) = score(benchmark, files, answers, session, seed)?;
    let results = Results {
        benchmarks: [(benchmark, scored)].into(),
        images: files.images.clone(),
    };
    let verdicts = [(benchmark, verdicts)].into();
    results.write(out, &verdicts)?;
    Ok((results, verdicts))
}

impl SuiteRun {
    /// The questions of all benchmarks that can be asked, and what cannot.
    fn questions(&self, session: Option<&JudgeSession<'_>>) -> (Vec<Questions>, Vec<NotMeasured>) {
        let (mut ready, mut not_measured) = (Vec::new(), Vec::new());
        for entry in self.suite.entries(&self.data, self.limit) {
            let benchmark = entry.benchmark;
            let read = |files| {
                // What is asked does not depend on the model.
                let eval_run = self.eval_run(self.models.first()?, benchmark, files);
                Some(eval_run.questions(session))
            };
            let reason = match entry.files.map(read) {
                Ok(Some(Ok(questions))) => {
                    ready.push(questions);
                    continue;
                }
                Ok(Some(Err(error))) => told(&error),
                Ok(None) => "no model is named".to_owned(),
                Err(missing) => missing,
            };
            not_measured.push(NotMeasured {
                benchmark,
                run: None,
                reason,
            });
        }
        (ready, not_measured)
    }

    fn eval_run(&self, model: &SuiteModel, benchmark: Benchmark, files: Files) -> EvalRun {
        let greedy = Greedy {
            pixels: self.pixels,
            max_new_tokens: self.max_new_tokens,
            batch_rows: self.batch_rows,
        };
        let out = folder(&self.out, &model.name, benchmark);
        greedy.eval_run(model, benchmark, files, out)
    }
}

/// How the questions of a suite are asked: in the benchmarks' own words, for the likeliest answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Greedy {
    /// Bounds of images.
    pub pixels: PixelBounds,
    /// Longest answer, its end token included.
    pub max_new_tokens: usize,
    /// Questions that are answered together.
    pub batch_rows: usize,
}

impl Greedy {
    /// A model asked a benchmark, whose files name the folder of the images.
    pub(crate) fn eval_run(
        self,
        model: &SuiteModel,
        benchmark: Benchmark,
        files: Files,
        out: PathBuf,
    ) -> EvalRun {
        EvalRun {
            benchmark,
            images: files.images.clone().unwrap_or_default(),
            files,
            model: model.model.clone(),
            adapter: model.adapter.clone(),
            precision: model.precision,
            pixels: self.pixels,
            description: DESCRIPTION.to_owned(),
            instruction: None,
            temperature: 0.0,
            top_p: 1.0,
            max_new_tokens: self.max_new_tokens,
            // Greedy answers are drawn by no seed, so those of any stand.
            seed: 0,
            batch_rows: self.batch_rows,
            out,
        }
    }
}

/// An error with its causes, each once.
fn told(error: &EvalError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        let words = source.to_string();
        if !text.contains(&words) {
            text.extend([": ", &words]);
        }
        cause = source.source();
    }
    text
}
