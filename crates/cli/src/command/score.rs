//! `candor eval score`, and what scoring has in common with `candor eval run`.

use std::path::{Path, PathBuf};

use candor_judge::benchmarks::Files;
use candor_judge::score::{self, JudgeSession};
use candor_judge::settings::Templates;
use candor_judge::{ChatJudge, Judge as _, Results, Run, Settings};

use super::compare::trained_on;
use super::results;
use crate::arguments::{BenchmarkArguments, ScoreArguments};

/// A judge with what its settings say of prompts.
pub type OpenJudge = (ChatJudge, Templates);

/// Scores answers, writes verdicts and results, and prints the table, or the results as JSON.
pub fn run(arguments: &ScoreArguments) -> anyhow::Result<()> {
    let files = files(&arguments.task, arguments.images.as_deref());
    let judge = open_judge(arguments.task.judge.as_deref(), arguments.task.seed)?;
    with_bench(judge.as_ref(), |bench| {
        score_and_show(&arguments.task, &files, &arguments.answers, bench)
    })
}

/// The files of a benchmark.
pub fn files(task: &BenchmarkArguments, images: Option<&Path>) -> Files {
    Files {
        questions: task.questions.clone(),
        references: task.references.clone(),
        context: task.context.clone(),
        synonyms: task.synonyms.clone(),
        images: images.map(Path::to_owned),
        limit: task.limit,
        truth: None,
    }
}

/// The judge that is named, if one is.
pub fn open_judge(path: Option<&Path>, seed: u64) -> anyhow::Result<Option<OpenJudge>> {
    let Some(path) = path else {
        return Ok(None);
    };
    let settings = Settings::read(path)?;
    let templates = settings.templates.clone();
    let judge = ChatJudge::open(path, settings, seed)?;
    Ok(Some((judge, templates)))
}

/// Does `work` with the judge, and says what it has cost.
pub fn with_bench(
    judge: Option<&OpenJudge>,
    work: impl FnOnce(Option<&JudgeSession<'_>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let progress = |n: usize| eprintln!("judge: {n} replies");
    let bench = judge.map(|(judge, templates)| JudgeSession {
        judge,
        templates,
        progress: &progress,
    });
    work(bench.as_ref())?;
    if let Some((judge, _)) = judge {
        let cost = judge.cost();
        eprintln!(
            "judge: {} tokens in all, {} requests sent now",
            cost.tokens.total(),
            cost.n_sent
        );
    }
    Ok(())
}

/// Scores answers, writes what is found beside the numbers of other benchmarks in the folder, and prints all of them.
pub fn score_and_show(
    task: &BenchmarkArguments,
    files: &Files,
    answers: &[PathBuf],
    bench: Option<&JudgeSession<'_>>,
) -> anyhow::Result<()> {
    let benchmark = task.benchmark;
    // Other benchmarks in the folder keep their numbers; damaged ones are told before a judge is paid.
    let mut found = Results::read(&task.out)?.unwrap_or_default();
    let (verdicts, scored) = score::score(benchmark, files, answers, bench, task.seed)?;
    found.benchmarks.insert(benchmark, scored);
    found.images = files.images.clone().or(found.images);
    let run = Run {
        verdicts: [(benchmark, verdicts)].into(),
        ..Run::default()
    };
    let images = files.images.as_deref();
    let leakage = trained_on(
        &task.training,
        std::slice::from_ref(&run),
        images,
        task.seed,
    )?;
    found.write(&task.out, &run.verdicts)?;
    results::show(&task.out, &found, leakage, task.seed, task.json)
}
