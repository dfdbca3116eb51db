//! LLaVA-Bench: how a model's answers compare with reference answers (arXiv 2304.08485, section 5.1).
//!
//! A judge gives both answers marks from 1 to 10; the relative score is 100 · mean(candidate) /
//! mean(reference), over each category and over all questions. In the micro-world the exact judge's scores
//! stand for the judge's marks, stretched from 0–6 to 1–10, because a ratio needs marks that start above
//! zero just as the judge's do.
//!
//! A judge's reply without marks on its first line is a parse failure. It counts apart and in no mean. The
//! official script reads a little less ([`official_pair`]) and counts what it cannot read as −1 and −1.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::marks::Scale;
use crate::mmhal::MAX_SCORE;
use candor_data::bootstrap::{self, Interval, ratio};

/// The marks of one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The image that is asked about.
    pub image: String,
    /// `conv`, `detail` or `complex`.
    pub category: String,
    /// Marks of the reference answer and of the model's answer, 1 to 10; `None` when the judge's reply could
    /// not be read.
    pub marks: Option<[f64; 2]>,
}

/// The marks of a judge.
const SCALE: Scale = Scale {
    lowest: 0.0,
    highest: 10.0,
    is_whole: false,
};

/// The marks on the first line of a judge's reply, reference first: two numbers from 0 to 10, as "8" or "8/10",
/// separated by blanks or a comma. `None` when the line holds anything else.
#[must_use]
pub fn parse_pair(reply: &str) -> Option<[f64; 2]> {
    let line = reply.lines().next()?.replace(',', " ");
    let mut marks = line.split_whitespace().map(|word| SCALE.whole_mark(word));
    let pair = [marks.next()??, marks.next()??];
    marks.next().is_none().then_some(pair)
}

/// The marks as the official script reads them: commas become blanks, and then the first line must be two
/// numbers with a single blank between them, which "7, 10" is not.
#[must_use]
pub fn official_pair(reply: &str) -> Option<[f64; 2]> {
    let line = reply.split('\n').next()?.replace(',', " ");
    let parts: Vec<&str> = line.split(' ').collect();
    let [first, second] = parts.as_slice() else {
        return None;
    };
    let mark = |part: &str| {
        part.trim()
            .parse::<f64>()
            .ok()
            .filter(|mark| mark.is_finite())
    };
    Some([mark(first)?, mark(second)?])
}

/// The mark that stands for a score of the exact judge: 0 ↦ 1, 6 ↦ 10, a line between.
#[must_use]
pub fn mark(score: u8) -> f64 {
    1.0 + 9.0 * f64::from(score.min(MAX_SCORE)) / f64::from(MAX_SCORE)
}

/// Numbers of one category.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// 100 · mean(candidate) / mean(reference).
    pub relative_score: Option<f64>,
    /// 95% interval of `relative_score`.
    pub ci95_relative_score: Option<Interval>,
    /// Mean mark of the reference answers.
    pub mean_reference: f64,
    /// Mean mark of the model's answers.
    pub mean_candidate: f64,
    /// Questions.
    pub n: usize,
    /// Questions whose marks could not be read, and that are in no mean.
    pub n_parse_failures: usize,
}

/// All numbers of LLaVA-Bench.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// All questions.
    #[serde(flatten)]
    pub overall: Figures,
    /// The questions of each category.
    pub categories: BTreeMap<String, Figures>,
}

/// Scores all comparisons. `seed` decides the intervals.
#[must_use]
pub fn score(comparisons: &[Compared], seed: u64) -> Scores {
    let mut categories: BTreeMap<String, Vec<Compared>> = BTreeMap::new();
    for comparison in comparisons {
        let category = categories.entry(comparison.category.clone()).or_default();
        category.push(comparison.clone());
    }
    Scores {
        overall: figures(comparisons, seed),
        categories: categories
            .into_iter()
            .map(|(category, comparisons)| (category, figures(&comparisons, seed)))
            .collect(),
    }
}

fn figures(comparisons: &[Compared], seed: u64) -> Figures {
    let all: Vec<&Compared> = comparisons.iter().collect();
    let [sum_reference, sum_candidate, n_parsed] = sums(&all);
    let mean = |sum: f64| ratio(sum, n_parsed).unwrap_or_default();
    let purpose = "eval.llava_bench";
    let [ci95_relative_score] =
        bootstrap::intervals(comparisons, seed, purpose, |c| &c.image, relative);
    Figures {
        relative_score: relative(&all)[0],
        ci95_relative_score,
        mean_reference: mean(sum_reference),
        mean_candidate: mean(sum_candidate),
        n: comparisons.len(),
        n_parse_failures: comparisons.iter().filter(|c| c.marks.is_none()).count(),
    }
}

/// Sum of the references' marks, sum of the candidates', number of both.
fn sums(comparisons: &[&Compared]) -> [f64; 3] {
    let marks = comparisons.iter().filter_map(|c| c.marks);
    marks.fold([0.0; 3], |[a, b, n], [reference, candidate]| {
        [a + reference, b + candidate, n + 1.0]
    })
}

fn relative(comparisons: &[&Compared]) -> [Option<f64>; 1] {
    let [reference, candidate, _] = sums(comparisons);
    [ratio(100.0 * candidate, reference)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(image: &str, category: &str, reference: f64, candidate: f64) -> Compared {
        Compared {
            image: image.to_owned(),
            category: category.to_owned(),
            marks: Some([reference, candidate]),
        }
    }

    #[test]
    fn the_first_line_holds_two_marks() {
        for (reply, expected) in [
            ("9 8.5\nBoth are good.", Some([9.0, 8.5])),
            ("7, 10", Some([7.0, 10.0])),
            ("  8   6  \nrating: 3", Some([8.0, 6.0])),
            ("8", None),
            ("8 7 6", None),
            ("Assistant 1: 8", None),
            ("\n8 7", None),
            ("nan 5", None),
            ("8 11", None),
            ("-1 5", None),
            ("8/10 7/10", Some([8.0, 7.0])),
            ("8/5 7/5", None),
            ("**8 7**", Some([8.0, 7.0])),
            ("8-9 7", None),
            ("8 or 9", None),
            ("8 1e1", None),
            ("", None),
        ] {
            assert_eq!(parse_pair(reply), expected, "{reply:?}");
        }
    }

    #[test]
    fn the_official_rule_wants_a_single_blank() {
        for (reply, expected) in [
            ("9 8.5\nBoth are good.", Some([9.0, 8.5])),
            ("7,10\n", Some([7.0, 10.0])),
            ("9 8\r\n", Some([9.0, 8.0])),
            ("7, 10", None),
            ("8  6", None),
            (" 8 6", None),
            ("8", None),
            ("nan 5", None),
            ("", None),
        ] {
            assert_eq!(official_pair(reply), expected, "{reply:?}");
        }
    }

    #[test]
    fn scores_are_stretched_to_marks() {
        for (score, expected) in [(0, 1.0), (2, 4.0), (4, 7.0), (6, 10.0), (9, 10.0)] {
            assert!((mark(score) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_table_worked_by_hand() {
        let scores = score(
            &[
                compared("a", "conv", 10.0, 5.0),
                compared("a", "detail", 8.0, 10.0),
                compared("b", "conv", 6.0, 7.0),
                compared("b", "complex", 6.0, 2.0),
            ],
            0,
        );
        let close = |found: &Figures, expected: f64| {
            (found.relative_score.unwrap() - expected).abs() < 1e-9
        };
        // A ratio of means, not a mean of ratios: 12/16, 10/8, 2/6 and 24/30.
        assert!(close(&scores.categories["conv"], 75.0));
        assert!(close(&scores.categories["detail"], 125.0));
        assert!(close(&scores.categories["complex"], 100.0 / 3.0));
        assert!(close(&scores.overall, 80.0));
        assert!((scores.overall.mean_reference - 7.5).abs() < 1e-12);
        assert!((scores.overall.mean_candidate - 6.0).abs() < 1e-12);
        assert_eq!((scores.overall.n, scores.categories["conv"].n), (4, 2));
        assert_eq!(score(&[], 0).overall.relative_score, None);
    }

    #[test]
    fn what_the_judge_did_not_mark_counts_apart() {
        let mut all = vec![
            compared("a", "conv", 8.0, 4.0),
            compared("b", "conv", 1.0, 1.0),
        ];
        all[1].marks = None;
        let found = score(&all, 0).overall;
        assert_eq!((found.n, found.n_parse_failures), (2, 1));
        assert!((found.relative_score.unwrap() - 50.0).abs() < 1e-9);
        assert!((found.mean_reference - 8.0).abs() < 1e-12);
    }

    #[test]
    fn equal_answers_score_exactly_100_with_no_doubt() {
        let same: Vec<Compared> = (0..30_u8)
            .map(|i| compared(&i.to_string(), "conv", mark(i % 7), mark(i % 7)))
            .collect();
        let scores = score(&same, 2);
        assert!((scores.overall.relative_score.unwrap() - 100.0).abs() < 1e-9);
        let [low, high] = scores.overall.ci95_relative_score.unwrap();
        assert!((low - 100.0).abs() < 1e-9 && (high - 100.0).abs() < 1e-9);
    }

    #[test]
    fn the_order_of_the_questions_does_not_matter() {
        // Marks of the exact judge are sums of halves, so their sums are exact in any order.
        let all: Vec<Compared> = (0..45_u8)
            .map(|i| {
                compared(
                    &(i / 3).to_string(),
                    ["conv", "detail", "complex"][usize::from(i % 3)],
                    mark(i % 5),
                    mark(i % 7),
                )
            })
            .collect();
        let mut turned = all.clone();
        turned.rotate_left(11);
        turned.reverse();
        assert_eq!(score(&all, 5), score(&turned, 5));
    }
}
