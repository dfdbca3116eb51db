//! The numbers of every policy, seed by seed, with their mean.

use std::collections::BTreeMap;

use candor_judge::Results;
use candor_stats::bootstrap::Interval;
use candor_stats::student;
use serde::Serialize;

use super::demos::Demo;
use crate::plots::percent;
use crate::summary::{Measured, Policy, Variant};
use crate::table::{self, FIGURES, Figure};

/// A number of one policy, algorithm or reward model with every seed.
#[derive(Debug, Clone, Serialize)]
pub struct FigureRow {
    /// The benchmark.
    pub benchmark: &'static str,
    /// The number.
    pub figure: &'static str,
    /// Whose it is.
    pub of: String,
    /// For each seed its value and 95% interval over images; `None` where the demo has none.
    pub seeds: Vec<Option<Measured>>,
    /// The mean of those that are there.
    pub mean: Option<f64>,
    /// 95% interval of the mean over seeds, by Student's t.
    pub ci95: Option<Interval>,
    /// The class of everything that is drawn for it.
    #[serde(skip)]
    pub(crate) class: &'static str,
    /// How its values are written.
    #[serde(skip)]
    pub(crate) written: fn(f64) -> String,
}

/// The accuracies of the reward models.
pub(super) fn reward_models(demos: &[Demo]) -> Vec<FigureRow> {
    let row = |variant: Variant| {
        let accuracy = |demo: &Demo| {
            let figures = demo.summary.reward_models.get(variant)?;
            Some((figures.accuracy, Some(figures.ci95)))
        };
        let whose = (variant.name().to_owned(), variant.class());
        row(
            (
                "Reward model",
                "held-out pairs in the annotator's order",
                percent,
            ),
            whose,
            demos.iter().map(accuracy).collect(),
        )
    };
    Variant::ALL.into_iter().map(row).collect()
}

/// The numbers of the policies, by number and policy.
pub(super) fn policies(demos: &[Demo]) -> Vec<FigureRow> {
    let of = |policy: Policy| {
        let results = demos.iter().map(|demo| demo.summary.policies.get(policy));
        (
            (policy.name().to_owned(), policy.class()),
            results.collect(),
        )
    };
    rows(&FIGURES.each_ref(), &Policy::ALL.map(of))
}

/// The numbers of the algorithms, by number and algorithm.
pub(super) fn algorithms(demos: &[Demo]) -> Vec<FigureRow> {
    let mut names: Vec<(String, &'static str)> = Vec::new();
    let mut results: BTreeMap<String, Vec<Option<&Results>>> = BTreeMap::new();
    for (at, demo) in demos.iter().enumerate() {
        for row in &demo.summary.algorithms {
            let name = row.name();
            let of_seeds = results
                .entry(name.clone())
                .or_insert_with(|| vec![None; demos.len()]);
            of_seeds[at] = Some(&row.results);
            if !names.iter().any(|(known, _)| *known == name) {
                names.push((name, row.algorithm.class()));
            }
        }
    }
    let of = |(name, class): (String, &'static str)| {
        let of_seeds = results.get(&name).cloned().unwrap_or_default();
        ((name, class), of_seeds)
    };
    rows(
        &table::chosen(),
        &names.into_iter().map(of).collect::<Vec<_>>(),
    )
}

/// Whose a row is: its name, and the class of what is drawn for it.
type Whose = (String, &'static str);

fn rows(figures: &[&Figure], of: &[(Whose, Vec<Option<&Results>>)]) -> Vec<FigureRow> {
    let all = figures.iter().flat_map(|figure| {
        of.iter().map(|(whose, results)| {
            let value = |results: Option<&Results>| (figure.of)(results?);
            let named = (figure.benchmark, figure.name, figure.written);
            row(
                named,
                whose.clone(),
                results.iter().copied().map(value).collect(),
            )
        })
    });
    all.filter(|row| row.mean.is_some()).collect()
}

/// A number: its benchmark, its name, and how it is written.
type Named = (&'static str, &'static str, fn(f64) -> String);

fn row(
    (benchmark, figure, written): Named,
    (of, class): Whose,
    seeds: Vec<Option<Measured>>,
) -> FigureRow {
    let values: Vec<f64> = seeds.iter().flatten().map(|(value, _)| *value).collect();
    let sum: f64 = values.iter().sum();
    FigureRow {
        benchmark,
        figure,
        of,
        mean: (!values.is_empty()).then(|| sum / values.len() as f64),
        ci95: student::interval(&values),
        seeds,
        class,
        written,
    }
}
