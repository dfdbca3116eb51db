//! `candor eval score`, and what scoring has in common with `candor eval run`.

use std::path::{Path, PathBuf};

use candor_judge::compare::{Run, compare};
use candor_judge::exam::Files;
use candor_judge::measure::Benchmark;
use candor_judge::score::{self, Bench, Scored};
use candor_judge::settings::Templates;
use candor_judge::{ChatJudge, Judge as _, Settings};

use super::compare::trained_on;
use super::evaluate::warn;
use crate::arguments::{BenchmarkName, ExamArguments, ScoreArguments};

impl From<BenchmarkName> for Benchmark {
    fn from(name: BenchmarkName) -> Self {
        match name {
            BenchmarkName::Mmhal => Self::Mmhal,
            BenchmarkName::Pope => Self::Pope,
            BenchmarkName::LlavaBench => Self::LlavaBench,
            BenchmarkName::Mmbench => Self::Mmbench,
            BenchmarkName::Chair => Self::Chair,
            BenchmarkName::Own => Self::Own,
        }
    }
}

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
    let benchmark = exam.benchmark.into();
    let (verdicts, mut scored) = score::score(benchmark, files, answers, bench, exam.seed)?;
    let run = Run {
        verdicts: [(benchmark, verdicts.clone())].into(),
        ..Run::default()
    };
    let images = files.images.as_deref();
    scored.leakage = trained_on(&exam.training, &[run], images, exam.seed)?;
    score::write(&exam.out, &verdicts, &scored)?;
    warn(&scored.warnings);
    if exam.json {
        println!("{}", serde_json::to_string_pretty(&scored)?);
        return Ok(());
    }
    let mut shown = compare(&[Run::open(&exam.out)?], exam.seed);
    shown.leakage.clone_from(&scored.leakage);
    print!("{}{}", shown.table(), remarks(&scored));
    Ok(())
}

/// What the numbers alone do not say.
fn remarks(scored: &Scored) -> String {
    let mut lines = Vec::new();
    if let Some(limit) = scored.limit {
        lines.push(format!(
            "only the first {limit} questions of each file: no number of the benchmark"
        ));
    }
    if !scored.unread.is_empty() {
        let shown: Vec<&str> = scored.unread.iter().take(20).map(String::as_str).collect();
        let n = scored.unread.len();
        lines.push(format!("not read: {n} items ({} …)", shown.join(", ")));
    }
    if scored.n_duplicates > 0 {
        let n = scored.n_duplicates;
        lines.push(format!(
            "{n} items ask the same of the same image as another"
        ));
    }
    if let Some(judged) = &scored.judged {
        lines.push(format!(
            "judge: {} at {}, template {} (SHA-256 {})",
            judged.judge.model, judged.judge.endpoint, judged.template, judged.template_sha256
        ));
        if let Some(equal) = judged.agreement.equal {
            let share = 100.0 * equal;
            lines.push(format!(
                "replies to the same question agree in {share:.1}% of their pairs"
            ));
        }
        if let Some(changed) = judged.order.and_then(|order| order.changed) {
            let share = 100.0 * changed;
            lines.push(format!(
                "{share:.1}% of the verdicts change when the two answers are exchanged"
            ));
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}
