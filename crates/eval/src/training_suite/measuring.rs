//! One measurement: the questions of all benchmarks → answers of the model as it is → numbers.
//!
//! What the judge does not reply to does not end a training of days: the benchmark is left out of the step's numbers, and counted.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candor_judge::measure::Measure;
use candor_judge::score::JudgeSession;
use candor_judge::{Benchmark, JudgeError, Results};
use candor_run::{Progress, StopSignal};
use candor_train::fingerprint;

use super::{InTraining, SuiteFigures, SuiteRecipe, TrainingSuite};
use crate::EvalError;
use crate::files::{Asked, answer_as};
use crate::questions::Questions;
use crate::suite::score_into;

impl TrainingSuite {
    pub(super) fn measure(
        &self,
        recipe: &SuiteRecipe,
        model: InTraining<'_>,
        step: u64,
    ) -> Result<SuiteFigures, EvalError> {
        let trained = self.trained.iter();
        let weights = fingerprint::of_tensors(trained.map(|(name, tensor)| (name, tensor)));
        let asked = Asked {
            bundle: model.bundle,
            adapter: model.adapter,
            fingerprint: &weights,
            adapter_fingerprint: None,
            replaces: true,
        };
        let folder = self.out.join("suite").join(format!("step-{step}"));
        let session = self.judge_session();
        let never = StopSignal::detached();
        let (mut figures, mut told) = (SuiteFigures::new(), Vec::new());
        for questions in &self.questions {
            let benchmark = questions.benchmark;
            let out = folder.join(benchmark.about().argument);
            let eval_run = model.eval_run(recipe, benchmark, questions.files.clone(), out);
            let (ranks, judge) = (&self.ranks, session.as_ref());
            let answered = answer_as(asked, questions, &eval_run, judge, &never, ranks)?;
            let found = ranks.made_by_first(|| {
                let answers = answered.map(|answered| answered.files).unwrap_or_default();
                self.score(questions, &eval_run.out, &answers, judge, step)
            })?;
            let main = benchmark.measures().next();
            told.extend(main.map(|main| main_number(benchmark, main, found.as_ref())));
            if let Some(found) = found {
                figures.insert(benchmark.key().to_owned(), found);
            }
        }
        let said = Progress::of_rank(&self.ranks, "suite");
        said.note(&format!("step {step}: {}", told.join(", ")));
        Ok(figures)
    }

    /// The numbers of a benchmark; none where the judge did not reply to everything, which is no reason to end a training: what
    /// was answered stays, and can be scored later.
    fn score(
        &self,
        questions: &Questions,
        out: &Path,
        answers: &[PathBuf],
        judge: Option<&JudgeSession<'_>>,
        step: u64,
    ) -> Result<Option<BTreeMap<String, f64>>, EvalError> {
        let benchmark = questions.benchmark;
        let said = Progress::of_rank(&self.ranks, "suite");
        let what = format!("step {step}, {}", benchmark.label());
        let results = match score_into(out, questions, answers, judge, self.seed) {
            Ok((results, _)) => results,
            Err(EvalError::Judge(error @ JudgeError::Stopped { .. })) => {
                Results::discard(out)?;
                said.note(&format!(
                    "{what} is not measured: {error}; the answers are in {}",
                    out.display()
                ));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        for warning in results.warnings() {
            said.note(&format!("{what}: WARNING: {warning}"));
        }
        let numbers = benchmark.measures().filter_map(|of| {
            let value = results.figure(benchmark, of.key)?.value?;
            Some((of.key.to_owned(), value))
        });
        Ok(Some(numbers.collect()))
    }

    /// At how many steps a benchmark has answers and no numbers.
    pub(super) fn n_not_measured(&self, benchmark: Benchmark) -> usize {
        let steps = fs::read_dir(self.out.join("suite"));
        let steps = steps.into_iter().flatten().flatten();
        let folders = steps.map(|step| step.path().join(benchmark.about().argument));
        let lacks_numbers = |folder: &PathBuf| {
            folder.join("answers.log").exists() && !folder.join("results.json").exists()
        };
        folders.filter(lacks_numbers).count()
    }
}

/// The main number of a benchmark, as the terminal shows it.
pub(super) fn main_number(
    benchmark: Benchmark,
    main: &Measure,
    found: Option<&BTreeMap<String, f64>>,
) -> String {
    let name = format!("{}.{}", benchmark.key(), main.key);
    match found.map(|found| found.get(main.key)) {
        Some(Some(value)) => format!("{name} {value:.*}", main.decimals),
        Some(None) => format!("no {name}"),
        None => format!("{} not measured", benchmark.key()),
    }
}
