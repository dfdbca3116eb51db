//! CHAIR: objects that a description mentions and the image does not hold (arXiv 1809.02156).
//!
//! Objects are counted once for each description however often they are named, as the paper's formula says
//! (its script counts every mention). CHAIR alone rewards brevity, so recall and the object F1 stand beside
//! it: the F1 of precision = 1 − `chair_i` and recall, over all objects of all descriptions together.
//!
//! What counts as a mention is the caller's: a function from text to object names, which knows synonyms.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use candor_data::bootstrap::{self, Interval, ratio};

/// A description against what its image holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The image.
    pub image: String,
    /// Objects that the description says are there.
    pub mentioned: BTreeSet<String>,
    /// Objects that are there.
    pub present: BTreeSet<String>,
}

impl Described {
    /// A description whose mentions `extract` finds.
    pub fn new(
        image: impl Into<String>,
        description: &str,
        present: BTreeSet<String>,
        extract: impl FnOnce(&str) -> Vec<String>,
    ) -> Self {
        Self {
            image: image.into(),
            mentioned: extract(description).into_iter().collect(),
            present,
        }
    }

    /// Mentioned objects that are not there.
    pub fn hallucinated(&self) -> impl Iterator<Item = &String> {
        self.mentioned.difference(&self.present)
    }
}

/// All numbers of CHAIR. A ratio over nothing is `None`: `chair_i` of descriptions that mention no object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Share of the mentioned objects that are not there.
    pub chair_i: Option<f64>,
    /// Share of the descriptions with at least one such object.
    pub chair_s: f64,
    /// Share of the objects that are there which are mentioned.
    pub recall: Option<f64>,
    /// 1 − `chair_i`.
    pub object_precision: Option<f64>,
    /// Harmonic mean of `object_precision` and `recall`; 0 when nothing right is mentioned.
    pub object_f1: Option<f64>,
    /// Objects mentioned in a description, on average.
    pub mean_mentioned: f64,
    /// Descriptions.
    pub n: usize,
    /// 95% interval of `chair_i`.
    pub ci95_chair_i: Option<Interval>,
    /// 95% interval of `chair_s`.
    pub ci95_chair_s: Option<Interval>,
    /// 95% interval of `recall`.
    pub ci95_recall: Option<Interval>,
    /// 95% interval of `object_precision`.
    pub ci95_object_precision: Option<Interval>,
    /// 95% interval of `object_f1`.
    pub ci95_object_f1: Option<Interval>,
}

/// Scores all descriptions. `seed` decides the intervals.
#[must_use]
pub fn score(descriptions: &[Described], seed: u64) -> Scores {
    let counts: Vec<Counts> = descriptions.iter().map(Counts::of).collect();
    let all: Vec<&Counts> = counts.iter().collect();
    let [chair_i, chair_s, recall, object_f1, mean_mentioned] = ratios(&all);
    let [ci95_chair_i, ci95_chair_s, ci95_recall, ci95_object_f1, _] =
        bootstrap::intervals(&counts, seed, "eval.chair", |c| c.image, ratios);
    Scores {
        chair_i,
        chair_s: chair_s.unwrap_or_default(),
        recall,
        object_precision: chair_i.map(|share| 1.0 - share),
        object_f1,
        mean_mentioned: mean_mentioned.unwrap_or_default(),
        n: descriptions.len(),
        ci95_chair_i,
        ci95_chair_s,
        ci95_recall,
        ci95_object_precision: ci95_chair_i.map(|[low, high]| [1.0 - high, 1.0 - low]),
        ci95_object_f1,
    }
}

/// What one description contributes.
struct Counts<'a> {
    image: &'a str,
    right: usize,
    hallucinated: usize,
    present: usize,
}

impl<'a> Counts<'a> {
    fn of(described: &'a Described) -> Self {
        let hallucinated = described.hallucinated().count();
        Self {
            image: &described.image,
            right: described.mentioned.len() - hallucinated,
            hallucinated,
            present: described.present.len(),
        }
    }
}

/// `chair_i`, `chair_s`, recall, F1, mean number of objects mentioned.
fn ratios(counts: &[&Counts<'_>]) -> [Option<f64>; 5] {
    let sum = |part: fn(&Counts<'_>) -> usize| counts.iter().map(|c| part(c)).sum::<usize>() as f64;
    let (right, hallucinated) = (sum(|c| c.right), sum(|c| c.hallucinated));
    let (present, n) = (sum(|c| c.present), counts.len() as f64);
    let mentioned = right + hallucinated;
    [
        ratio(hallucinated, mentioned),
        ratio(sum(|c| usize::from(c.hallucinated > 0)), n),
        ratio(right, present),
        ratio(2.0 * right, mentioned + present),
        ratio(mentioned, n),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(names: &str) -> BTreeSet<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn described(image: &str, mentioned: &str, present: &str) -> Described {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Described::new(image, mentioned, set(present), words)
    }

    #[test]
    fn a_table_worked_by_hand() {
        let scores = score(
            &[
                // 2 right of 3 present, 1 hallucinated; the dog is named twice and counts once.
                described("a", "dog dog cat kite", "dog cat tree"),
                // 2 right of 2.
                described("b", "boat fish", "boat fish"),
                // Nothing said of 3.
                described("c", "", "lamp book cup"),
            ],
            0,
        );
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-12;
        assert!(close(scores.chair_i, 1.0 / 5.0));
        assert!(close(Some(scores.chair_s), 1.0 / 3.0));
        assert!(close(scores.recall, 4.0 / 8.0));
        assert!(close(scores.object_precision, 4.0 / 5.0));
        // 2 · 0.8 · 0.5 / 1.3
        assert!(close(scores.object_f1, 8.0 / 13.0));
        assert!(close(Some(scores.mean_mentioned), 5.0 / 3.0));
        assert_eq!(scores.n, 3);
    }

    #[test]
    fn silence_is_not_a_perfect_score() {
        let scores = score(&[described("a", "", "dog cat")], 0);
        assert_eq!((scores.chair_i, scores.object_precision), (None, None));
        assert_eq!((scores.recall, scores.object_f1), (Some(0.0), Some(0.0)));
        assert_eq!(scores.ci95_chair_i, None);
        assert_eq!(scores.ci95_object_f1, Some([0.0, 0.0]));
    }

    #[test]
    fn nothing_at_all_is_scored_without_a_panic() {
        let scores = score(&[], 0);
        assert_eq!(
            (scores.n, scores.recall, scores.ci95_chair_s),
            (0, None, None)
        );
    }

    fn subsets() -> impl Strategy<Value = Vec<(u8, u8)>> {
        prop::collection::vec((any::<u8>(), any::<u8>()), 1..20)
    }

    fn built(pairs: &[(u8, u8)]) -> Vec<Described> {
        let bits = |byte: u8| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(|bit| bit.to_string())
        };
        let one = |&(mentioned, present): &(u8, u8)| Described {
            // Named after its content, so that turning the list keeps each description's image.
            image: format!("{mentioned}-{present}"),
            mentioned: bits(mentioned).collect(),
            present: bits(present).collect(),
        };
        pairs.iter().map(one).collect()
    }

    fn numbers(descriptions: &[Described]) -> [Option<f64>; 5] {
        let counts: Vec<Counts> = descriptions.iter().map(Counts::of).collect();
        ratios(&counts.iter().collect::<Vec<_>>())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn swapping_mentions_and_truth_swaps_precision_and_recall_and_keeps_f1(pairs in subsets()) {
            let swapped: Vec<(u8, u8)> = pairs.iter().map(|&(m, p)| (p, m)).collect();
            let [chair_i, _, recall, f1, _] = numbers(&built(&pairs));
            let [other_chair_i, _, other_recall, other_f1, _] = numbers(&built(&swapped));
            prop_assert_eq!(f1, other_f1);
            let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (1.0 - a - b).abs() < 1e-12,
                (a, b) => a.is_none() && b.is_none(),
            };
            prop_assert!(near(chair_i, other_recall));
            prop_assert!(near(other_chair_i, recall));
        }

        #[test]
        fn an_object_that_is_there_never_hurts_and_one_that_is_not_never_helps(pairs in subsets()) {
            let before = numbers(&built(&pairs))[3].unwrap_or_default();
            let (mentioned, present) = pairs[0];
            let mut truer = built(&pairs);
            if let Some(object) = (0..8).find(|bit| present >> bit & 1 == 1 && mentioned >> bit & 1 == 0) {
                truer[0].mentioned.insert(object.to_string());
                prop_assert!(numbers(&truer)[3].unwrap_or_default() > before);
            }
            let mut falser = built(&pairs);
            falser[0].mentioned.insert("unicorn".to_owned());
            prop_assert!(numbers(&falser)[3].unwrap_or_default() <= before);
        }
    }

    proptest! {
        // Each case computes two sets of 2000 resamples.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn the_order_of_the_descriptions_does_not_matter(pairs in subsets(), turn in 0..20_usize) {
            let mut turned = pairs.clone();
            turned.rotate_left(turn % pairs.len());
            turned.reverse();
            prop_assert_eq!(score(&built(&pairs), 1), score(&built(&turned), 1));
        }
    }
}
