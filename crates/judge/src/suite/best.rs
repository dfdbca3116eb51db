//! The best of several runs, or of several steps of one, by one number.

use super::Suite;
use crate::benchmark::Benchmark;
use crate::figures::Figure;
use crate::measure::Measure;
use crate::run::Run;

/// The number that runs are chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BestBy {
    /// Its benchmark.
    pub benchmark: Benchmark,
    /// The number.
    pub measure: &'static Measure,
    higher: bool,
}

impl BestBy {
    /// Reads `BENCHMARK.MEASURE`, by their names in files: `pope.f1`.
    ///
    /// # Errors
    /// The suite has no such benchmark, the benchmark no such number, or neither more nor less of it is good.
    pub fn parse(text: &str, suite: Suite) -> Result<Self, String> {
        let benchmarks: Vec<Benchmark> = suite.benchmarks().collect();
        Self::parse_of(text, &benchmarks, &format!("the suite {}", suite.key()))
    }

    /// As [`BestBy::parse`], of these benchmarks, which `whose` has.
    ///
    /// # Errors
    /// As there.
    pub fn parse_of(text: &str, benchmarks: &[Benchmark], whose: &str) -> Result<Self, String> {
        let (key, number) = text.split_once('.').unwrap_or((text, ""));
        let Some(&benchmark) = benchmarks.iter().find(|of| of.key() == key) else {
            let known: Vec<&str> = benchmarks.iter().map(|of| of.key()).collect();
            return Err(format!(
                "{text:?}: {whose} has no benchmark {key:?}; it has {}",
                known.join(", ")
            ));
        };
        let good = |measure: &Measure| measure.better.is_higher().is_some();
        let Some(measure) = benchmark.measures().find(|of| of.key == number && good(of)) else {
            let known: Vec<&str> = benchmark
                .measures()
                .filter(|of| good(of))
                .map(|of| of.key)
                .collect();
            return Err(format!(
                "{text:?}: {} has no number {number:?} that runs can be chosen by; write {key}. and one of {}",
                benchmark.label(),
                known.join(", ")
            ));
        };
        Ok(Self {
            benchmark,
            measure,
            higher: measure.better.is_higher() == Some(true),
        })
    }

    /// Its name, as it is read.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.benchmark.key(), self.measure.key)
    }

    /// Whether more of it is better; else less is.
    #[must_use]
    pub fn is_higher(&self) -> bool {
        self.higher
    }

    /// The place of the best run and its number; of equally good ones the first, and none where no run has the number.
    #[must_use]
    pub fn of<'a>(&self, runs: &'a [Run]) -> Option<(usize, &'a Figure)> {
        let mut best: Option<(usize, &Figure, f64)> = None;
        for (at, run) in runs.iter().enumerate() {
            let Some((figure, value)) = self.value(run) else {
                continue;
            };
            let is_better = |best: f64| {
                if self.higher {
                    value > best
                } else {
                    value < best
                }
            };
            if best.is_none_or(|(_, _, best)| is_better(best)) {
                best = Some((at, figure, value));
            }
        }
        best.map(|(at, figure, _)| (at, figure))
    }

    /// How many of the runs have the number.
    #[must_use]
    pub fn n_of(&self, runs: &[Run]) -> usize {
        runs.iter().filter(|run| self.value(run).is_some()).count()
    }

    fn value<'a>(&self, run: &'a Run) -> Option<(&'a Figure, f64)> {
        let results = run.results.as_ref()?;
        let figure = results.figure(self.benchmark, self.measure.key)?;
        Some((figure, figure.value?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Results, Scored};

    fn run(key: &str, value: Option<f64>) -> Run {
        let figure = Figure {
            value,
            ..Figure::default()
        };
        let scored = Scored {
            figures: [(key.to_owned(), figure)].into(),
            ..Scored::default()
        };
        Run {
            results: Some(Results {
                benchmarks: [(Benchmark::Chair, scored)].into(),
                images: None,
            }),
            ..Run::default()
        }
    }

    #[test]
    fn the_first_of_the_best_is_taken_whichever_way_the_number_is_good() {
        let best = |key: &str, values: &[Option<f64>]| {
            let by = BestBy::parse(&format!("chair.{key}"), Suite::Paper).unwrap();
            let runs: Vec<Run> = values.iter().map(|value| run(key, *value)).collect();
            by.of(&runs).map(|(at, _)| at)
        };
        let values = [
            Some(0.25),
            None,
            Some(0.125),
            Some(0.5),
            Some(0.125),
            Some(0.5),
        ];
        // Less is better of the one, more of the other.
        assert_eq!(best("chair_i", &values), Some(2));
        assert_eq!(best("recall", &values), Some(3));
        assert_eq!(best("recall", &[None, None]), None);
        assert_eq!(best("recall", &[]), None);
    }

    #[test]
    fn what_cannot_choose_is_refused_with_what_can() {
        let refused = |text: &str| BestBy::parse(text, Suite::Paper).unwrap_err();
        for (text, part) in [
            ("amber.chair", "mmhal, pope, llava_bench, mmbench, chair"),
            ("pope", "accuracy, precision, recall, f1"),
            ("pope.yes_ratio", "accuracy, precision, recall, f1"),
            ("pope.F1", "write pope. and one of"),
        ] {
            let message = refused(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
