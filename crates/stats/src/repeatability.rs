//! How far several replies of one judge to the same question agree.

use serde::{Deserialize, Serialize};

/// Agreement over all pairs of replies to the same question.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Agreement {
    /// Share of the pairs with the same score; `None` without pairs.
    pub equal: Option<f64>,
    /// How far the scores of a pair are apart, on average.
    pub mean_distance: Option<f64>,
    /// Pairs of readable replies.
    pub n_pairs: usize,
}

/// Agreement of the scores that were read from the replies to each question; unread replies are left out.
#[must_use]
pub fn agreement(questions: &[Vec<Option<f64>>]) -> Agreement {
    let (mut n_equal, mut distance, mut n_pairs) = (0_usize, 0.0, 0_usize);
    for replies in questions {
        let scores: Vec<f64> = replies.iter().flatten().copied().collect();
        for (i, first) in scores.iter().enumerate() {
            for second in &scores[i + 1..] {
                let apart = (first - second).abs();
                n_equal += usize::from(apart < 1e-9);
                distance += apart;
                n_pairs += 1;
            }
        }
    }
    let mean = |sum: f64| (n_pairs > 0).then(|| sum / n_pairs as f64);
    Agreement {
        equal: mean(n_equal as f64),
        mean_distance: mean(distance),
        n_pairs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_counted_by_hand() {
        let found = agreement(&[
            vec![Some(4.0), Some(4.0), Some(1.0)],
            vec![Some(2.0), None, Some(2.0)],
            vec![Some(6.0)],
            vec![],
        ]);
        // Pairs: 4-4, 4-1, 4-1, 2-2; distances 0, 3, 3, 0.
        assert_eq!(
            (found.equal, found.mean_distance, found.n_pairs),
            (Some(0.5), Some(1.5), 4)
        );
        assert_eq!(agreement(&[vec![Some(1.0)]]).equal, None);
    }
}
