//! Which tokens of an answer count, and how much: from log-probabilities of tokens to that of an answer.
//!
//! An answer's log-probability is the sum or the mean over its tokens, in which those that the other answer does not have may
//! weigh more (dense DPO), and those that both begin with may be left out (a given beginning, as SENTINEL's).
//!
//! # Reference
//! RLHF-V (arXiv 2312.00849), eq. 3: `log π(y|x) = (Σ_unchanged + γ Σ_changed) / (|unchanged| + γ |changed|)`. What changed is
//! here what is not in a longest common subsequence of the tokens; the authors' code asks Python's `difflib`, which may
//! choose another alignment.

use tch::{Kind, Tensor};

/// How the tokens of answers make log-probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counting {
    /// Whether they are averaged over the tokens, by weight, and not added up.
    pub mean: bool,
    /// Weight of tokens that the other answer does not have; 1 for all where there is none.
    pub changed_weight: Option<f64>,
    /// Whether the tokens that both answers begin with count.
    pub common_beginning: bool,
}

/// Tokens that two answers begin with.
#[must_use]
pub fn common_beginning(left: &[i64], right: &[i64]) -> usize {
    left.iter().zip(right).take_while(|(l, r)| l == r).count()
}

/// The weight of each token of two answers: `changed` for those outside their longest common subsequence, 1 for the others.
/// Of several such subsequences it is the one that takes tokens as early as it can.
#[must_use]
pub fn weights(left: &[i64], right: &[i64], changed: f64) -> [Vec<f64>; 2] {
    // longest[i][j]: tokens in common of left[i..] and right[j..].
    let width = right.len() + 1;
    let mut longest = vec![0_u32; (left.len() + 1) * width];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            longest[i * width + j] = if left[i] == right[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let mut weights = [vec![changed; left.len()], vec![changed; right.len()]];
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        if left[i] == right[j] {
            (weights[0][i], weights[1][j]) = (1.0, 1.0);
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    weights
}

/// Log-probabilities of answers, from those of their tokens and the tokens' weights; a weight of 0 is no token.
///
/// # Shapes
/// `logprobs`, `weights`: `[n, longest]` → `[n]` f64.
pub fn counted(logprobs: &Tensor, weights: &Tensor, mean: bool) -> Tensor {
    let sum = |x: &Tensor| x.sum_dim_intlist([-1].as_slice(), false, Kind::Double);
    let total = sum(&(logprobs.to_kind(Kind::Double) * weights));
    if mean { total / sum(weights) } else { total }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_replaced_word_weighs_more_and_so_does_an_added_one() {
        // "a red dog ." and "a big red cat .": `dog`, `big` and `cat` changed.
        let (chosen, rejected) = ([1, 2, 3, 9], [1, 7, 2, 4, 9]);
        let found = weights(&chosen, &rejected, 5.0);
        assert_eq!(found[0], [1.0, 1.0, 5.0, 1.0]);
        assert_eq!(found[1], [1.0, 5.0, 1.0, 5.0, 1.0]);
    }

    #[test]
    fn dense_log_probabilities_worked_by_hand() {
        let logprobs = Tensor::from_slice(&[-1.0_f32, -2.0, -4.0, -8.0]).reshape([2, 2]);
        let weights = Tensor::from_slice(&[1.0_f64, 5.0, 1.0, 0.0]).reshape([2, 2]);
        let numbers = |mean| Vec::<f64>::try_from(counted(&logprobs, &weights, mean)).unwrap();
        assert_eq!(numbers(false), [-11.0, -4.0]);
        // (1 · −1 + 5 · −2) / 6; of the second row one token counts.
        assert_eq!(numbers(true), [-11.0 / 6.0, -4.0]);
    }

    fn tokens() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(0_i64..4, 0..12)
    }

    /// Tokens in common, by the definition: the best of leaving out either first token, or taking both.
    fn most_in_common(left: &[i64], right: &[i64]) -> usize {
        match (left.split_first(), right.split_first()) {
            (Some((l, left_rest)), Some((r, right_rest))) if l == r => {
                1 + most_in_common(left_rest, right_rest)
            }
            (Some((_, left_rest)), Some((_, right_rest))) => {
                most_in_common(left_rest, right).max(most_in_common(left, right_rest))
            }
            _ => 0,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_is_unchanged_is_a_longest_common_subsequence(left in tokens(), right in tokens()) {
            let [of_left, of_right] = weights(&left, &right, 5.0);
            let kept = |tokens: &[i64], weights: &[f64]| -> Vec<i64> {
                let kept = tokens.iter().zip(weights).filter(|(_, weight)| **weight < 2.0);
                kept.map(|(token, _)| *token).collect()
            };
            let (left_kept, right_kept) = (kept(&left, &of_left), kept(&right, &of_right));
            prop_assert_eq!(&left_kept, &right_kept);
            prop_assert_eq!(left_kept.len(), most_in_common(&left, &right));
        }
    }
}
