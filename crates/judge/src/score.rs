//! Answers of any tool scored: questions and answers in, verdicts and numbers out.
//!
//! What is scored is a [`Task`], whichever benchmark it is; where it asks a judge, a [`Judge`] replies. No model runs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candor_data::formats::answers::{self, Answer};
use candor_data::formats::images;
use candor_data::sha256;

use crate::benchmark::Benchmark;
use crate::benchmarks::{Files, ItemScore, Task};
use crate::figures::figures;
use crate::judge::Judge;
use crate::matching::{matched, matched_some};
use crate::order::{self, InOrders, Marks};
use crate::results::{Judged, Scored, Source};
use crate::template::Templates;
use crate::verdict::Verdict;
use crate::warnings::{self, is_empty};
use crate::{JudgeError, Request, settings};
use candor_stats::repeatability::agreement;

/// A judge with its templates.
pub struct JudgeSession<'a> {
    /// Who replies.
    pub judge: &'a dyn Judge,
    /// Template files; candor's own where none is named.
    pub templates: &'a settings::Templates,
    /// Hears how many replies are there.
    pub progress: &'a (dyn Fn(usize) + Sync),
}

/// Scores answers, `answers` being a file for each file of questions. `seed` decides the intervals.
///
/// # Errors
/// A file is missing or damaged, questions and answers do not fit together, the judge is missing, or it did
/// not reply to everything.
pub fn score(
    benchmark: Benchmark,
    files: &Files,
    answers: &[PathBuf],
    session: Option<&JudgeSession<'_>>,
    seed: u64,
) -> Result<(Vec<Verdict>, Scored), JudgeError> {
    if files.questions.len() != answers.len() {
        let first = files.questions.first().or(answers.first());
        return Err(JudgeError::unfit(
            first.map_or(Path::new("--questions"), PathBuf::as_path),
            format!(
                "{} files of questions, {} of answers",
                files.questions.len(),
                answers.len()
            ),
            "give --questions and --answers equally often",
        ));
    }
    let templates = session.map(|session| session.templates.clone());
    let task = benchmark.open(files, &templates.unwrap_or_default())?;
    let answered = answered(&*task, answers)?;
    let replies = replies(&*task, files, &answered, session)?;
    let marks = marks(&*task, &answered, replies)?;
    let (mut readings, mut pairs) = (Vec::new(), Vec::new());
    let verdicts = marks.into_iter().map(|mark| {
        readings.extend(mark.scores);
        pairs.extend(mark.marks);
        mark.verdict
    });
    let verdicts: Vec<Verdict> = verdicts.collect();
    let templates = task
        .templates()
        .filter(|_| readings.iter().any(|of| !of.is_empty()));
    let unparsed = verdicts.iter().filter(|v| benchmark.outcome(v).unparsed);
    let scored = Scored {
        n: verdicts.len(),
        limit: files.limit,
        figures: figures(benchmark, &verdicts, seed),
        unparsed: unparsed.map(|verdict| verdict.id.clone()).collect(),
        n_empty: verdicts.iter().filter(|v| is_empty(&v.answer)).count(),
        warnings: warnings::of_verdicts(benchmark, &verdicts),
        n_duplicates: n_duplicates(&verdicts),
        by_truth: verdicts.iter().any(|verdict| verdict.finding.is_some()),
        judged: session
            .zip(templates)
            .map(|(session, templates)| judged(session, templates, &readings, &pairs)),
        sources: sources(files, answers)?,
    };
    Ok((verdicts, scored))
}

/// What answers are worth that no judge is asked about, each with the place of its question: by rule, or by the truth.
///
/// # Errors
/// A question has no true answer, or nothing is known of its image.
pub fn verdicts(task: &dyn Task, answered: &[(usize, Answer)]) -> Result<Vec<Verdict>, JudgeError> {
    let marks = marks(task, answered, HashMap::new())?.into_iter();
    Ok(marks.map(|mark| mark.verdict).collect())
}

fn marks(
    task: &dyn Task,
    answered: &[(usize, Answer)],
    mut replies: HashMap<usize, InOrders<String>>,
) -> Result<Vec<ItemScore>, JudgeError> {
    let mark = |(at, (item, answer)): (usize, &(usize, Answer))| {
        let mut mark = task.mark(*item, answer, replies.remove(&at).unwrap_or_default())?;
        mark.verdict.add_length(answer);
        Ok(mark)
    };
    let mut marks: Vec<ItemScore> = answered
        .iter()
        .enumerate()
        .map(mark)
        .collect::<Result<_, JudgeError>>()?;
    let mut verdicts: Vec<&mut Verdict> = marks.iter_mut().map(|mark| &mut mark.verdict).collect();
    task.conclude(&mut verdicts);
    Ok(marks)
}

/// Each answer with the place of its question; in the order of the questions where all are answered.
fn answered(task: &dyn Task, files: &[PathBuf]) -> Result<Vec<(usize, Answer)>, JudgeError> {
    let (mut all, mut start) = (Vec::new(), 0);
    for (file, path) in files.iter().enumerate() {
        let rest = &task.items()[start..];
        let n = rest.iter().take_while(|item| item.file == file).count();
        let answers = answers::read(path)?;
        let found: Vec<(usize, &Answer)> = if task.takes_some() {
            matched_some(path, &rest[..n], &answers)?
        } else {
            let found = matched(path, &rest[..n], &answers)?;
            found.into_iter().enumerate().collect()
        };
        all.extend(found.into_iter().map(|(at, a)| (start + at, a.clone())));
        start += n;
    }
    Ok(all)
}

/// The replies to the answers that a judge is asked about, by their places.
fn replies(
    task: &dyn Task,
    files: &Files,
    answered: &[(usize, Answer)],
    session: Option<&JudgeSession<'_>>,
) -> Result<HashMap<usize, InOrders<String>>, JudgeError> {
    let (mut places, mut asked) = (Vec::new(), Vec::new());
    for (at, (item, answer)) in answered.iter().enumerate() {
        let Some(session) = session else {
            if task.request(*item, &answer.text)?.is_none() {
                continue;
            }
            let remedy = "give --judge judge.toml (docs/evaluation.md shows one), or let people compare the answers of two \
                          models (candor eval compare --annotate)";
            let problem = "this benchmark is scored by a judge";
            return Err(JudgeError::unfit(&files.questions[0], problem, remedy));
        };
        for request in requests(task, files, *item, &answer.text, session.judge)? {
            places.push(at);
            asked.push(request);
        }
    }
    let mut all: HashMap<usize, InOrders<String>> = HashMap::new();
    if let (Some(session), false) = (session, asked.is_empty()) {
        let replies = session.judge.replies(&asked, session.progress)?;
        for (at, replies) in places.into_iter().zip(replies) {
            let of_item = all.entry(at).or_default();
            let order = if of_item.usual.is_empty() {
                &mut of_item.usual
            } else {
                &mut of_item.exchanged
            };
            order.extend(replies.into_iter().map(|reply| reply.text));
        }
    }
    Ok(all)
}

/// What a judge is asked about an answer: nothing, one request, or one for each order of two answers; with the image,
/// where it is shown images.
///
/// # Errors
/// What the judge is to be told is missing, the folder of images is not known, or the image's name leads out of it.
pub fn requests(
    task: &dyn Task,
    files: &Files,
    item: usize,
    answer: &str,
    judge: &dyn Judge,
) -> Result<Vec<Request>, JudgeError> {
    let exchanged = if judge.identity().swap {
        task.exchanged(item, answer)?
    } else {
        None
    };
    let both = task.request(item, answer)?.into_iter().chain(exchanged);
    both.map(|request| illustrated(request, task, files, item, judge))
        .collect()
}

/// The request with the image of its item, where the judge is shown images.
fn illustrated(
    mut request: Request,
    task: &dyn Task,
    files: &Files,
    item: usize,
    judge: &dyn Judge,
) -> Result<Request, JudgeError> {
    if !judge.identity().images {
        return Ok(request);
    }
    let unfit = |problem: String, remedy: &'static str| {
        JudgeError::unfit(&files.questions[0], problem, remedy)
    };
    let Some(folder) = &files.images else {
        let problem = "the judge is to see the images".to_owned();
        let remedy = "give --images FOLDER, or set request.images = false";
        return Err(unfit(problem, remedy));
    };
    let name = &task.items()[item].image;
    let path = images::path_in(folder, name).ok_or_else(|| {
        let problem = format!("{name:?} leads out of {}", folder.display());
        let remedy = "name the image relative to the image folder, without `..`";
        unfit(problem, remedy)
    })?;
    request.images.push(path);
    Ok(request)
}

/// The judge's part of the results.
fn judged(
    session: &JudgeSession<'_>,
    templates: &Templates,
    scores: &[Vec<Option<f64>>],
    marks: &[Marks],
) -> Judged {
    Judged {
        judge: session.judge.identity(),
        template: templates.source().to_owned(),
        template_sha256: templates.sha256(),
        cost: session.judge.cost(),
        agreement: agreement(scores),
        order: order::changes(marks),
    }
}

fn n_duplicates(verdicts: &[Verdict]) -> usize {
    let asked = |verdict: &Verdict| {
        (
            verdict.file_name().to_owned(),
            verdict.group.clone(),
            verdict.question.clone(),
        )
    };
    let distinct: std::collections::HashSet<_> = verdicts.iter().map(asked).collect();
    verdicts.len() - distinct.len()
}

fn sources(files: &Files, answers: &[PathBuf]) -> Result<Vec<Source>, JudgeError> {
    let more = [&files.references, &files.context, &files.synonyms];
    let paths = files
        .questions
        .iter()
        .chain(answers)
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
            sha256: sha256::of(&text),
        })
    };
    paths.map(source).collect()
}
