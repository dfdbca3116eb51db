//! `results.json`: the numbers of an evaluated model, and what they rest on. Whoever evaluates writes this one shape.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::atomic;
use candor_data::formats::text::{self, Format};
use serde::{Deserialize, Serialize};

use crate::JudgeError;
use crate::benchmark::Benchmark;
use crate::figures::Figure;
use crate::judge::{Cost, Identity};
use crate::order::Order;
use crate::verdict::Verdict;
use candor_stats::repeatability::Agreement;

const FORMAT: Format = Format {
    name: "Results",
    expected: "the results of an evaluation",
};

/// The name of the file in the folder of a run.
const NAME: &str = "results.json";

/// The numbers of one model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Results {
    /// By benchmark.
    pub benchmarks: BTreeMap<Benchmark, Scored>,
    /// The folder of the images, where one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
}

/// A benchmark's numbers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scored {
    /// Items.
    pub n: usize,
    /// How many questions of each file were taken, where not all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Its numbers, by key.
    pub figures: BTreeMap<String, Figure>,
    /// Ids of the items whose answer or replies could not be read by our rule.
    pub unparsed: Vec<String>,
    /// Answers that say nothing.
    #[serde(default)]
    pub n_empty: usize,
    /// What makes the numbers meaningless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Items that ask the same about the same image as another.
    pub n_duplicates: usize,
    /// Whether somebody judged who knows what is in the images.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_truth: bool,
    /// The judge, where one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// The files behind the numbers.
    pub sources: Vec<Source>,
}

/// What a judge was, for results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Who.
    pub judge: Identity,
    /// Where the template is from.
    pub template: String,
    /// SHA-256 of the template.
    pub template_sha256: String,
    /// What it has cost.
    pub cost: Cost,
    /// How far several replies to a question agree.
    pub agreement: Agreement,
    /// What exchanging two answers changes, where the judge compared them in both orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
}

/// A file by name and content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its path, as given.
    pub path: PathBuf,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl Results {
    /// A number of a benchmark; `None` where the benchmark was not run.
    #[must_use]
    pub fn figure(&self, benchmark: Benchmark, key: &str) -> Option<&Figure> {
        self.benchmarks.get(&benchmark)?.figures.get(key)
    }

    /// Mean length of all free answers, in tokens without the end token; `None` where there are none whose tokens were
    /// counted.
    #[must_use]
    pub fn free_tokens(&self) -> Option<f64> {
        let free = self.benchmarks.keys().filter(|of| of.about().is_free);
        let figures = free.filter_map(|&benchmark| self.figure(benchmark, "tokens"));
        let (mut tokens, mut n) = (0.0, 0);
        for figure in figures {
            // Tokens are whole, so the sum comes back from the mean to the digit.
            tokens += (figure.value.unwrap_or_default() * figure.n as f64).round();
            n += figure.n;
        }
        (n > 0).then(|| tokens / n as f64)
    }

    /// What makes numbers meaningless.
    pub fn warnings(&self) -> impl Iterator<Item = &String> {
        self.benchmarks.values().flat_map(|scored| &scored.warnings)
    }

    /// Reads the results in the folder of a run; `None` if there are none.
    ///
    /// # Errors
    /// They are damaged, or of another shape.
    pub fn read(folder: &Path) -> Result<Option<Self>, JudgeError> {
        let path = folder.join(NAME);
        if !path.exists() {
            return Ok(None);
        }
        let results = serde_json::from_str(&text::read(&path, &FORMAT)?);
        let bad = |error: serde_json::Error| {
            let remedy =
                "remove it, and evaluate again or score the answers again with `candor eval score`";
            JudgeError::unfit(&path, error.to_string(), remedy)
        };
        results.map(Some).map_err(bad)
    }

    /// Writes `verdicts/<benchmark>.jsonl` of each benchmark, and after them `results.json`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(
        &self,
        out: &Path,
        verdicts: &BTreeMap<Benchmark, Vec<Verdict>>,
    ) -> Result<(), JudgeError> {
        let broken = |error: serde_json::Error| {
            JudgeError::unfit(out, error.to_string(), "choose another folder")
        };
        for (benchmark, list) in verdicts {
            let mut lines = String::new();
            for verdict in list {
                lines += &(serde_json::to_string(verdict).map_err(broken)? + "\n");
            }
            atomic::write(&out.join(verdicts_file(*benchmark)), lines.as_bytes())?;
        }
        let results = serde_json::to_string_pretty(self).map_err(broken)? + "\n";
        atomic::write(&out.join(NAME), results.as_bytes())?;
        Ok(())
    }

    /// Removes the numbers and the verdicts of an earlier run from its folder, which would contradict new answers.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn discard(folder: &Path) -> Result<(), JudgeError> {
        // The numbers first: without them nothing says that all verdicts are there.
        let verdicts = Benchmark::ALL.iter().map(|&of| verdicts_file(of));
        for name in std::iter::once(NAME.to_owned()).chain(verdicts) {
            let path = folder.join(name);
            match std::fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(JudgeError::Io {
                        action: "replace",
                        path,
                        remedy: "choose another folder, or check that you may write there",
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The name of a benchmark's verdicts within the folder of a run.
pub(crate) fn verdicts_file(benchmark: Benchmark) -> String {
    format!("verdicts/{}.jsonl", benchmark.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, n: usize) -> Scored {
        let figure = Figure {
            value: Some(value),
            n,
            ..Figure::default()
        };
        Scored {
            figures: [("tokens".to_owned(), figure)].into(),
            ..Scored::default()
        }
    }

    #[test]
    fn free_answers_are_weighed_by_their_number_and_one_word_answers_are_not_among_them() {
        let mut results = Results::default();
        results.benchmarks.insert(Benchmark::Pope, figure(1.0, 900));
        assert_eq!(results.free_tokens(), None);
        // 10 of 3 answers, which is no double, and 20 of 7.
        results
            .benchmarks
            .insert(Benchmark::Mmhal, figure(10.0 / 3.0, 3));
        results
            .benchmarks
            .insert(Benchmark::Chair, figure(20.0 / 7.0, 7));
        assert_eq!(results.free_tokens(), Some(3.0));
    }

    #[test]
    fn what_is_of_another_shape_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Results::read(dir.path()).unwrap(), None);
        for old in [
            r#"{"benchmark": "pope", "n": 1}"#,
            r#"{"pope": {"accuracy": 1.0}}"#,
        ] {
            std::fs::write(dir.path().join("results.json"), old).unwrap();
            let message = Results::read(dir.path()).unwrap_err().to_string();
            assert!(
                message.contains("results.json") && message.contains("evaluate again"),
                "{message}"
            );
        }
    }
}
