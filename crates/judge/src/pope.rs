//! POPE: polling for objects with yes/no questions (arXiv 2305.10355).
//!
//! An answer is read by the benchmark's own rule, which takes whatever is not a no for a yes; so the number
//! of answers that say neither is reported beside. Departure: words are separated by any white space, where
//! the official script splits at single spaces and so reads "No\nThere" as a yes.
//!
//! "Overall" pools the questions of all splits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use candor_data::bootstrap::{self, Interval, ratio};

/// One question with the answer it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The image that is asked about.
    pub image: String,
    /// `random`, `popular`, `adversarial`.
    pub split: String,
    /// Whether yes is right.
    pub truth: bool,
    /// What the answer was read as.
    pub read: Read,
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Whether the benchmark's rule takes it for a yes.
    pub yes: bool,
    /// Whether it holds neither a yes nor a no.
    pub neither: bool,
}

/// Reads an answer: up to the first full stop, commas removed, no if one of the words is No, no or not.
#[must_use]
pub fn read(answer: &str) -> Read {
    let sentence = answer
        .split('.')
        .next()
        .unwrap_or_default()
        .replace(',', "");
    let no = sentence
        .split_whitespace()
        .any(|word| matches!(word, "No" | "no" | "not"));
    let yes = sentence
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| word.eq_ignore_ascii_case("yes"));
    Read {
        yes: !no,
        neither: !no && !yes,
    }
}

/// The numbers of one split or of all.
///
/// A ratio over nothing is `None`: the precision of a model that never says yes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Share of right answers.
    pub accuracy: f64,
    /// Share of the yeses that are right.
    pub precision: Option<f64>,
    /// Share of the objects that are there which were affirmed.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall, positive = yes.
    pub f1: Option<f64>,
    /// Share of answers taken for a yes.
    pub yes_ratio: f64,
    /// Answers that said neither yes nor no (and count as yes).
    pub n_neither: usize,
    /// Questions.
    pub n: usize,
    /// 95% interval of `accuracy`.
    pub ci95_accuracy: Option<Interval>,
    /// 95% interval of `precision`.
    pub ci95_precision: Option<Interval>,
    /// 95% interval of `recall`.
    pub ci95_recall: Option<Interval>,
    /// 95% interval of `f1`.
    pub ci95_f1: Option<Interval>,
    /// 95% interval of `yes_ratio`.
    pub ci95_yes_ratio: Option<Interval>,
}

/// All numbers of POPE.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// All questions.
    #[serde(flatten)]
    pub overall: Figures,
    /// The questions of each split.
    pub splits: BTreeMap<String, Figures>,
}

/// Scores all answers. `seed` decides the intervals.
#[must_use]
pub fn score(answers: &[Answered], seed: u64) -> Scores {
    let mut splits: BTreeMap<String, Vec<Answered>> = BTreeMap::new();
    for answer in answers {
        let split = splits.entry(answer.split.clone()).or_default();
        split.push(answer.clone());
    }
    Scores {
        overall: figures(answers, seed),
        splits: splits
            .into_iter()
            .map(|(split, answers)| (split, figures(&answers, seed)))
            .collect(),
    }
}

fn figures(answers: &[Answered], seed: u64) -> Figures {
    let all: Vec<&Answered> = answers.iter().collect();
    let [accuracy, precision, recall, f1, yes_ratio] = ratios(&all);
    let [
        ci95_accuracy,
        ci95_precision,
        ci95_recall,
        ci95_f1,
        ci95_yes_ratio,
    ] = bootstrap::intervals(answers, seed, "eval.pope", |a| &a.image, ratios);
    Figures {
        accuracy: accuracy.unwrap_or_default(),
        precision,
        recall,
        f1,
        yes_ratio: yes_ratio.unwrap_or_default(),
        n_neither: answers.iter().filter(|a| a.read.neither).count(),
        n: answers.len(),
        ci95_accuracy,
        ci95_precision,
        ci95_recall,
        ci95_f1,
        ci95_yes_ratio,
    }
}

/// Accuracy, precision, recall, F1, yes-ratio.
fn ratios(answers: &[&Answered]) -> [Option<f64>; 5] {
    let count = |yes: bool, truth: bool| {
        let alike = |a: &&&Answered| a.read.yes == yes && a.truth == truth;
        answers.iter().filter(alike).count() as f64
    };
    let (hit, false_alarm) = (count(true, true), count(true, false));
    let (miss, n) = (count(false, true), answers.len() as f64);
    let rejected = n - hit - false_alarm - miss;
    [
        ratio(hit + rejected, n),
        ratio(hit, hit + false_alarm),
        ratio(hit, hit + miss),
        ratio(2.0 * hit, 2.0 * hit + false_alarm + miss),
        ratio(hit + false_alarm, n),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(truth: bool, answer: &str) -> Answered {
        Answered {
            image: answer.to_owned(),
            split: "random".to_owned(),
            truth,
            read: read(answer),
        }
    }

    #[test]
    fn answers_are_read_by_the_official_rule() {
        let yes = Read {
            yes: true,
            neither: false,
        };
        let no = Read {
            yes: false,
            neither: false,
        };
        let neither = Read {
            yes: true,
            neither: true,
        };
        for (answer, expected) in [
            ("Yes", yes),
            ("yes.", yes),
            ("Yes, there is a dog in the image.", yes),
            ("No, there is no dog.", no),
            ("There is not a dog. Yes.", no),
            ("no", no),
            ("No\nThere is none", no),
            ("Yes. No.", yes),
            // Only exactly these spellings count as a no.
            ("NO", neither),
            ("Nothing", neither),
            ("A dog", neither),
            ("", neither),
            // The rule reads only up to the first full stop.
            ("Hm. No", neither),
            // Commas vanish, so this becomes the word "Nothere".
            ("No,there", neither),
            ("Yes!", yes),
        ] {
            assert_eq!(read(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn a_table_worked_by_hand() {
        // 3 hits, 1 false alarm, 2 misses, 4 rejections; one hit says neither.
        let answers = [
            answered(true, "Yes"),
            answered(true, "Yes."),
            answered(true, "dog"),
            answered(false, "Yes, a cat"),
            answered(true, "No"),
            answered(true, "It is not"),
            answered(false, "No."),
            answered(false, "no"),
            answered(false, "No, none"),
            answered(false, "not at all"),
        ];
        let scores = score(&answers, 0);
        let f = &scores.overall;
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-12;
        assert!(close(Some(f.accuracy), 0.7), "{f:?}");
        assert!(close(f.precision, 0.75), "{f:?}");
        assert!(close(f.recall, 0.6), "{f:?}");
        // 2 · 0.75 · 0.6 / 1.35
        assert!(close(f.f1, 2.0 / 3.0), "{f:?}");
        assert!(close(Some(f.yes_ratio), 0.4), "{f:?}");
        assert_eq!((f.n, f.n_neither), (10, 1));
        assert_eq!(scores.splits["random"], *f);
    }

    #[test]
    fn never_saying_yes_has_no_precision_and_an_f1_of_zero() {
        let f = score(&[answered(true, "No"), answered(false, "no")], 0).overall;
        assert_eq!((f.precision, f.recall, f.f1), (None, Some(0.0), Some(0.0)));
        assert!((f.accuracy - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_overall_numbers_pool_the_splits() {
        let mut answers = vec![
            answered(true, "Yes"),
            answered(true, "Yes"),
            answered(false, "Yes"),
        ];
        answers[2].split = "popular".to_owned();
        let scores = score(&answers, 0);
        assert!((scores.splits["random"].accuracy - 1.0).abs() < 1e-12);
        assert!(scores.splits["popular"].accuracy.abs() < 1e-12);
        assert!((scores.overall.accuracy - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(score(&[], 0).overall.n, 0);
    }

    fn tables() -> impl Strategy<Value = Vec<(bool, bool, u8)>> {
        prop::collection::vec((any::<bool>(), any::<bool>(), 0..6_u8), 1..40)
    }

    fn built(table: &[(bool, bool, u8)]) -> Vec<Answered> {
        let one = |&(truth, yes, image): &(bool, bool, u8)| Answered {
            image: image.to_string(),
            split: format!("s{}", image % 2),
            truth,
            read: Read {
                yes,
                neither: false,
            },
        };
        table.iter().map(one).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn swapping_truth_and_answer_swaps_precision_and_recall_and_keeps_f1(table in tables()) {
            let answers = built(&table);
            let swapped: Vec<Answered> = answers
                .iter()
                .map(|a| Answered {
                    truth: a.read.yes,
                    read: Read { yes: a.truth, neither: false },
                    ..a.clone()
                })
                .collect();
            let here = ratios(&answers.iter().collect::<Vec<_>>());
            let there = ratios(&swapped.iter().collect::<Vec<_>>());
            prop_assert_eq!(here[0], there[0]);
            prop_assert_eq!(here[1], there[2]);
            prop_assert_eq!(here[2], there[1]);
            prop_assert_eq!(here[3], there[3]);
        }

        #[test]
        fn f1_is_the_harmonic_mean(table in tables()) {
            let answers = built(&table);
            let [_, precision, recall, f1, _] = ratios(&answers.iter().collect::<Vec<_>>());
            if let (Some(p), Some(r), Some(f1)) = (precision, recall, f1) {
                let harmonic = if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 };
                prop_assert!((f1 - harmonic).abs() < 1e-12);
            }
        }
    }

    proptest! {
        // Each case computes six sets of 2000 resamples.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_order_of_the_questions_does_not_matter(table in tables(), turn in 0..40_usize) {
            let mut turned = table.clone();
            turned.rotate_left(turn % table.len());
            turned.reverse();
            prop_assert_eq!(score(&built(&table), 1), score(&built(&turned), 1));
        }
    }
}
