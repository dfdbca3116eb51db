//! `candor eval score`, and what scoring has in common with `candor eval run`.

use std::path::{Path, PathBuf};

use candor_judge::exam::Files;
use candor_judge::score::{self, Bench};
use candor_judge::settings::Templates;
use candor_judge::{ChatJudge, Judge as _, Results, Run, Settings};

use super::compare::trained_on;
use super::results;
use crate::arguments::{ExamArguments, ScoreArguments};

/// A judge with what its settings say of prompts.
pub type OpenJudge = (ChatJudge, Templates);

/// Scores answers, writes verdicts and results, and prints the table, or the results as JSON.
pub fn run(arguments: &ScoreArguments) -> anyhow::Result<()> {
    let files = files(&arguments.exam, arguments.images.as_deref());
    let judge = open_judge(&arguments.exam)?;
    with_bench(judge.as_ref(), |bench| {
        score_and_show(&arguments.exam, &files, &arguments.answers, bench)
    })
}

/// The files of a benchmark.
pub fn files(exam: &ExamArguments, images: Option<&Path>) -> Files {
    Files {
        questions: exam.questions.clone(),
        references: exam.references.clone(),
        context: exam.context.clone(),
        synonyms: exam.synonyms.clone(),
        images: images.map(Path::to_owned),
        limit: exam.limit,
        truth: None,
    }
}

/// The judge that is named, if one is.
pub fn open_judge(exam: &ExamArguments) -> anyhow::Result<Option<OpenJudge>> {
    let Some(path) = &exam.judge else {
        return Ok(None);
    };
    let settings = Settings::read(path)?;
    let templates = settings.templates.clone();
    let judge = ChatJudge::open(path, settings, exam.seed)?;
    Ok(Some((judge, templates)))
}

/// Does `work` with the judge, and says what it has cost.
pub fn with_bench(
    judge: Option<&OpenJudge>,
    work: impl FnOnce(Option<&Bench<'_>>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let progress = |n: usize| eprintln!("judge: {n} replies");
    let bench = judge.map(|(judge, templates)| Bench {
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

/// Scores answers, writes what is found, and prints it.
pub fn score_and_show(
    exam: &ExamArguments,
    files: &Files,
    answers: &[PathBuf],
    bench: Option<&Bench<'_>>,
) -> anyhow::Result<()> {
    let benchmark = exam.benchmark;
    let (verdicts, scored) = score::score(benchmark, files, answers, bench, exam.seed)?;
    let found = Results {
        benchmarks: [(benchmark, scored)].into(),
        images: files.images.clone(),
    };
    let run = Run {
        verdicts: [(benchmark, verdicts)].into(),
        ..Run::default()
    };
    let images = files.images.as_deref();
    let leakage = trained_on(
        &exam.training,
        std::slice::from_ref(&run),
        images,
        exam.seed,
    )?;
    found.write(&exam.out, &run.verdicts)?;
    results::show(&exam.out, &found, leakage, exam.seed, exam.json)
}
