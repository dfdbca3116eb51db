//! The numbers of a benchmark, each with its interval.

use std::collections::BTreeMap;

use candor_stats::bootstrap::{self, Interval, ratio};
use serde::{Deserialize, Serialize};

use crate::benchmark::Benchmark;
use crate::measure::Measure;
use crate::verdict::Verdict;

/// A number with its interval.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figure {
    /// The number; `None` for a ratio over nothing.
    pub value: Option<f64>,
    /// Its 95% interval.
    pub ci95: Option<Interval>,
    /// Items that it is made of.
    pub n: usize,
    /// The same by group, where the benchmark has groups.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Figure>,
}

/// The numbers of a benchmark, by key. `seed` decides the intervals.
#[must_use]
pub fn figures(benchmark: Benchmark, verdicts: &[Verdict], seed: u64) -> BTreeMap<String, Figure> {
    let mut groups: BTreeMap<&str, Vec<&Verdict>> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| !verdict.group.is_empty()) {
        groups.entry(&verdict.group).or_default().push(verdict);
    }
    let all: Vec<&Verdict> = verdicts.iter().collect();
    let with_groups = |measure: &Measure| {
        let of_group = |(name, list): (&&str, &Vec<&Verdict>)| {
            ((*name).to_owned(), figure(measure.key, list, seed))
        };
        let figure = Figure {
            groups: groups.iter().map(of_group).collect(),
            ..figure(measure.key, &all, seed)
        };
        (measure.key.to_owned(), figure)
    };
    benchmark.measures().map(with_groups).collect()
}

fn figure(key: &str, verdicts: &[&Verdict], seed: u64) -> Figure {
    // Looked up once, not for each of thousands of resamples.
    let parts: Vec<(&str, [f64; 2])> = verdicts
        .iter()
        .map(|verdict| (verdict.image.as_str(), verdict.part(key)))
        .collect();
    let total = |items: &[&(&str, [f64; 2])]| {
        let parts = items.iter().map(|(_, part)| part);
        let [part, whole] = parts.fold([0.0; 2], |[a, b], [part, whole]| [a + part, b + whole]);
        [ratio(part, whole)]
    };
    let purpose = format!("judge.{key}");
    let [ci95] = bootstrap::intervals(&parts, seed, &purpose, |(image, _)| image, total);
    let adds = |(_, part): &&(&str, [f64; 2])| part.iter().any(|value| *value != 0.0);
    Figure {
        value: total(&parts.iter().collect::<Vec<_>>())[0],
        ci95,
        n: parts.iter().filter(adds).count(),
        groups: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ratios_of_sums_over_all_and_by_group() {
        let verdict = |id: &str, group: &str, part: f64, whole: f64| {
            let mut verdict = Verdict {
                id: id.to_owned(),
                image: id.to_owned(),
                group: group.to_owned(),
                ..Verdict::default()
            };
            verdict.add("score", part, whole);
            verdict
        };
        let verdicts = [
            verdict("a", "x", 6.0, 1.0),
            verdict("b", "x", 1.0, 1.0),
            verdict("c", "y", 0.0, 0.0),
        ];
        let found = figures(Benchmark::Mmhal, &verdicts, 0);
        assert_eq!((found["score"].value, found["score"].n), (Some(3.5), 2));
        assert_eq!(found["score"].groups["x"].value, Some(3.5));
        assert_eq!(found["score"].groups["y"].value, None);
        assert_eq!(found["hallucination"].value, None);
        let [low, high] = found["score"].ci95.unwrap();
        assert!((1.0..3.5).contains(&low) && high > 3.5 && high <= 6.0);
    }
}
