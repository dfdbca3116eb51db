//! People's ratings of single answers, from 0 to 6 as MMHal-Bench rates, and how far they agree with each other and with the judge.
//!
//! An answer's score is the mean of its ratings, and it counts as hallucinated by the share of ratings below 3; where an adjudicator
//! decided, that rating stands alone. Both are averaged over answers, with the bootstrap over images. Agreement of people is
//! Krippendorff's alpha of everybody's ratings, decided or not. The judge is compared on the answers of MMHal-Bench of which it has a
//! rating by candor's own rule: `score` of their verdicts, and `hallucination`. That an answer hallucinates is what more than half of its
//! ratings say; one half is not more.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use candor_data::formats::ratings::{self, RatedItem, hallucinates};
use candor_stats::agreement::{Unit, cohen, krippendorff, krippendorff_interval};
use candor_stats::bootstrap::{self, Interval, ratio};
use candor_stats::correlation::correlation;
use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::benchmark::Benchmark;
use crate::run::Run;
use crate::verdict::Verdict;

/// A number with its 95% interval over images.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Estimate {
    /// The number; `None` where it is not defined.
    pub value: Option<f64>,
    /// Its interval.
    pub ci95: Option<Interval>,
}

/// What people say of all runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ratings {
    /// Run by run.
    pub runs: Vec<RatedRun>,
    /// Krippendorff's alpha of people's ratings as numbers.
    pub alpha: Estimate,
    /// Krippendorff's alpha of whether people say that the answer hallucinates.
    pub alpha_hallucinated: Estimate,
    /// Free answers of the runs that nobody has rated, or not everybody who should.
    pub n_open: usize,
    /// People beside the judge; `None` where it rated none of these answers.
    pub judge: Option<BesideJudge>,
}

/// What people say of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RatedRun {
    /// Its name.
    pub run: String,
    /// Answers that are rated.
    pub n_items: usize,
    /// Ratings of them.
    pub n_ratings: usize,
    /// Mean score, 0 to 6.
    pub score: Estimate,
    /// Share that hallucinates.
    pub hallucination: Estimate,
}

/// People's scores beside the judge's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BesideJudge {
    /// Answers of which there are both.
    pub n: usize,
    /// The judge's score less people's, on average.
    pub difference: Estimate,
    /// Pearson's correlation.
    pub pearson: Estimate,
    /// Spearman's.
    pub spearman: Estimate,
    /// Cohen's kappa of whether the answer hallucinates by more than half of the ratings.
    pub kappa: Estimate,
}

/// An answer of a run that people are asked about.
pub(super) struct Asked<'a> {
    pub(super) name: String,
    pub(super) verdict: &'a Verdict,
    run: usize,
    benchmark: Benchmark,
}

/// The free answers of all runs. `path` names the mistake if two runs have one name.
pub(super) fn asked<'a>(runs: &'a [Run], path: &Path) -> Result<Vec<Asked<'a>>, JudgeError> {
    let names: BTreeSet<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    if names.len() < runs.len() {
        let remedy = "rename a folder: ratings come back under the names of the runs";
        return Err(JudgeError::unfit(
            path,
            "two runs have the same name",
            remedy,
        ));
    }
    let mut all = Vec::new();
    for (number, run) in runs.iter().enumerate() {
        for &benchmark in Benchmark::ALL.iter().filter(|of| of.about().is_free) {
            let verdicts = run.verdicts.get(&benchmark).into_iter().flatten();
            all.extend(verdicts.map(|verdict| Asked {
                name: format!("{}/{}/{}", run.name, benchmark.key(), verdict.id),
                verdict,
                run: number,
                benchmark,
            }));
        }
    }
    Ok(all)
}

/// An answer with its ratings.
struct Row<'a> {
    run: usize,
    image: &'a str,
    counted: Vec<u8>,
    given: Unit,
    hallucinated: Unit,
    /// The judge's score, and the share of its ratings that say that it hallucinates.
    judge: Option<[f64; 2]>,
}

impl Row<'_> {
    /// The mean of the ratings that count; a file without any is refused when it is read.
    fn score(&self) -> f64 {
        let sum: f64 = self.counted.iter().copied().map(f64::from).sum();
        sum / self.counted.len() as f64
    }

    /// The share of the ratings that count that say that it hallucinates.
    fn hallucination(&self) -> f64 {
        let n = self.counted.iter().filter(|&&rating| hallucinates(rating));
        n.count() as f64 / self.counted.len() as f64
    }
}

impl Ratings {
    /// Reads what people said. `seed` decides intervals.
    ///
    /// # Errors
    /// The file is none of ratings, or a row of it is about another item or another answer than those of the runs.
    pub fn read(path: &Path, runs: &[Run], seed: u64) -> Result<Self, JudgeError> {
        let asked = asked(runs, path)?;
        let by_name: HashMap<&str, &Asked<'_>> = asked
            .iter()
            .map(|item| (item.name.as_str(), item))
            .collect();
        let mut rows = Vec::new();
        for rated in ratings::read(path)? {
            let foreign = |problem: &str| {
                let remedy = "name the runs that --rate had, and the export of that project";
                JudgeError::unfit(path, format!("row {:?} {problem}", rated.id), remedy)
            };
            let item = by_name
                .get(rated.id.as_str())
                .ok_or_else(|| foreign("is no answer of the runs"))?;
            if rated.answer != item.verdict.answer {
                return Err(foreign("is about another answer than that of the run"));
            }
            rows.push(row(item, &rated));
        }
        let all: Vec<&Row<'_>> = rows.iter().collect();
        let [alpha, alpha_hallucinated] = estimates(&all, seed, |rows| {
            let given: Vec<&Unit> = rows.iter().map(|row| &row.given).collect();
            let halves: Vec<&Unit> = rows.iter().map(|row| &row.hallucinated).collect();
            [krippendorff_interval(&given), krippendorff::<2>(&halves)]
        });
        let runs = runs.iter().enumerate();
        Ok(Self {
            runs: runs
                .map(|(number, run)| rated_run(&run.name, number, &rows, seed))
                .collect(),
            alpha,
            alpha_hallucinated,
            n_open: asked.len() - rows.len(),
            judge: beside_judge(&rows, seed),
        })
    }
}

fn row<'a>(item: &Asked<'a>, rated: &RatedItem) -> Row<'a> {
    let given = || rated.ratings.iter().map(|given| given.rating);
    let judged = |key: &str| {
        let [part, whole] = item.verdict.part(key);
        ratio(part, whole).filter(|_| item.benchmark == Benchmark::Mmhal)
    };
    Row {
        run: item.run,
        image: &item.verdict.image,
        counted: rated.counted(),
        given: given().map(usize::from).collect(),
        hallucinated: given()
            .map(|rating| usize::from(hallucinates(rating)))
            .collect(),
        judge: judged("score")
            .zip(judged("hallucination"))
            .map(|(score, share)| [score, share]),
    }
}

fn rated_run(name: &str, number: usize, rows: &[Row<'_>], seed: u64) -> RatedRun {
    let of_run: Vec<&Row<'_>> = rows.iter().filter(|row| row.run == number).collect();
    let [score, hallucination] = estimates(&of_run, seed, |rows| {
        let n = rows.len() as f64;
        let score: f64 = rows.iter().map(|row| row.score()).sum();
        let hallucination: f64 = rows.iter().map(|row| row.hallucination()).sum();
        [ratio(score, n), ratio(hallucination, n)]
    });
    RatedRun {
        run: name.to_owned(),
        n_items: of_run.len(),
        n_ratings: of_run.iter().map(|row| row.given.len()).sum(),
        score,
        hallucination,
    }
}

/// People beside the judge.
fn beside_judge(rows: &[Row<'_>], seed: u64) -> Option<BesideJudge> {
    let both: Vec<(&Row<'_>, [f64; 2])> = rows
        .iter()
        .filter_map(|row| Some((row, row.judge?)))
        .collect();
    if both.is_empty() {
        return None;
    }
    let is_most = |share: f64| usize::from(share > 0.5);
    let statistics = |both: &[&(&Row<'_>, [f64; 2])]| {
        let scores = |&&(row, [score, _]): &&(&Row<'_>, [f64; 2])| (row.score(), score);
        let pairs: Vec<(f64, f64)> = both.iter().map(scores).collect();
        let sum: f64 = pairs.iter().map(|(people, judge)| judge - people).sum();
        let found = correlation(&pairs);
        let halves: Vec<(usize, usize)> = both
            .iter()
            .map(|(row, [_, share])| (is_most(row.hallucination()), is_most(*share)))
            .collect();
        [
            ratio(sum, pairs.len() as f64),
            found.map(|found| found.pearson),
            found.map(|found| found.spearman),
            cohen::<2>(&halves),
        ]
    };
    let values = statistics(&both.iter().collect::<Vec<_>>());
    let ends = bootstrap::intervals(
        &both,
        seed,
        "judge.ratings",
        |(row, _)| row.image,
        statistics,
    );
    let [difference, pearson, spearman, kappa] = with_ends(values, ends);
    Some(BesideJudge {
        n: both.len(),
        difference,
        pearson,
        spearman,
        kappa,
    })
}

/// Statistics of rows with intervals over images.
fn estimates<'a, 'b, const K: usize>(
    rows: &[&'a Row<'b>],
    seed: u64,
    statistics: impl Fn(&[&&'a Row<'b>]) -> [Option<f64>; K],
) -> [Estimate; K] {
    if rows.is_empty() {
        return [Estimate::default(); K];
    }
    let values = statistics(&rows.iter().collect::<Vec<_>>());
    let ends = bootstrap::intervals(rows, seed, "judge.ratings", |row| row.image, statistics);
    with_ends(values, ends)
}

/// A number that is not defined has no interval, even if resamples would have one.
fn with_ends<const K: usize>(
    values: [Option<f64>; K],
    ends: [Option<Interval>; K],
) -> [Estimate; K] {
    std::array::from_fn(|k| Estimate {
        value: values[k],
        ci95: ends[k].filter(|_| values[k].is_some()),
    })
}

#[cfg(test)]
mod tests;
