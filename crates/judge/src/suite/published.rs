//! Numbers that papers published, each with its source and with what of its protocol is another than candor's.
//!
//! `published.json` has them in the units of candor's own measures (shares where papers print percents), under the measure
//! that follows the official script where there is one. Only numbers that were read in print or in transcripts that agree are
//! there: a model or a benchmark that is missing was not found.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::benchmark::Benchmark;

/// What a paper says of a model on a benchmark.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The model.
    pub model: String,
    /// The benchmark.
    pub benchmark: Benchmark,
    /// Where it is printed.
    pub source: Source,
    /// The numbers.
    pub numbers: Vec<Number>,
}

/// Where numbers are printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The paper.
    pub paper: String,
    /// Where in it.
    pub place: String,
    /// How they were measured, as far as that is another way than candor's.
    pub protocol: String,
}

/// A published number.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The number's name in files.
    pub measure: String,
    /// The group of items; empty for all of them.
    #[serde(default)]
    pub group: String,
    /// The number.
    pub value: f64,
}

/// All published numbers.
///
/// # Errors
/// The list that candor brings along is damaged.
pub fn published() -> Result<Vec<Published>, JudgeError> {
    serde_json::from_str(include_str!("published.json")).map_err(|error| {
        let remedy = "report this: the list is part of candor";
        JudgeError::unfit(Path::new("published.json"), error.to_string(), remedy)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_has_a_source_and_numbers_that_the_benchmark_knows_within_their_scale() {
        let all = published().unwrap();
        let mut seen = HashSet::new();
        for row in &all {
            let what = format!("{} on {}", row.model, row.benchmark.key());
            assert!(seen.insert(what.clone()), "{what} twice");
            let Source {
                paper,
                place,
                protocol,
            } = &row.source;
            assert!(paper.contains("arXiv "), "{what}: {paper}");
            assert!(!place.is_empty() && !protocol.is_empty(), "{what}");
            assert!(!row.numbers.is_empty(), "{what}");
            let mut numbers = HashSet::new();
            for number in &row.numbers {
                let key = (&number.measure, &number.group);
                assert!(numbers.insert(key), "{what}: {key:?} twice");
                let mut measures = row.benchmark.measures();
                assert!(
                    measures.any(|measure| measure.key == number.measure),
                    "{what}: {key:?}"
                );
                let most = match number.measure.as_str() {
                    "score_official" => 6.0,
                    "relative_official" => 200.0,
                    _ => 1.0,
                };
                assert!((0.0..=most).contains(&number.value), "{what}: {number:?}");
            }
        }
    }

    #[test]
    fn the_splits_of_a_paper_have_the_mean_that_other_papers_quote() {
        // Overall F1 of POPE as quoted from the paper: 82.7, 81.5, 82.8, 81.9.
        let all = published().unwrap();
        let mean = |model: &str| {
            let row = all
                .iter()
                .find(|row| row.model == model && row.benchmark == Benchmark::Pope)
                .unwrap();
            let sum: f64 = row.numbers.iter().map(|number| number.value).sum();
            (1000.0 * sum / row.numbers.len() as f64).round()
        };
        let models = [
            "LLaVA-SFT+ 7B",
            "LLaVA-RLHF 7B",
            "LLaVA-SFT+ 13B/336",
            "LLaVA-RLHF 13B/336",
        ];
        let found: Vec<i64> = models.map(|model| mean(model) as i64).to_vec();
        assert_eq!(found, [827, 815, 828, 819]);
    }
}
