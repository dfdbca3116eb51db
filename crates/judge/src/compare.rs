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
use crate::rows::{Row, rows, shared};
use crate::run::Run;
use crate::suite::{Suite, SuiteFound};
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
    let mut warnings: Vec<String> = runs.iter().flat_map(warned).collect();
    if let [first, others @ ..] = runs {
        warnings.extend(others.iter().flat_map(|run| beside(first, run)));
    }
    Comparison {
        runs: runs.iter().map(|run| run.name.clone()).collect(),
        rows: rows(runs, seed),
        warnings,
        people: None,
        ratings: None,
        leakage: None,
        suite: None,
    }
}

fn warned(run: &Run) -> Vec<String> {
    let of = |(benchmark, verdicts): (&Benchmark, &Vec<Verdict>)| {
        let mut all = warnings::of_verdicts(*benchmark, verdicts);
        let label = benchmark.label();
        let mut suites = [Suite::Paper, Suite::Hallucination].into_iter();
        let custom = suites.find_map(|suite| suite.customary(*benchmark));
        if let Some(limit) = run.limit(*benchmark, custom) {
            all.push(format!(
                "{label}: asked the first {limit} questions of each file at most, which makes no numbers of the benchmark"
            ));
        }
        let length = |key: &String| LENGTH.iter().any(|measure| measure.key == key);
        let is_judged = |verdict: &Verdict| !verdict.measures.keys().all(length);
        if !verdicts.iter().any(is_judged) {
            all.push(format!("{label}: nobody has judged these answers yet"));
        }
        all
    };
    let all = run.verdicts.iter().flat_map(of);
    all.map(|text| format!("{}, {text}", run.name)).collect()
}

/// What makes a run's differences to the first other than they seem.
fn beside(first: &Run, run: &Run) -> Vec<String> {
    let mut all = Vec::new();
    for (benchmark, own) in &run.verdicts {
        let Some(theirs) = first.verdicts.get(benchmark) else {
            continue;
        };
        let (about, than) = (format!("{}, {}", run.name, benchmark.label()), &first.name);
        let (n, others) = shared(*benchmark, theirs, own);
        if let Some(id) = others.first() {
            all.push(format!(
                "{about}: {} ids have another image, question or reference than in {than}, such as {id:?}; these items are \
                 not compared",
                others.len()
            ));
        }
        if n < theirs.len().max(own.len()) {
            all.push(format!(
                "{about}: compared with {than} on the items that both have, {n} of {} and {}",
                theirs.len(),
                own.len()
            ));
        }
    }
    all
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
