//! MMHal-Bench: open questions whose answers a judge rates from 0 to 6 (arXiv 2309.14525, section 3.3).
//!
//! An answer is hallucinated when its score is below 3. A judge's reply without exactly one rating is a
//! parse failure; the official script counts it as a hallucination with score 0, and so do the headline
//! numbers here, with the numbers over the readable replies beside them. The exact judge of the micro-world
//! never fails to be read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use candor_data::bootstrap::{self, Interval, ratio};

use crate::marks::Scale;

/// Scores below this are hallucinations.
pub const HALLUCINATED_BELOW: u8 = 3;
/// The highest score.
pub const MAX_SCORE: u8 = 6;

/// An answer with its rating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    /// The image that is asked about.
    pub image: String,
    /// `attribute`, `adversarial`, `comparison` and so on.
    pub question_type: String,
    /// 0 to 6; `None` when the judge's reply could not be read.
    pub score: Option<u8>,
}

/// The rating in a judge's reply: exactly one of "rating: 0" to "rating: 6", in any case of letters. The
/// same rating twice is one; two different ratings are none.
#[must_use]
pub fn parse_rating(reply: &str) -> Option<u8> {
    let reply = reply.to_lowercase();
    let mut found = (0..=MAX_SCORE).filter(|score| reply.contains(&format!("rating: {score}")));
    let rating = found.next();
    rating.filter(|_| found.next().is_none())
}

/// The marks of MMHal-Bench.
const SCALE: Scale = Scale {
    lowest: 0.0,
    highest: MAX_SCORE as f64,
    is_whole: true,
};

/// The rating in a judge's reply by candor's own rule: the only rating that stands at the beginning of a line, list
/// marks and emphasis before it left aside, and where no line begins with one, the only rating anywhere. A judge that
/// quotes a rating out of the answer before it, or weighs two in a sentence, is read by this rule and not by the
/// official one. What is no whole number from 0 to 6, or more than one ([`Scale::mark_before_words`]), is no rating, and
/// a reply that has such a thing in the rating's place is not read.
#[must_use]
pub fn read_rating(reply: &str) -> Option<u8> {
    let beginning: Vec<&str> = reply
        .lines()
        .filter_map(|line| {
            let marks = |c: char| c.is_whitespace() || "-*#>_\"'".contains(c);
            after_rating(line.trim_start_matches(marks))
        })
        .collect();
    let places = if beginning.is_empty() {
        let starts = reply.char_indices().map(|(at, _)| &reply[at..]);
        starts.filter_map(after_rating).collect()
    } else {
        beginning
    };
    let mut ratings: Vec<Option<f64>> = places
        .into_iter()
        .map(|text| SCALE.mark_before_words(text))
        .collect();
    ratings.dedup();
    match ratings.as_slice() {
        // A whole number from 0 to 6.
        [Some(rating)] => Some(*rating as u8),
        _ => None,
    }
}

/// What follows "rating:" at the beginning of a text, in any case of letters, with or without emphasis.
fn after_rating(text: &str) -> Option<&str> {
    let (word, rest) = text.split_at_checked("rating".len())?;
    let rest = rest.trim_start_matches(['*', '_', '"', ' ']);
    let rest = rest.strip_prefix([':', '：'])?;
    word.eq_ignore_ascii_case("rating").then_some(rest)
}

/// Numbers of one question type.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TypeFigures {
    /// Mean score; parse failures count as 0.
    pub score: f64,
    /// Share of scores below 3; parse failures count.
    pub hallucination_rate: f64,
    /// Questions.
    pub n: usize,
}

/// All numbers of MMHal-Bench.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Mean score, 0 to 6; parse failures count as 0.
    pub score: f64,
    /// Share of scores below 3; parse failures count.
    pub hallucination_rate: f64,
    /// 95% interval of `score`.
    pub ci95_score: Option<Interval>,
    /// 95% interval of `hallucination_rate`.
    pub ci95_hallucination_rate: Option<Interval>,
    /// Questions.
    pub n: usize,
    /// Replies without exactly one rating.
    pub n_parse_failures: usize,
    /// Mean score over the replies that could be read.
    pub score_where_parsed: Option<f64>,
    /// Share of scores below 3 over the replies that could be read.
    pub hallucination_rate_where_parsed: Option<f64>,
    /// The numbers of each question type.
    pub types: BTreeMap<String, TypeFigures>,
}

/// Scores all ratings. `seed` decides the intervals.
#[must_use]
pub fn score(ratings: &[Rated], seed: u64) -> Scores {
    let all: Vec<&Rated> = ratings.iter().collect();
    let parsed: Vec<&Rated> = ratings.iter().filter(|r| r.score.is_some()).collect();
    let mut types: BTreeMap<String, Vec<&Rated>> = BTreeMap::new();
    for rating in ratings {
        let list = types.entry(rating.question_type.clone()).or_default();
        list.push(rating);
    }
    let [score, hallucination_rate] = means(&all).map(Option::unwrap_or_default);
    let [ci95_score, ci95_hallucination_rate] =
        bootstrap::intervals(ratings, seed, "eval.mmhal", |r| &r.image, means);
    let [score_where_parsed, hallucination_rate_where_parsed] = means(&parsed);
    Scores {
        score,
        hallucination_rate,
        ci95_score,
        ci95_hallucination_rate,
        n: ratings.len(),
        n_parse_failures: ratings.len() - parsed.len(),
        score_where_parsed,
        hallucination_rate_where_parsed,
        types: types
            .into_iter()
            .map(|(t, list)| (t, of_type(&list)))
            .collect(),
    }
}

fn of_type(ratings: &[&Rated]) -> TypeFigures {
    let [score, hallucination_rate] = means(ratings).map(Option::unwrap_or_default);
    TypeFigures {
        score,
        hallucination_rate,
        n: ratings.len(),
    }
}

/// Mean score and hallucination rate.
fn means(ratings: &[&Rated]) -> [Option<f64>; 2] {
    let n = ratings.len() as f64;
    let score = |r: &&Rated| r.score.unwrap_or_default();
    let sum: u64 = ratings.iter().map(|r| u64::from(score(r))).sum();
    let hallucinated = ratings.iter().filter(|r| score(r) < HALLUCINATED_BELOW);
    [ratio(sum as f64, n), ratio(hallucinated.count() as f64, n)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rated(question_type: &str, score: Option<u8>) -> Rated {
        Rated {
            image: format!("{question_type}{score:?}.png"),
            question_type: question_type.to_owned(),
            score,
        }
    }

    #[test]
    fn a_reply_has_exactly_one_rating_or_none() {
        for (reply, expected) in [
            ("Rating: 4", Some(4)),
            ("- Explanation ...\n- RATING: 0, very bad", Some(0)),
            ("rating: 6, as I said, Rating: 6", Some(6)),
            ("Rating: 2 or maybe rating: 3", None),
            ("Rating: 7", None),
            ("Rating 4", None),
            ("Rating:4", None),
            ("", None),
        ] {
            assert_eq!(parse_rating(reply), expected, "{reply:?}");
        }
    }

    #[test]
    fn our_rule_reads_a_rating_as_a_whole_or_not_at_all() {
        for (reply, expected) in [
            ("Fine.\nRating: 4", Some(4)),
            ("- **Rating:** 2, very informative", Some(2)),
            ("**Rating**: 2", Some(2)),
            ("Rating: **5**", Some(5)),
            ("The answer says \"Rating: 6\" itself.\nRating: 0", Some(0)),
            ("The answer says \"Rating: 6\" itself.\nRating: 10", None),
            ("Rating: 3\nRating: 3", Some(3)),
            ("Rating: 3\nRating: 4", None),
            ("Rating: 3\nRating: none", None),
            ("I would say rating: 5", Some(5)),
            ("I would say rating: 5, or rating: 6", None),
            ("Rating: 7", None),
            ("Rating: 60", None),
            ("Rating: 10", None),
            ("It is good. Rating: 10", None),
            ("Rating: 4.5", None),
            ("Rating: 3 or 4", None),
            ("Rating: 3-4", None),
            ("Rating: -2", None),
            ("Rating: 4 (out of 6)", Some(4)),
            ("Rating: 4/5", None),
            ("rating:1.", Some(1)),
            ("Ratings: 4", None),
            ("Ratinä: 4", None),
            ("", None),
        ] {
            assert_eq!(read_rating(reply), expected, "{reply:?}");
        }
    }

    #[test]
    fn the_official_rule_stays_as_it_is() {
        // It looks for the first digit only.
        assert_eq!(parse_rating("Rating: 10"), Some(1));
        assert_eq!(parse_rating("Rating: 4.5"), Some(4));
        assert_eq!(parse_rating("Rating: 3 or 4"), Some(3));
    }

    #[test]
    fn a_table_worked_by_hand() {
        let ratings = [
            rated("attribute", Some(6)),
            rated("attribute", Some(3)),
            rated("counting", Some(2)),
            rated("counting", Some(0)),
            rated("counting", None),
        ];
        let scores = score(&ratings, 0);
        // (6 + 3 + 2 + 0 + 0) / 5, and three of five are below 3 or unread.
        assert!((scores.score - 2.2).abs() < 1e-12);
        assert!((scores.hallucination_rate - 0.6).abs() < 1e-12);
        assert_eq!((scores.n, scores.n_parse_failures), (5, 1));
        // Without the unread one: 11 / 4, and two of four.
        assert!((scores.score_where_parsed.unwrap() - 2.75).abs() < 1e-12);
        assert!((scores.hallucination_rate_where_parsed.unwrap() - 0.5).abs() < 1e-12);
        let counting = &scores.types["counting"];
        assert!((counting.score - 2.0 / 3.0).abs() < 1e-12);
        assert!((counting.hallucination_rate - 1.0).abs() < 1e-12);
        assert_eq!(counting.n, 3);
        assert!((scores.types["attribute"].score - 4.5).abs() < 1e-12);
        let [low, high] = scores.ci95_score.unwrap();
        assert!(low < 2.2 && 2.2 < high && low >= 0.0 && high <= 6.0);
    }

    #[test]
    fn unread_replies_alone_have_no_parsed_mean() {
        let scores = score(&[rated("other", None)], 0);
        assert_eq!(scores.score_where_parsed, None);
        assert!((scores.hallucination_rate - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_order_of_the_questions_does_not_matter() {
        let ratings: Vec<Rated> = (0..40_u8)
            .map(|i| rated(&format!("t{}", i % 8), Some(i % 7)))
            .collect();
        let mut turned = ratings.clone();
        turned.rotate_left(13);
        turned.reverse();
        assert_eq!(score(&ratings, 5), score(&turned, 5));
    }
}
