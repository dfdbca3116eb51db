//! People as the judge: two runs' answers side by side in the annotation app, and what came back.
//!
//! [`project::write`] makes a project of `candor annotate` out of the items that two runs answer differently. Model
//! names are in its file, for the administrator's statistics, and reach no annotator. [`People::read`] reads the
//! preference log that the app exports. [`ratings`] are of single answers instead, of any number of runs.

pub mod project;
pub mod ratings;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candor_data::formats::preference_log;
use candor_data::{Preference, Side};
use candor_stats::bootstrap::{self, Interval, ratio};
use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::benchmark::Benchmark;
use crate::rows::is_same_item;
use crate::run::Run;
use crate::verdict::Verdict;
use candor_stats::paired::{self, Pair};

/// What people say of the second run against the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct People {
    /// The two runs.
    pub runs: [String; 2],
    /// Which answer says fewer false things.
    pub truer: Tally,
    /// Which answer is preferred: the truer one, and among equally true ones the more helpful.
    pub preferred: Tally,
    /// Items whose answers are the same, and were shown to nobody.
    pub n_equal: usize,
    /// Items of different answers without a preference: not judged yet, or left undecided.
    pub n_open: usize,
    /// What was said of each item, by its name `benchmark/id`.
    pub items: BTreeMap<String, Opinion>,
}

/// What was said of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Opinion {
    /// Whose answer says fewer false things.
    pub truer: Winner,
    /// Whose answer is preferred.
    pub preferred: Winner,
}

/// One of two runs, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Winner {
    /// The first run.
    First,
    /// The second run.
    Second,
    /// Neither.
    Tie,
}

impl Winner {
    /// What the two runs get.
    fn points(self) -> [f64; 2] {
        match self {
            Self::First => [1.0, 0.0],
            Self::Second => [0.0, 1.0],
            Self::Tie => [0.5, 0.5],
        }
    }
}

/// How often the second run wins against the first.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Items on which the second run wins.
    pub wins: usize,
    /// Items on which neither does.
    pub ties: usize,
    /// Items on which the first run wins.
    pub losses: usize,
    /// Wins and half of the ties, as a share of all.
    pub rate: Option<f64>,
    /// 95% interval of `rate`, over images.
    pub ci95: Option<Interval>,
    /// Chance of a rate as far from one half between equal runs.
    pub p: Option<f64>,
    /// Whether `p` counts all outcomes.
    pub is_exact: bool,
}

/// An item that both runs answered.
struct Asked<'a> {
    name: String,
    verdict: &'a Verdict,
    answers: [&'a str; 2],
}

/// The items of free answers that both runs have, in the order of the first. What is a word or a letter needs no person to
/// compare.
fn asked(runs: [&Run; 2]) -> Vec<Asked<'_>> {
    let mut all = Vec::new();
    for &benchmark in Benchmark::ALL.iter().filter(|of| of.about().is_free) {
        let [Some(first), Some(second)] = runs.map(|run| run.verdicts.get(&benchmark)) else {
            continue;
        };
        let by_id: HashMap<&str, &Verdict> = second
            .iter()
            .map(|verdict| (verdict.id.as_str(), verdict))
            .collect();
        all.extend(first.iter().filter_map(|verdict| {
            let other = by_id.get(verdict.id.as_str()).copied()?;
            is_same_item(benchmark, verdict, other).then(|| Asked {
                name: format!("{}/{}", benchmark.key(), verdict.id),
                verdict,
                answers: [&verdict.answer, &other.answer],
            })
        }));
    }
    all
}

impl People {
    /// Reads what people said. `seed` decides intervals and tests.
    ///
    /// # Errors
    /// The file is no preference log, or a row of it is about another item or other answers than those of the runs.
    pub fn read(path: &Path, runs: [&Run; 2], seed: u64) -> Result<Self, JudgeError> {
        let asked = asked(runs);
        let by_name: HashMap<&str, &Asked<'_>> = asked
            .iter()
            .map(|item| (item.name.as_str(), item))
            .collect();
        let mut items = BTreeMap::new();
        let mut judged = Vec::new();
        for row in preference_log::read(path)? {
            let foreign = |problem: &str| {
                let remedy = "name the two runs in the order in which --annotate had them, and the export of that project";
                JudgeError::unfit(path, format!("row {:?} {problem}", row.id), remedy)
            };
            let item = by_name
                .get(row.id.as_str())
                .ok_or_else(|| foreign("is no item that both runs answered"))?;
            if row.outputs != item.answers {
                return Err(foreign("is about other answers than those of the runs"));
            }
            let opinion = opinion(&row);
            judged.push((item.verdict.image.clone(), opinion));
            items.insert(row.id, opinion);
        }
        let n_equal = asked
            .iter()
            .filter(|item| item.answers[0] == item.answers[1])
            .count();
        let tally = |of: fn(&Opinion) -> Winner| {
            let list: Vec<(String, Winner)> = judged
                .iter()
                .map(|(image, opinion)| (image.clone(), of(opinion)))
                .collect();
            tally(&list, seed)
        };
        Ok(Self {
            runs: runs.map(|run| run.name.clone()),
            truer: tally(|opinion| opinion.truer),
            preferred: tally(|opinion| opinion.preferred),
            n_equal,
            n_open: asked.len() - n_equal - items.len(),
            items,
        })
    }
}

fn opinion(row: &Preference) -> Opinion {
    let winner = |side: Option<Side>| match side {
        Some(Side::First) => Winner::First,
        Some(Side::Second) => Winner::Second,
        None => Winner::Tie,
    };
    Opinion {
        truer: winner(row.fewer_hallucinations.side()),
        preferred: winner(row.preferred()),
    }
}

fn tally(judged: &[(String, Winner)], seed: u64) -> Tally {
    let count = |winner: Winner| judged.iter().filter(|(_, w)| *w == winner).count();
    let rate = |items: &[&(String, Winner)]| {
        let points: f64 = items.iter().map(|(_, winner)| winner.points()[1]).sum();
        [ratio(points, items.len() as f64)]
    };
    let [ci95] = bootstrap::intervals(judged, seed, "judge.people", |(image, _)| image, rate);
    let pairs: Vec<Pair> = judged
        .iter()
        .map(|(image, winner)| {
            let [first, second] = winner.points();
            Pair {
                image: image.clone(),
                first: [first, 1.0],
                second: [second, 1.0],
            }
        })
        .collect();
    let compared = paired::compare(&pairs, seed);
    Tally {
        wins: count(Winner::Second),
        ties: count(Winner::Tie),
        losses: count(Winner::First),
        rate: rate(&judged.iter().collect::<Vec<_>>())[0],
        ci95,
        p: compared.p,
        is_exact: compared.is_exact,
    }
}

#[cfg(test)]
mod tests;
