//! Any number of evaluated models side by side, item by item.
//!
//! The first run is what the others are compared with. Runs of all commands may be mixed, as long as they answered the same
//! questions; of a pair of runs only the items that both answered are compared, and their number is told.

mod remarks;
mod show;
mod suite_latex;

use serde::{Deserialize, Serialize};

use crate::benchmark::Benchmark;
use crate::leakage::Leakage;
use crate::measure::LENGTH;
use crate::people::People;
use crate::people::ratings::Ratings;
use crate::rows::{Row, rows};
use crate::run::Run;
use crate::suite::SuiteFound;
use crate::verdict::Verdict;
use crate::warnings;

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
    /// What people rate single answers, where they were asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratings: Option<Ratings>,
    /// What of the benchmarks is training data, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leakage: Option<Leakage>,
    /// The tables of a suite, where the runs are of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<SuiteFound>,
}

/// Compares runs. `seed` decides intervals and tests.
#[must_use]
pub fn compare(runs: &[Run], seed: u64) -> Comparison {
    Comparison {
        runs: runs.iter().map(|run| run.name.clone()).collect(),
        rows: rows(runs, seed),
        warnings: runs.iter().flat_map(warned).collect(),
        people: None,
        ratings: None,
        leakage: None,
        suite: None,
    }
}

fn warned(run: &Run) -> Vec<String> {
    let of = |(benchmark, verdicts): (&Benchmark, &Vec<Verdict>)| {
        let mut all = warnings::of_verdicts(*benchmark, verdicts);
        let length = |key: &String| LENGTH.iter().any(|measure| measure.key == key);
        let is_judged = |verdict: &Verdict| !verdict.measures.keys().all(length);
        if !verdicts.iter().any(is_judged) {
            let label = benchmark.label();
            all.push(format!("{label}: nobody has judged these answers yet"));
        }
        all
    };
    let all = run.verdicts.iter().flat_map(of);
    all.map(|text| format!("{}, {text}", run.name)).collect()
}

impl Comparison {
    /// For a terminal: the numbers, and what answers, people and training data say of them.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = show::rows(&self.runs, &self.rows)
            + "↑ more is better, ↓ less is better, [95% interval], * p < 0.05 without correction for many tests\n";
        for warning in &self.warnings {
            text.extend(["WARNING: ", warning, "\n"]);
        }
        text += &self
            .people
            .as_ref()
            .map_or_else(String::new, remarks::people);
        text += &self
            .ratings
            .as_ref()
            .map_or_else(String::new, remarks::ratings);
        if let Some(leakage) = &self.leakage {
            text += &remarks::trained_on(&self.runs, leakage);
        }
        for table in self.suite.iter().flat_map(|suite| &suite.tables) {
            text.extend(table.caveat().map(|caveat| caveat + "\n"));
        }
        for missing in self.suite.iter().flat_map(|suite| &suite.not_measured) {
            text.extend(["not measured: ", &missing.told(), "\n"]);
        }
        text
    }

    /// One line for each number of each run, with a header.
    #[must_use]
    pub fn csv(&self) -> String {
        show::csv(&self.runs, &self.rows)
    }

    /// A table in Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        show::markdown(&self.runs, &self.rows)
    }

    /// A `tabular` in LaTeX, for the package booktabs; of a suite one for each benchmark, with published models.
    #[must_use]
    pub fn latex(&self) -> String {
        match &self.suite {
            Some(suite) => suite_latex::tables(suite),
            None => show::latex(&self.runs, &self.rows),
        }
    }
}

#[cfg(test)]
mod tests;
