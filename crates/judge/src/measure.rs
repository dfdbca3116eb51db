//! Every number of every benchmark as a ratio of sums over items, so that each can be traced to the items
//! behind it, has an interval, and can be compared between two models.
//!
//! A mean is the sum of values over the number of items; the F1 is twice the hits over twice the hits, the
//! false alarms and the misses; the relative score is the candidate's marks over the reference's.

use std::collections::BTreeMap;

use candor_data::bootstrap::{self, Interval, ratio};
use serde::{Deserialize, Serialize};

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Benchmark {
    /// MMHal-Bench.
    Mmhal,
    /// POPE.
    Pope,
    /// LLaVA-Bench.
    LlavaBench,
    /// MMBench.
    Mmbench,
    /// CHAIR.
    Chair,
    /// A user's own questions.
    Own,
}

/// Which way a number is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither: it says how to take the other numbers.
    Neither,
}

/// A number of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// Its name in files.
    pub key: &'static str,
    /// Its name for people.
    pub label: &'static str,
    /// Which way it is good.
    pub better: Better,
    /// Digits after the point.
    pub decimals: usize,
}

const fn measure(
    key: &'static str,
    label: &'static str,
    better: Better,
    decimals: usize,
) -> Measure {
    Measure {
        key,
        label,
        better,
        decimals,
    }
}

use Better::{Higher, Lower, Neither};

const WORDS: Measure = measure("words", "words per answer", Neither, 1);

const MMHAL: &[Measure] = &[
    measure("score", "score (0-6)", Higher, 2),
    measure("score_official", "score, official", Higher, 2),
    measure("hallucination", "hallucination rate", Lower, 3),
    measure(
        "hallucination_official",
        "hallucination rate, official",
        Lower,
        3,
    ),
    measure("unread", "replies not read", Neither, 3),
    WORDS,
];
const POPE: &[Measure] = &[
    measure("accuracy", "accuracy", Higher, 3),
    measure("precision", "precision", Higher, 3),
    measure("recall", "recall", Higher, 3),
    measure("f1", "F1", Higher, 3),
    measure("yes_ratio", "yes-ratio", Neither, 3),
    measure("neither", "neither yes nor no", Neither, 3),
    WORDS,
];
const LLAVA_BENCH: &[Measure] = &[
    measure("relative", "relative score", Higher, 1),
    measure("relative_official", "relative score, official", Higher, 1),
    measure("mark", "mark", Higher, 2),
    measure("reference_mark", "mark of the reference", Neither, 2),
    measure(
        "order_changes",
        "verdicts that change with the order",
        Lower,
        3,
    ),
    measure("unread", "replies not read", Neither, 3),
    WORDS,
];
const MMBENCH: &[Measure] = &[
    measure("accuracy", "accuracy", Higher, 3),
    measure("circular", "accuracy, circular", Higher, 3),
    measure("unread", "answers not read", Neither, 3),
    WORDS,
];
const CHAIR: &[Measure] = &[
    measure("chair_i", "CHAIR_i", Lower, 3),
    measure("chair_s", "CHAIR_s", Lower, 3),
    measure("recall", "recall", Higher, 3),
    measure("object_f1", "object F1", Higher, 3),
    measure("objects", "objects mentioned", Neither, 2),
    WORDS,
];

const OWN: &[Measure] = &[
    measure("accuracy", "accuracy", Higher, 3),
    measure("score", "score (0-6)", Higher, 2),
    measure("unread", "not read", Neither, 3),
    WORDS,
];

impl Benchmark {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Mmhal,
        Self::Pope,
        Self::LlavaBench,
        Self::Mmbench,
        Self::Chair,
        Self::Own,
    ];

    /// Its name in files.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Mmhal => "mmhal",
            Self::Pope => "pope",
            Self::LlavaBench => "llava_bench",
            Self::Mmbench => "mmbench",
            Self::Chair => "chair",
            Self::Own => "own",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Mmhal => "MMHal-Bench",
            Self::Pope => "POPE",
            Self::LlavaBench => "LLaVA-Bench",
            Self::Mmbench => "MMBench",
            Self::Chair => "CHAIR",
            Self::Own => "own questions",
        }
    }

    /// Its numbers.
    #[must_use]
    pub fn measures(self) -> &'static [Measure] {
        match self {
            Self::Mmhal => MMHAL,
            Self::Pope => POPE,
            Self::LlavaBench => LLAVA_BENCH,
            Self::Mmbench => MMBENCH,
            Self::Chair => CHAIR,
            Self::Own => OWN,
        }
    }
}

/// An item with all that was made of it: a line of `verdicts/<benchmark>.jsonl`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// Name of the item within the benchmark.
    pub id: String,
    /// The image.
    pub image: String,
    /// The file name of its picture, where `image` is not that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// Question type, split or category; empty where the benchmark has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// What was asked.
    pub question: String,
    /// What should be answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What was answered.
    pub answer: String,
    /// The judge's replies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replies: Vec<String>,
    /// How many of them, the last ones, were asked for with the two answers exchanged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub n_exchanged: usize,
    /// What the answer or the replies were read as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_as: Vec<String>,
    /// What the item adds to each number: part and whole of the ratio.
    pub measures: BTreeMap<String, [f64; 2]>,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Verdict {
    /// Adds to a number.
    pub(crate) fn add(&mut self, key: &str, part: f64, whole: f64) {
        self.measures.insert(key.to_owned(), [part, whole]);
    }

    /// What it adds to a number; nothing where it says nothing of it.
    #[must_use]
    pub fn part(&self, key: &str) -> [f64; 2] {
        self.measures.get(key).copied().unwrap_or_default()
    }
}

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
    benchmark.measures().iter().map(with_groups).collect()
}

fn figure(key: &str, verdicts: &[&Verdict], seed: u64) -> Figure {
    let total = |items: &[&&Verdict]| {
        let parts = items.iter().map(|verdict| verdict.part(key));
        let [part, whole] = parts.fold([0.0; 2], |[a, b], [part, whole]| [a + part, b + whole]);
        [ratio(part, whole)]
    };
    let purpose = format!("judge.{key}");
    let [ci95] = bootstrap::intervals(verdicts, seed, &purpose, |verdict| &verdict.image, total);
    let n = verdicts
        .iter()
        .filter(|verdict| verdict.part(key).iter().any(|value| *value != 0.0))
        .count();
    Figure {
        value: total(&verdicts.iter().collect::<Vec<_>>())[0],
        ci95,
        n,
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
