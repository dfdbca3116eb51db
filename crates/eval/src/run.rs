//! An evaluation: read all questions → encode each image once → answer → judge → score → write.
//!
//! The files of the folder `out`: `answers/<benchmark>.jsonl`, written as soon as a benchmark is answered;
//! `verdicts/<benchmark>.jsonl`; `results.json`, written last; `resolved.toml`. They hold nothing that
//! differs between two runs of the same recipe on the same machine.

use std::path::Path;
use std::rc::Rc;

use candor_data::atomic;
use candor_judge::measure;
use candor_judge::warnings::warnings;
use candor_model::{Adapter, Bundle, ImageFeatures, peft};
use candor_train::Progress;
use serde::Serialize;
use tch::Device;

use crate::answer::{Answer, Ask, Speaker};
use crate::tasks::{ChairTask, LlavaBenchTask, MmhalTask, PopeTask, Task};
use crate::truth::Truth;
use crate::verdicts::AnswerLine;
use crate::{Benchmark, EvalError, EvalRecipe, Results};

/// Opens the recipe's model and evaluates it.
///
/// # Errors
/// As [`evaluate`], or the model or its adapter cannot be opened.
pub fn run(recipe: &EvalRecipe, device: Device) -> Result<Results, EvalError> {
    let (model, adapter) = peft::with_base(&recipe.model, recipe.adapter.as_deref())?;
    let bundle = Bundle::open(&model, device, recipe.base_precision)?;
    let adapter = adapter
        .map(|folder| Adapter::open(&folder, &bundle.model))
        .transpose()?;
    evaluate(recipe, &bundle, adapter.as_ref())
}

/// Evaluates a model that is already open; the recipe's own model folder is not looked at.
///
/// # Errors
/// A benchmark's file, an image or the ground truth is missing or damaged, a question is too long for the
/// model, or the results cannot be written.
pub fn evaluate(
    recipe: &EvalRecipe,
    bundle: &Bundle,
    adapter: Option<&Adapter>,
) -> Result<Results, EvalError> {
    check_room(recipe, bundle)?;
    let benchmarks = Benchmarks::read(recipe)?;
    let asks = benchmarks.asks();
    let mut progress = Progress::new("eval", asks.len() as u64, 0);
    let images = asks.into_iter().map(|ask| ask.image);
    let counter = progress.counter("encoding images");
    let features = ImageFeatures::encode(bundle, &recipe.images, images, counter)?;
    let speaker = Speaker {
        bundle,
        adapter,
        features: &features,
        batch_rows: recipe.batch_rows,
        max_new_tokens: recipe.max_new_tokens,
    };
    let mut examination = Examination {
        recipe,
        speaker,
        progress,
        n_answered: 0,
        free_tokens: (0, 0),
        results: Results::default(),
    };
    discard(&recipe.out.join("results.json"))?;
    let resolved = recipe.resolved.to_text();
    atomic::write(&recipe.out.join("resolved.toml"), resolved.as_bytes())?;
    examination.results.mmhal = examination.take(benchmarks.mmhal.as_ref())?;
    examination.results.pope = examination.take(benchmarks.pope.as_ref())?;
    examination.results.chair = examination.take(benchmarks.chair.as_ref())?;
    examination.results.llava_bench = examination.take(benchmarks.llava_bench.as_ref())?;
    examination.finish()
}

/// Removes the numbers of an earlier run, which would contradict new answers if this run were interrupted.
pub(crate) fn discard(path: &Path) -> Result<(), EvalError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(EvalError::Unfit {
            path: path.to_owned(),
            problem: format!("cannot be replaced: {error}"),
            remedy: "choose another run.out, or check that you may write there",
        }),
        _ => Ok(()),
    }
}

/// Whether an answer of the full length leaves room for a question.
fn check_room(recipe: &EvalRecipe, bundle: &Bundle) -> Result<(), EvalError> {
    let config = bundle.model.config();
    let positions = config.n_positions();
    let taken = recipe.max_new_tokens + config.n_image_tokens();
    if taken < positions {
        return Ok(());
    }
    Err(EvalError::Unfit {
        path: recipe.model.clone(),
        problem: format!(
            "the model has {positions} positions, but an image and answers.max_new_tokens = {} take {taken}",
            recipe.max_new_tokens
        ),
        remedy: "lower answers.max_new_tokens",
    })
}

/// The benchmarks that the recipe asks for.
pub(crate) struct Benchmarks {
    mmhal: Option<MmhalTask>,
    pope: Option<PopeTask>,
    chair: Option<ChairTask>,
    llava_bench: Option<LlavaBenchTask>,
}

impl Benchmarks {
    /// Reads every file before the first answer, so that a damaged one costs nobody an hour.
    pub(crate) fn read(recipe: &EvalRecipe) -> Result<Self, EvalError> {
        let folder = recipe.data.join("eval");
        let wanted = |benchmark| recipe.benchmarks.contains(&benchmark);
        let mut all = Self {
            mmhal: None,
            pope: None,
            chair: None,
            llava_bench: None,
        };
        if wanted(Benchmark::Pope) {
            all.pope = Some(PopeTask::read(
                |split| recipe.pope_file(split),
                &recipe.pope_suffix,
            )?);
        }
        if recipe.benchmarks.iter().all(|&b| b == Benchmark::Pope) {
            return Ok(all);
        }
        let truth = Rc::new(Truth::read(&recipe.data)?);
        if wanted(Benchmark::Mmhal) {
            all.mmhal = Some(MmhalTask::read(&folder, Rc::clone(&truth))?);
        }
        if wanted(Benchmark::Chair) {
            let question = &recipe.chair_question;
            all.chair = Some(ChairTask::read(&folder, question, Rc::clone(&truth))?);
        }
        if wanted(Benchmark::LlavaBench) {
            all.llava_bench = Some(LlavaBenchTask::read(&folder, truth)?);
        }
        Ok(all)
    }

    /// The questions of all benchmarks.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        let mut asks = Vec::new();
        asks.extend(self.mmhal.iter().flat_map(Task::asks));
        asks.extend(self.pope.iter().flat_map(Task::asks));
        asks.extend(self.chair.iter().flat_map(Task::asks));
        asks.extend(self.llava_bench.iter().flat_map(Task::asks));
        asks
    }
}

/// An evaluation in progress.
struct Examination<'a> {
    recipe: &'a EvalRecipe,
    speaker: Speaker<'a>,
    progress: Progress,
    n_answered: usize,
    /// Tokens and number of the free answers so far.
    free_tokens: (usize, usize),
    results: Results,
}

impl Examination<'_> {
    /// Answers, judges and scores one benchmark.
    fn take<T: Task>(&mut self, task: Option<&T>) -> Result<Option<T::Scores>, EvalError> {
        let Some(task) = task else { return Ok(None) };
        let name = T::BENCHMARK.name();
        self.progress.doing(&format!("answering {name}"));
        let asks = task.asks();
        let (before, progress) = (self.n_answered, &mut self.progress);
        let answers = self
            .speaker
            .answer(&asks, |n| progress.step((before + n) as u64, &[]))?;
        self.n_answered += answers.len();
        self.count_tokens(T::BENCHMARK, &answers);
        self.results.warnings.extend(warned(T::BENCHMARK, &answers));
        let file = |folder: &str| self.recipe.out.join(folder).join(format!("{name}.jsonl"));
        write_lines(&file("answers"), &answer_lines(&asks, &answers))?;
        self.progress.doing(&format!("judging {name}"));
        let (verdicts, scores) = task.judge(&answers, self.recipe.seed)?;
        write_lines(&file("verdicts"), &verdicts)?;
        Ok(Some(scores))
    }

    fn count_tokens(&mut self, benchmark: Benchmark, answers: &[Answer]) {
        let n_tokens: usize = answers.iter().map(|answer| answer.n_tokens).sum();
        let mean = n_tokens as f64 / answers.len().max(1) as f64;
        let name = benchmark.name().to_owned();
        self.results.response_tokens.insert(name, mean);
        self.results.n_cut += answers.iter().filter(|answer| !answer.finished).count();
        if benchmark != Benchmark::Pope {
            self.free_tokens.0 += n_tokens;
            self.free_tokens.1 += answers.len();
        }
    }

    fn finish(mut self) -> Result<Results, EvalError> {
        let (n_tokens, n_answers) = self.free_tokens;
        self.results.mean_response_tokens =
            (n_answers > 0).then(|| n_tokens as f64 / n_answers as f64);
        let path = self.recipe.out.join("results.json");
        let json = serde_json::to_string_pretty(&self.results).map_err(unwritable(&path))?;
        atomic::write(&path, (json + "\n").as_bytes())?;
        self.progress
            .finish(&format!("results are in {}", self.recipe.out.display()));
        Ok(self.results)
    }
}

/// What makes the numbers of a benchmark meaningless. The exact judge reads every answer; POPE's rule does not.
fn warned(benchmark: Benchmark, answers: &[Answer]) -> Vec<String> {
    let texts: Vec<&str> = answers.iter().map(|answer| answer.text.as_str()).collect();
    let neither = |text: &&&str| crate::pope::read(text).neither;
    let (of, n_unread) = match benchmark {
        Benchmark::Mmhal => (measure::Benchmark::Mmhal, 0),
        Benchmark::Pope => (
            measure::Benchmark::Pope,
            texts.iter().filter(neither).count(),
        ),
        Benchmark::Chair => (measure::Benchmark::Chair, 0),
        Benchmark::LlavaBench => (measure::Benchmark::LlavaBench, 0),
    };
    warnings(of, &texts, n_unread)
}

fn answer_lines(asks: &[Ask], answers: &[Answer]) -> Vec<AnswerLine> {
    let line = |(ask, answer): (&Ask, &Answer)| AnswerLine {
        id: ask.id.clone(),
        image: ask.image.clone(),
        question: ask.text.clone(),
        answer: answer.text.clone(),
        n_tokens: answer.n_tokens,
        finished: answer.finished,
    };
    asks.iter().zip(answers).map(line).collect()
}

fn write_lines<T: Serialize>(path: &Path, lines: &[T]) -> Result<(), EvalError> {
    let mut text = String::new();
    for line in lines {
        text += &serde_json::to_string(line).map_err(unwritable(path))?;
        text.push('\n');
    }
    Ok(atomic::write(path, text.as_bytes())?)
}

fn unwritable(path: &Path) -> impl FnOnce(serde_json::Error) -> EvalError {
    move |error| EvalError::Unfit {
        path: path.to_owned(),
        problem: error.to_string(),
        remedy: "report this: every line is made of plain fields",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_of_every_benchmark() {
        let silent = vec![Answer::default(); 3];
        for (benchmark, expected) in [
            (
                Benchmark::Pope,
                "POPE: 3 of 3 answers are empty, and count as yes by its rule",
            ),
            (Benchmark::Mmhal, "MMHal-Bench: 3 of 3 answers are empty"),
            (Benchmark::Chair, "CHAIR: 3 of 3 answers are empty"),
            (
                Benchmark::LlavaBench,
                "LLaVA-Bench: 3 of 3 answers are empty",
            ),
        ] {
            assert_eq!(warned(benchmark, &silent), [expected]);
        }
    }
}
