//! What became of an answer, in a word, so that people can look for the answers they want to see.

use crate::measure::{Benchmark, Verdict};
use crate::mmhal::HALLUCINATED_BELOW;

/// What a verdict says of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is right: POPE and MMBench by their rule, MMHal-Bench and CHAIR where nothing is made up,
    /// LLaVA-Bench where it is marked no lower than the reference, questions of a user by their rule or with a rating of
    /// at least 3. `None` where no reply could be read.
    pub right: Option<bool>,
    /// Whether it says that something is there which is not, as far as the benchmark tells: a rating below 3, an
    /// object made up, a yes to what is not there.
    pub hallucinated: bool,
    /// Whether the answer, or a reply about it, could not be read.
    pub unread: bool,
}

impl Verdict {
    /// What the verdict says of its answer.
    #[must_use]
    pub fn standing(&self, benchmark: Benchmark) -> Standing {
        let holds = |key: &str| self.part(key)[0] > 0.0;
        // Of several replies to a question, half must say so.
        let mostly = |key: &str| {
            let [part, whole] = self.part(key);
            (whole > 0.0).then(|| part / whole >= 0.5)
        };
        match benchmark {
            Benchmark::Mmhal => {
                let hallucinated = mostly("hallucination");
                Standing {
                    right: hallucinated.map(|wrong| !wrong),
                    hallucinated: hallucinated == Some(true),
                    unread: holds("unread"),
                }
            }
            Benchmark::Pope => Standing {
                right: Some(holds("accuracy")),
                hallucinated: holds("yes_ratio") && !holds("accuracy"),
                unread: holds("neither"),
            },
            Benchmark::LlavaBench => {
                let [mark, n] = self.part("mark");
                Standing {
                    right: (n > 0.0).then(|| mark >= self.part("reference_mark")[0]),
                    hallucinated: false,
                    unread: holds("unread"),
                }
            }
            Benchmark::Mmbench => Standing {
                right: Some(holds("accuracy")),
                hallucinated: false,
                unread: holds("unread"),
            },
            Benchmark::Own => {
                let ([right, n_ruled], [score, n_rated]) =
                    (self.part("accuracy"), self.part("score"));
                let rated =
                    || (n_rated > 0.0).then(|| score / n_rated >= f64::from(HALLUCINATED_BELOW));
                Standing {
                    right: if n_ruled > 0.0 {
                        Some(right > 0.0)
                    } else {
                        rated()
                    },
                    hallucinated: false,
                    unread: holds("unread"),
                }
            }
            Benchmark::Chair => Standing {
                right: Some(!holds("chair_s")),
                hallucinated: holds("chair_s"),
                unread: false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exam::{add_chair, add_llava_bench, add_mmhal, add_pope};
    use crate::pope;

    fn standing(benchmark: Benchmark, add: impl Fn(&mut Verdict)) -> (Option<bool>, bool, bool) {
        let mut verdict = Verdict::default();
        add(&mut verdict);
        let Standing {
            right,
            hallucinated,
            unread,
        } = verdict.standing(benchmark);
        (right, hallucinated, unread)
    }

    #[test]
    fn ratings_below_three_are_hallucinations_and_silence_is_unread() {
        let rated = |replies: &[Option<u8>]| {
            standing(Benchmark::Mmhal, |verdict| {
                add_mmhal(verdict, replies, replies);
            })
        };
        assert_eq!(rated(&[Some(3)]), (Some(true), false, false));
        assert_eq!(rated(&[Some(2)]), (Some(false), true, false));
        assert_eq!(rated(&[None]), (None, false, true));
        assert_eq!(rated(&[Some(2), Some(5)]), (Some(false), true, false));
        assert_eq!(rated(&[Some(5), Some(5), None]), (Some(true), false, true));
    }

    #[test]
    fn a_yes_to_what_is_not_there_is_made_up_and_a_no_to_what_is_there_is_only_wrong() {
        let answered = |truth: bool, answer: &str| {
            standing(Benchmark::Pope, |verdict| {
                add_pope(verdict, truth, pope::read(answer));
            })
        };
        assert_eq!(answered(false, "Yes."), (Some(false), true, false));
        assert_eq!(answered(true, "No."), (Some(false), false, false));
        assert_eq!(answered(true, "Perhaps"), (Some(true), false, true));
    }

    #[test]
    fn questions_of_a_user_are_right_by_rule_or_by_rating() {
        let own =
            |key: &str, part: f64| standing(Benchmark::Own, |verdict| verdict.add(key, part, 1.0));
        assert_eq!(own("accuracy", 1.0), (Some(true), false, false));
        assert_eq!(own("accuracy", 0.0), (Some(false), false, false));
        assert_eq!(own("score", 3.0), (Some(true), false, false));
        assert_eq!(own("score", 2.5), (Some(false), false, false));
        assert_eq!(own("unread", 1.0), (None, false, true));
    }

    #[test]
    fn marks_are_held_against_the_reference_and_objects_against_the_picture() {
        let marked = |marks: Option<[f64; 2]>| {
            standing(Benchmark::LlavaBench, |verdict| {
                add_llava_bench(verdict, &[marks], &[marks]);
            })
        };
        assert_eq!(marked(Some([8.0, 8.0])), (Some(true), false, false));
        assert_eq!(marked(Some([8.0, 7.0])), (Some(false), false, false));
        assert_eq!(marked(None), (None, false, true));
        let described = |mentioned, hallucinated| {
            standing(Benchmark::Chair, |verdict| {
                add_chair(verdict, mentioned, hallucinated, 4);
            })
        };
        assert_eq!(described(3, 1), (Some(false), true, false));
        assert_eq!(described(0, 0), (Some(true), false, false));
    }
}
