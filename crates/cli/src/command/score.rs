//! `candor eval score`

use candor_judge::compare::{Run, compare};
use candor_judge::measure::Benchmark;
use candor_judge::score::{self, Bench, Files, Scored};
use candor_judge::{ChatJudge, Judge as _, Settings};

use super::compare::trained_on;
use crate::arguments::{BenchmarkName, ScoreArguments};

impl From<BenchmarkName> for Benchmark {
    fn from(name: BenchmarkName) -> Self {
        match name {
            BenchmarkName::Mmhal => Self::Mmhal,
            BenchmarkName::Pope => Self::Pope,
            BenchmarkName::LlavaBench => Self::LlavaBench,
            BenchmarkName::Mmbench => Self::Mmbench,
            BenchmarkName::Chair => Self::Chair,
        }
    }
}

/// Scores answers, writes verdicts and results, and prints the table, or the results as JSON.
pub fn run(arguments: &ScoreArguments) -> anyhow::Result<()> {
    let files = Files {
        questions: arguments.questions.clone(),
        answers: arguments.answers.clone(),
        references: arguments.references.clone(),
        context: arguments.context.clone(),
        synonyms: arguments.synonyms.clone(),
        images: arguments.images.clone(),
    };
    let judge = match &arguments.judge {
        None => None,
        Some(path) => {
            let settings = Settings::read(path)?;
            let templates = settings.templates.clone();
            Some((ChatJudge::open(path, settings, arguments.seed)?, templates))
        }
    };
    let progress = |n: usize| eprintln!("judge: {n} replies");
    let bench = judge.as_ref().map(|(judge, templates)| Bench {
        judge,
        templates,
        progress: &progress,
    });
    let benchmark = arguments.benchmark.into();
    let (verdicts, mut scored) = score::score(benchmark, &files, bench.as_ref(), arguments.seed)?;
    let run = Run {
        verdicts: [(benchmark, verdicts.clone())].into(),
        ..Run::default()
    };
    let images = arguments.images.as_deref();
    scored.leakage = trained_on(&arguments.training, &[run], images, arguments.seed)?;
    score::write(&arguments.out, &verdicts, &scored)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&scored)?);
    } else {
        let mut shown = compare(&[Run::open(&arguments.out)?], arguments.seed);
        shown.leakage.clone_from(&scored.leakage);
        print!("{}{}", shown.table(), remarks(&scored));
    }
    if let Some((judge, _)) = &judge {
        let cost = judge.cost();
        eprintln!(
            "judge: {} tokens in all, {} requests sent now",
            cost.tokens.total(),
            cost.n_sent
        );
    }
    Ok(())
}

/// What the numbers alone do not say.
fn remarks(scored: &Scored) -> String {
    let mut lines = Vec::new();
    if !scored.unread.is_empty() {
        let shown: Vec<&str> = scored.unread.iter().take(20).map(String::as_str).collect();
        let n = scored.unread.len();
        lines.push(format!("not read: {n} items ({} …)\n", shown.join(", ")));
    }
    if scored.n_duplicates > 0 {
        let n = scored.n_duplicates;
        lines.push(format!(
            "{n} items ask the same of the same image as another\n"
        ));
    }
    if let Some(judged) = &scored.judged {
        lines.push(format!(
            "judge: {} at {}, template {} (SHA-256 {})\n",
            judged.judge.model, judged.judge.endpoint, judged.template, judged.template_sha256
        ));
        lines.extend(judged.agreement.equal.map(|equal| {
            let percent = 100.0 * equal;
            format!("replies to the same question agree in {percent:.1}% of their pairs\n")
        }));
        lines.extend(judged.order.and_then(|order| order.changed).map(|changed| {
            let percent = 100.0 * changed;
            format!("{percent:.1}% of the verdicts change when the two answers are exchanged\n")
        }));
    }
    lines.concat()
}
