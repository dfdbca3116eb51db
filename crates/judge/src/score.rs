//! Answers of any tool scored: questions and answers in, verdicts and numbers out.
//!
//! MMHal-Bench and LLaVA-Bench need a [`Judge`]; POPE, MMBench and CHAIR are read by rules. No model runs.

mod judged;
mod pairwise;
mod ruled;

pub(crate) use judged::add_mmhal;
pub(crate) use pairwise::add_llava_bench;
pub(crate) use ruled::{add_chair, add_pope};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::atomic;
use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::agreement::{Agreement, agreement};
use crate::judge::{Cost, Identity, Judge};
use crate::leakage::Leakage;
use crate::measure::{Benchmark, Figure, Verdict, figures};
use crate::order::Order;
use crate::request::sha256;
use crate::settings;

/// What is scored, and by what.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Questions: one file, or for POPE one for each split.
    pub questions: Vec<PathBuf>,
    /// Answers, as many files as questions.
    pub answers: Vec<PathBuf>,
    /// Reference answers (LLaVA-Bench).
    pub references: Option<PathBuf>,
    /// Captions and boxes (LLaVA-Bench), or COCO captions (CHAIR).
    pub context: Option<PathBuf>,
    /// Words for kinds of objects (CHAIR).
    pub synonyms: Option<PathBuf>,
    /// Folder of pictures, for a judge that is shown them and for the page of a comparison.
    pub images: Option<PathBuf>,
}

/// A judge with its templates.
pub struct Bench<'a> {
    /// Who replies.
    pub judge: &'a dyn Judge,
    /// Template files; candor's own where none is named.
    pub templates: &'a settings::Templates,
    /// Hears how many replies are there.
    pub progress: &'a (dyn Fn(usize) + Sync),
}

/// What a judge was, for results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Who.
    pub judge: Identity,
    /// Where the template is from.
    pub template: String,
    /// SHA-256 of the template.
    pub template_sha256: String,
    /// What it has cost.
    pub cost: Cost,
    /// How far several replies to a question agree.
    pub agreement: Agreement,
    /// What exchanging two answers changes, where the judge compared them in both orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// A file by name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its path, as given.
    pub path: PathBuf,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// `results.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Which benchmark.
    pub benchmark: Benchmark,
    /// Items.
    pub n: usize,
    /// Its numbers, by key.
    pub figures: BTreeMap<String, Figure>,
    /// Ids of the items whose answer or replies could not be read by our rule.
    pub unread: Vec<String>,
    /// Items that ask the same about the same image as another.
    pub n_duplicates: usize,
    /// The judge, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// The files behind the numbers.
    pub sources: Vec<Source>,
    /// The folder of the pictures, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
    /// What of it is training data, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leakage: Option<Leakage>,
}

/// What reading and judging made of a benchmark.
struct Read {
    verdicts: Vec<Verdict>,
    unread: Vec<String>,
    judged: Option<Judged>,
}

/// Scores answers. `seed` decides the intervals.
///
/// # Errors
/// A file is missing or damaged, questions and answers do not fit together, the judge is missing, or it did
/// not reply to everything.
pub fn score(
    benchmark: Benchmark,
    files: &Files,
    bench: Option<&Bench<'_>>,
    seed: u64,
) -> Result<(Vec<Verdict>, Scored), JudgeError> {
    if files.questions.is_empty() || files.questions.len() != files.answers.len() {
        return Err(JudgeError::unfit(
            files
                .questions
                .first()
                .map_or(Path::new("--questions"), PathBuf::as_path),
            format!(
                "{} files of questions, {} of answers",
                files.questions.len(),
                files.answers.len()
            ),
            "give --questions and --answers equally often",
        ));
    }
    if files.questions.len() > 1 && benchmark != Benchmark::Pope {
        return Err(JudgeError::unfit(
            &files.questions[1],
            "only POPE has several files of questions",
            "give one file of questions and one of answers",
        ));
    }
    let read = match benchmark {
        Benchmark::Mmhal => judged::mmhal(files, needed(files, bench)?)?,
        Benchmark::LlavaBench => pairwise::llava_bench(files, needed(files, bench)?)?,
        Benchmark::Pope => ruled::pope(files)?,
        Benchmark::Mmbench => ruled::mmbench(files)?,
        Benchmark::Chair => ruled::chair(files)?,
    };
    let scored = Scored {
        benchmark,
        n: read.verdicts.len(),
        figures: figures(benchmark, &read.verdicts, seed),
        unread: read.unread,
        n_duplicates: n_duplicates(&read.verdicts),
        judged: read.judged,
        sources: sources(files)?,
        images: files.images.clone(),
        leakage: None,
    };
    Ok((read.verdicts, scored))
}

/// Writes `verdicts/<benchmark>.jsonl` and `results.json` of a run.
///
/// # Errors
/// The disk refuses.
pub fn write(out: &Path, verdicts: &[Verdict], scored: &Scored) -> Result<(), JudgeError> {
    let broken = |error: serde_json::Error| {
        JudgeError::unfit(out, error.to_string(), "choose another --out")
    };
    let mut lines = String::new();
    for verdict in verdicts {
        lines += &(serde_json::to_string(verdict).map_err(broken)? + "\n");
    }
    let name = format!("verdicts/{}.jsonl", scored.benchmark.key());
    atomic::write(&out.join(name), lines.as_bytes())?;
    let results = serde_json::to_string_pretty(scored).map_err(broken)? + "\n";
    atomic::write(&out.join("results.json"), results.as_bytes())?;
    Ok(())
}

fn needed<'a>(files: &Files, bench: Option<&'a Bench<'a>>) -> Result<&'a Bench<'a>, JudgeError> {
    bench.ok_or_else(|| {
        let remedy = "give --judge judge.toml (docs/evaluation.md shows one)";
        JudgeError::unfit(
            &files.questions[0],
            "this benchmark is scored by a judge",
            remedy,
        )
    })
}

/// The judge's part of the results.
fn judged(bench: &Bench<'_>, source: &str, sha256: String, scores: &[Vec<Option<f64>>]) -> Judged {
    Judged {
        judge: bench.judge.identity(),
        template: source.to_owned(),
        template_sha256: sha256,
        cost: bench.judge.cost(),
        agreement: agreement(scores),
        order: None,
    }
}

/// The words of an answer, as a part of [`Verdict::measures`].
fn add_words(verdict: &mut Verdict) {
    let n = verdict.answer.split_whitespace().count();
    verdict.add("words", n as f64, 1.0);
}

fn n_duplicates(verdicts: &[Verdict]) -> usize {
    let asked = |verdict: &Verdict| {
        (
            verdict.image.clone(),
            verdict.group.clone(),
            verdict.question.clone(),
        )
    };
    let distinct: std::collections::HashSet<_> = verdicts.iter().map(asked).collect();
    verdicts.len() - distinct.len()
}

fn sources(files: &Files) -> Result<Vec<Source>, JudgeError> {
    let more = [&files.references, &files.context, &files.synonyms];
    let paths = files
        .questions
        .iter()
        .chain(&files.answers)
        .chain(more.into_iter().flatten());
    let source = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|source| JudgeError::Io {
            action: "read",
            path: path.clone(),
            remedy: "check the path and that you may read it",
            source,
        })?;
        Ok(Source {
            path: path.clone(),
            sha256: sha256(&text),
        })
    };
    paths.map(source).collect()
}
