//! Any number of evaluated models side by side, item by item.
//!
//! The first run is what the others are compared with. Runs of `candor eval`, on the micro-world, and of
//! `candor eval score` may be mixed, as long as they answered the same questions; of a pair of runs only the
//! items that both answered are compared, and their number is told.

mod files;
mod remarks;
mod show;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::bootstrap::Interval;
use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::leakage::Leakage;
use crate::measure::{Benchmark, Better, Figure, Measure, Verdict, figures};
use crate::paired::{self, Difference, Pair};
use crate::people::People;
use crate::score::Scored;
use crate::warnings;

/// One evaluated model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Run {
    /// Its folder's name.
    pub name: String,
    /// The verdicts of each benchmark that it has.
    pub verdicts: BTreeMap<Benchmark, Vec<Verdict>>,
    /// `results.json` of `candor eval score`, which says who judged; `None` for other runs.
    pub scored: Option<Box<Scored>>,
    /// The folder of the pictures, where the run names one.
    pub images: Option<PathBuf>,
}

/// A number of one run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cell {
    /// The number; `None` where the run has none.
    pub value: Option<f64>,
    /// Its 95% interval.
    pub ci95: Option<Interval>,
    /// Items behind it.
    pub n: usize,
    /// How it differs from the first run's; `None` for the first run, and for groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against_first: Option<Difference>,
}

/// A number of all runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// The number's name in files.
    pub measure: String,
    /// Its name for people.
    pub label: String,
    /// The group of items; empty for all of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Whether more is better, less is (`false`), or neither.
    pub higher_is_better: Option<bool>,
    /// Digits after the point.
    pub decimals: usize,
    /// One cell for each run.
    pub cells: Vec<Cell>,
}

/// All runs side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Names of the runs.
    pub runs: Vec<String>,
    /// All numbers.
    pub rows: Vec<Row>,
    /// What makes numbers meaningless, with the run's name before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What people prefer, where they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<People>,
    /// What of the benchmarks is training data, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leakage: Option<Leakage>,
}

/// Compares runs. `seed` decides intervals and tests.
#[must_use]
pub fn compare(runs: &[Run], seed: u64) -> Comparison {
    Comparison {
        runs: runs.iter().map(|run| run.name.clone()).collect(),
        rows: rows(runs, seed),
        warnings: runs.iter().flat_map(warned).collect(),
        people: None,
        leakage: None,
    }
}

fn warned(run: &Run) -> Vec<String> {
    let of = |(benchmark, verdicts): (&Benchmark, &Vec<Verdict>)| {
        let mut all = warnings::of_verdicts(*benchmark, verdicts);
        let is_judged = |verdict: &Verdict| verdict.measures.keys().any(|key| key != "words");
        if !verdicts.iter().any(is_judged) {
            let label = benchmark.label();
            all.push(format!("{label}: nobody has judged these answers yet"));
        }
        all
    };
    let all = run.verdicts.iter().flat_map(of);
    all.map(|text| format!("{}, {text}", run.name)).collect()
}

/// All numbers of runs. A number that no run has, as that of a judge who was asked in one order only, is left out.
pub(crate) fn rows(runs: &[Run], seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for benchmark in Benchmark::ALL {
        let has = |run: &Run| run.verdicts.contains_key(&benchmark);
        if !runs.iter().any(has) {
            continue;
        }
        let verdicts: Vec<&[Verdict]> = runs
            .iter()
            .map(|run| run.verdicts.get(&benchmark).map_or(&[][..], Vec::as_slice))
            .collect();
        let found: Vec<_> = verdicts
            .iter()
            .map(|list| figures(benchmark, list, seed))
            .collect();
        let same: Vec<bool> = verdicts
            .iter()
            .map(|list| same_answers(verdicts[0], list))
            .collect();
        for (k, measure) in benchmark.measures().iter().enumerate() {
            let figures: Vec<&Figure> = found.iter().map(|figures| &figures[measure.key]).collect();
            if figures.iter().all(|figure| figure.value.is_none()) {
                continue;
            }
            let mut cells: Vec<Cell> = figures.iter().map(|figure| cell(figure)).collect();
            for (at, cell) in cells.iter_mut().enumerate().skip(1) {
                cell.against_first = Some(Difference {
                    same_answers: same[at],
                    ..paired::compare(&pairs(verdicts[0], verdicts[at], measure.key), seed)
                });
            }
            rows.push(row(benchmark, measure, "", cells));
            // Groups of the main number alone: the others are in the runs' own results.
            if k == 0 {
                let mut groups: Vec<&String> =
                    figures.iter().flat_map(|f| f.groups.keys()).collect();
                groups.sort_unstable();
                groups.dedup();
                for group in groups {
                    let of_group = |figure: &&Figure| {
                        figure.groups.get(group).map_or_else(Cell::default, cell)
                    };
                    rows.push(row(
                        benchmark,
                        measure,
                        group,
                        figures.iter().map(of_group).collect(),
                    ));
                }
            }
        }
    }
    rows
}

fn row(benchmark: Benchmark, measure: &Measure, group: &str, cells: Vec<Cell>) -> Row {
    Row {
        benchmark,
        measure: measure.key.to_owned(),
        label: measure.label.to_owned(),
        group: group.to_owned(),
        higher_is_better: match measure.better {
            Better::Higher => Some(true),
            Better::Lower => Some(false),
            Better::Neither => None,
        },
        decimals: measure.decimals,
        cells,
    }
}

fn cell(figure: &Figure) -> Cell {
    Cell {
        value: figure.value,
        ci95: figure.ci95,
        n: figure.n,
        against_first: None,
    }
}

/// What two runs say of the items that both answered.
fn pairs(first: &[Verdict], second: &[Verdict], key: &str) -> Vec<Pair> {
    let by_id: BTreeMap<&str, &Verdict> = first.iter().map(|v| (v.id.as_str(), v)).collect();
    let pair = |other: &Verdict| {
        let one = by_id.get(other.id.as_str())?;
        Some(Pair {
            image: one.image.clone(),
            first: one.part(key),
            second: other.part(key),
        })
    };
    second.iter().filter_map(pair).collect()
}

/// Whether two runs answered everything that both were asked in the same words.
fn same_answers(first: &[Verdict], second: &[Verdict]) -> bool {
    let answers: BTreeMap<&str, &str> = first
        .iter()
        .map(|v| (v.id.as_str(), v.answer.as_str()))
        .collect();
    let mut both = second
        .iter()
        .filter_map(|other| Some((*answers.get(other.id.as_str())?, other.answer.as_str())))
        .peekable();
    both.peek().is_some() && both.all(|(one, other)| one == other)
}

impl Run {
    /// Reads a folder of `candor eval` or `candor eval score`.
    ///
    /// # Errors
    /// It holds no verdicts, or they are damaged.
    pub fn open(folder: &Path) -> Result<Self, JudgeError> {
        files::open(folder)
    }
}

impl Comparison {
    /// For a terminal: the numbers, and what people and training data say of them.
    #[must_use]
    pub fn table(&self) -> String {
        show::table(self) + &remarks::of(self)
    }

    /// One line for each number of each run, with a header.
    #[must_use]
    pub fn csv(&self) -> String {
        show::csv(self)
    }

    /// A table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        show::markdown(self)
    }

    /// A `tabular` in LaTeX, for the package booktabs.
    #[must_use]
    pub fn latex(&self) -> String {
        show::latex(self)
    }
}

#[cfg(test)]
mod tests;
