//! The numbers of any number of runs side by side, with how each run differs from the first, item by item.

use std::collections::BTreeMap;

use candor_data::image_key::coco_number;
use candor_stats::bootstrap::Interval;
use serde::{Deserialize, Serialize};

use crate::benchmark::Benchmark;
use crate::figures::{Figure, figures};
use crate::measure::Measure;
use crate::run::Run;
use crate::verdict::Verdict;
use candor_stats::paired::{self, Difference, Pair};

/// A number of one run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Cell {
    /// The number; `None` where the run has none.
    pub value: Option<f64>,
    /// Its 95% interval.
    pub ci95: Option<Interval>,
    /// Items behind it.
    pub n: usize,
    /// How it differs from the first run's; `None` for the first run, and for groups outside the tables of a suite.
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

/// All numbers of runs. A number that no run has, as that of a judge who was asked in one order only, is left out.
pub(crate) fn rows(runs: &[Run], seed: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for &benchmark in Benchmark::ALL {
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
        for (k, measure) in benchmark.measures().enumerate() {
            let figures: Vec<&Figure> = found.iter().map(|figures| &figures[measure.key]).collect();
            if figures.iter().all(|figure| figure.value.is_none()) {
                continue;
            }
            let of_run = |(at, figure): (usize, &&Figure)| {
                if at == 0 {
                    return cell(figure);
                }
                let (first, own) = (verdicts[0].iter(), verdicts[at].iter());
                compared_cell(benchmark, figure, first, own, measure.key, seed)
            };
            let cells = figures.iter().enumerate().map(of_run).collect();
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
        higher_is_better: measure.better.is_higher(),
        decimals: measure.decimals,
        cells,
    }
}

/// A number that is compared with none.
pub(crate) fn cell(figure: &Figure) -> Cell {
    Cell {
        value: figure.value,
        ci95: figure.ci95,
        n: figure.n,
        against_first: None,
    }
}

/// A number with how it differs from the first run's, by the verdicts of both on the items that it is of.
pub(crate) fn compared_cell<'a>(
    benchmark: Benchmark,
    figure: &Figure,
    first: impl Iterator<Item = &'a Verdict>,
    own: impl Iterator<Item = &'a Verdict>,
    key: &str,
    seed: u64,
) -> Cell {
    let both = joined(benchmark, first, own);
    Cell {
        against_first: Some(Difference {
            same_answers: same_answers(&both),
            ..paired::compare(&pairs_of(&both, key), seed)
        }),
        ..cell(figure)
    }
}

/// What two models contribute to a number with the items that both answered.
#[must_use]
pub fn pairs(benchmark: Benchmark, first: &[Verdict], second: &[Verdict], key: &str) -> Vec<Pair> {
    pairs_of(&joined(benchmark, first.iter(), second.iter()), key)
}

fn pairs_of(both: &[[&Verdict; 2]], key: &str) -> Vec<Pair> {
    let pair = |[one, other]: &[&Verdict; 2]| Pair {
        image: one.image.clone(),
        first: one.part(key),
        second: other.part(key),
    };
    both.iter().map(pair).collect()
}

/// Whether verdicts of one id are on one item: the image is the same, and so are, where both have them, the reference and the
/// question's first line, below which there may be an instruction. What a description was asked for with does not make CHAIR's
/// items.
#[must_use]
pub fn is_same_item(benchmark: Benchmark, one: &Verdict, other: &Verdict) -> bool {
    let (image, other_image) = (one.file_name(), other.file_name());
    // Some sets name COCO's images with the name of its set before the number.
    let is_coco = || {
        let number = coco_number(image);
        number.is_some() && number == coco_number(other_image)
    };
    let (asked, other_asked) = (first_line(one), first_line(other));
    let is_asked_same = benchmark == Benchmark::Chair
        || asked.is_empty()
        || other_asked.is_empty()
        || asked == other_asked;
    let references = one.reference.as_ref().zip(other.reference.as_ref());
    (image == other_image || is_coco())
        && is_asked_same
        && references.is_none_or(|(one, other)| one == other)
}

fn first_line(verdict: &Verdict) -> &str {
    let line = verdict.question.trim().lines().next();
    line.unwrap_or_default().trim_end()
}

/// The verdicts of two runs on the items that both answered.
fn joined<'a>(
    benchmark: Benchmark,
    first: impl Iterator<Item = &'a Verdict>,
    second: impl Iterator<Item = &'a Verdict>,
) -> Vec<[&'a Verdict; 2]> {
    let mut both = of_one_id(first, second);
    both.retain(|[one, other]| is_same_item(benchmark, one, other));
    both
}

/// How many items two runs both answered, and the ids that are of one item in the first and of another in the second.
pub(crate) fn shared<'a>(
    benchmark: Benchmark,
    first: &'a [Verdict],
    second: &'a [Verdict],
) -> (usize, Vec<&'a str>) {
    let of_one_id = of_one_id(first.iter(), second.iter());
    let n = of_one_id.len();
    let differ = |[one, other]: &[&Verdict; 2]| !is_same_item(benchmark, one, other);
    let others = of_one_id.into_iter().filter(differ);
    let others: Vec<&str> = others.map(|[one, _]| one.id.as_str()).collect();
    (n - others.len(), others)
}

/// The verdicts of two runs with the same id.
fn of_one_id<'a>(
    first: impl Iterator<Item = &'a Verdict>,
    second: impl Iterator<Item = &'a Verdict>,
) -> Vec<[&'a Verdict; 2]> {
    let by_id: BTreeMap<&str, &Verdict> = first.map(|v| (v.id.as_str(), v)).collect();
    second
        .filter_map(|other| Some([*by_id.get(other.id.as_str())?, other]))
        .collect()
}

/// Whether two runs answered everything that both were asked in the same words.
fn same_answers(both: &[[&Verdict; 2]]) -> bool {
    let same = |[one, other]: &[&Verdict; 2]| one.answer == other.answer;
    !both.is_empty() && both.iter().all(same)
}
