//! How LLaVA-Bench's marks are read in a judge's reply (arXiv 2304.08485, section 5.1): from 1 to 10, one for the reference
//! and one for the answer. The relative score is 100 · mean(answer) / mean(reference).
//!
//! In the micro-world the exact judge's scores stand for the judge's marks, stretched from 0–6 to 1–10, because a ratio
//! needs marks that start above zero just as the judge's do.
//!
//! A judge's reply without marks on its first line counts apart and in no mean. The official script reads a little less
//! ([`official_pair`]) and counts what it cannot read as −1 and −1.

use crate::final_part::without_reasoning;
use crate::marks::Scale;
use crate::mmhal::MAX_SCORE;

/// The marks of a judge.
const SCALE: Scale = Scale {
    lowest: 0.0,
    highest: 10.0,
    is_whole: false,
};

/// The marks on the first line of a judge's reply, what it thinks in `<think>` left out, reference first: two numbers from 0 to
/// 10, as "8" or "8/10", separated by blanks or a comma. `None` when the line holds anything else.
#[must_use]
pub fn parse_pair(reply: &str) -> Option<[f64; 2]> {
    let line = without_reasoning(reply).lines().next()?.replace(',', " ");
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

#[cfg(test)]
mod tests {
    use super::*;

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
            ("<think>\n5 5?\n</think>\n\n8 7\nWell.", Some([8.0, 7.0])),
            ("5 5\n</think>\nIt is good.", None),
            ("<think>\n5 5", None),
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
}
