//! How the algorithms differ over the seeds: what each has on CHAIR, less what PPO with facts has on the same images.

use candor_judge::Benchmark;
use candor_stats::bootstrap::Interval;
use candor_stats::paired::Pair;
use candor_stats::pooled::{Contrast, Pooled, pool};
use serde::Serialize;

use super::claims::{SEED, Unit};
use super::demos::Demo;
use crate::ReportError;
use crate::summary::AlgorithmRow;

/// What algorithms are compared by, with its name.
pub(crate) const MEASURES: [(&str, &str); 3] = [
    ("chair_i", "CHAIR_i"),
    ("recall", "recall"),
    ("object_f1", "object F1"),
];

/// An algorithm's number less that of the one that all are compared with, over the seeds that have both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlgorithmDifference {
    /// Whose number it is.
    pub of: String,
    /// Whose is taken away.
    pub less: String,
    /// The measure of CHAIR.
    pub measure: &'static str,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The comparison over these seeds.
    pub pooled: Pooled,
    /// Its two intervals together.
    pub ci95: Option<Interval>,
}

impl AlgorithmDifference {
    /// The mean with its interval, in words: `+1.0 points (−0.5 to +2.5)`.
    pub(crate) fn mean(&self) -> String {
        let unit = Unit::Points;
        let Some(mean) = self.pooled.mean else {
            return "–".to_owned();
        };
        let mean = unit.written(mean) + unit.name();
        match self.ci95 {
            None => mean,
            Some([low, high]) => {
                format!("{mean} ({} to {})", unit.written(low), unit.written(high))
            }
        }
    }
}

/// The differences of all algorithms from the first one, by algorithm and measure; nothing without demos that ran them.
///
/// # Errors
/// Two algorithms of a demo were not asked the same.
pub(super) fn differences(demos: &[Demo]) -> Result<Vec<AlgorithmDifference>, ReportError> {
    let names = |demo: &Demo| -> Vec<String> {
        let rows = demo.summary.algorithms.iter();
        rows.map(AlgorithmRow::name).collect()
    };
    let Some(names) = demos.iter().map(names).find(|names| names.len() > 1) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for of in &names[1..] {
        for (measure, _) in MEASURES {
            let (mut seeds, mut pairs): (Vec<u64>, Vec<Vec<Pair>>) = (Vec::new(), Vec::new());
            for demo in demos {
                let both = [names[0].as_str(), of.as_str()];
                if let Some(of_seed) = demo.algorithms(both, Benchmark::Chair, measure)? {
                    seeds.push(demo.summary.seed);
                    pairs.push(of_seed);
                }
            }
            if pairs.is_empty() {
                continue;
            }
            let pooled = pool(&pairs, Contrast::Difference, SEED);
            found.push(AlgorithmDifference {
                of: of.clone(),
                less: names[0].clone(),
                measure,
                seeds,
                ci95: pooled.ci95(),
                pooled,
            });
        }
    }
    Ok(found)
}
