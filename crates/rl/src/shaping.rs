//! From one score for a response to one reward for each of its tokens.
//!
//! `r_t = scale · (−kl_coef · KL_t + [t is the score's position] · terminal)`.
//!
//! # Reference
//! The reference puts the score at the last column of its padded tensor, which for nearly every response is a
//! pad, and multiplies everything by a 10 that its options do not mention ([`ScorePosition::LastPad`] and
//! `scale`). Ours puts it at the last real token and multiplies by nothing.
//!
//! With [`ScorePosition::Sentences`] the score is paid by the sentence ([`crate::sentences`]), which adds up to the same.

use tch::{Kind, Tensor};

/// Which position of a row receives the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScorePosition {
    /// The last token of the response.
    LastToken,
    /// The last column, pad or not: the reference's.
    LastPad,
    /// The end of each sentence, what the sentence changes in the score; penalties and all other terms than `segments` at the last
    /// token of the response.
    Sentences,
    /// The end of each sentence, what the reward model says of that sentence; penalties and all other terms than `segments` at the last
    /// token of the response.
    Segments,
}

/// What a response earns as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TerminalCoefs {
    /// Taken off when the response did not end by itself.
    pub no_eos_penalty: f64,
    /// Taken off a response of `length_scale_tokens`, and of others in proportion.
    pub length_penalty: f64,
    /// The length at which the length penalty is reached in full.
    pub length_scale_tokens: f64,
    /// Multiplies the correctness of a symbolic answer.
    pub symbolic_coef: f64,
}

impl ScorePosition {
    /// Whether scores are paid sentence by sentence.
    #[must_use]
    pub fn by_sentence(self) -> bool {
        matches!(self, Self::Sentences | Self::Segments)
    }
}

impl TerminalCoefs {
    /// A response's length as a share of `length_scale_tokens`.
    #[must_use]
    pub fn length_share(&self, n_tokens: usize) -> f64 {
        n_tokens as f64 / self.length_scale_tokens
    }
}

/// The parts of a response's terminal reward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terminal {
    /// Subtracted because the response has no end token; 0 if it has.
    pub no_eos_penalty: f64,
    /// Subtracted for length: `length_penalty · length_bonus · n_tokens / length_scale_tokens`.
    pub length_penalty: f64,
    /// Added for a symbolic answer: `symbolic_coef · correctness`; negative for a wrong one.
    pub symbolic: f64,
    /// `score − no_eos_penalty − length_penalty + symbolic`.
    pub total: f64,
}

/// Adds up what a response earns as a whole.
///
/// `score` is the (normalised) score, `length_bonus` the prompt's factor on the length penalty.
#[must_use]
pub fn terminal(
    coefs: &TerminalCoefs,
    score: f64,
    n_tokens: usize,
    finished: bool,
    length_bonus: f64,
    correctness: f64,
) -> Terminal {
    let no_eos_penalty = if finished { 0.0 } else { coefs.no_eos_penalty };
    let share = coefs.length_share(n_tokens);
    let length_penalty = coefs.length_penalty * length_bonus * share;
    let symbolic = coefs.symbolic_coef * correctness;
    Terminal {
        no_eos_penalty,
        length_penalty,
        symbolic,
        total: score - no_eos_penalty - length_penalty + symbolic,
    }
}

/// Moves what sentences earned from a response's last token to theirs.
///
/// # Shapes
/// `rewards`: `[batch, response]`; `sentences`: for each row the places of ends with what is paid there → the same shape.
pub fn by_sentence(
    rewards: &Tensor,
    sentences: &[Vec<(usize, f64)>],
    last: &[usize],
    scale: f64,
) -> Tensor {
    let [n_rows, width] = [rewards.size()[0] as usize, rewards.size()[1] as usize];
    let mut moved = vec![0.0_f64; n_rows * width];
    for (row, paid) in sentences.iter().enumerate() {
        for &(place, gain) in paid {
            moved[row * width + place] += scale * gain;
            moved[row * width + last[row]] -= scale * gain;
        }
    }
    let moved = Tensor::from_slice(&moved).reshape(rewards.size());
    rewards + moved.to_kind(rewards.kind()).to_device(rewards.device())
}

/// Rewards per token.
///
/// # Shapes
/// `kl`: `[batch, response]`; `mask`: `[batch, response]` bool, true = real token, in each row a prefix;
/// `terminal`: `[batch]` → `[batch, response]`. Pads get 0, but for the score's position. A row without a
/// single real token gets nothing.
pub fn rewards(
    kl: &Tensor,
    mask: &Tensor,
    terminal: &Tensor,
    kl_coef: f64,
    position: ScorePosition,
    scale: f64,
) -> Tensor {
    let [n_rows, width] = [kl.size()[0], kl.size()[1]];
    let per_token = kl.masked_fill(&mask.logical_not(), 0.0) * -kl_coef;
    let columns = Tensor::arange(width, (Kind::Int64, kl.device())).unsqueeze(0);
    let last = match position {
        ScorePosition::LastPad => Tensor::full([n_rows, 1], width - 1, (Kind::Int64, kl.device())),
        ScorePosition::LastToken | ScorePosition::Sentences | ScorePosition::Segments => {
            mask.sum_dim_intlist([1].as_slice(), true, Kind::Int64) - 1
        }
    };
    let at_last = columns.eq_tensor(&last).to_kind(kl.kind());
    (per_token + at_last * terminal.to_kind(kl.kind()).unsqueeze(1)) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    const COEFS: TerminalCoefs = TerminalCoefs {
        no_eos_penalty: 8.0,
        length_penalty: 10.0,
        length_scale_tokens: 896.0,
        symbolic_coef: 2.0,
    };

    #[test]
    fn penalties_are_subtracted_and_correctness_is_added() {
        // 224 tokens are a quarter of 896; the prompt halves the length penalty.
        let finished = terminal(&COEFS, 1.5, 224, true, 0.5, 1.0);
        assert_eq!(
            (
                finished.no_eos_penalty,
                finished.length_penalty,
                finished.symbolic
            ),
            (0.0, 1.25, 2.0)
        );
        assert!((finished.total - 2.25).abs() < 1e-12);
        let cut = terminal(&COEFS, 1.5, 896, false, 1.0, -0.5);
        assert!((cut.total - (1.5 - 8.0 - 10.0 - 1.0)).abs() < 1e-12);
    }

    fn shaped(position: ScorePosition, scale: f64) -> Vec<f64> {
        let kl = Tensor::from_slice(&[1.0_f64, 2.0, f64::NAN, 4.0, 5.0, 6.0]).reshape([2, 3]);
        let mask = Tensor::from_slice(&[true, true, false, true, true, true]).reshape([2, 3]);
        let terminal = Tensor::from_slice(&[10.0_f64, 20.0]);
        let rewards = rewards(&kl, &mask, &terminal, 0.1, position, scale);
        Vec::try_from(rewards.flatten(0, 1)).unwrap()
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() < 1e-12, "{found:?} against {expected:?}");
        }
    }

    #[test]
    fn sentences_are_paid_at_their_ends_and_add_up_to_the_score() {
        let rewards = Tensor::from_slice(&[0.0_f64, -1.0, 5.0, 0.0, 2.0, 0.0]).reshape([2, 3]);
        // Of the 5 at the end of the first row 4 and −2 were earned at its first two tokens.
        let sentences = [vec![(0, 4.0), (1, -2.0), (2, 3.0)], vec![(1, 2.0)]];
        let moved = by_sentence(&rewards, &sentences, &[2, 1], 1.0);
        let moved: Vec<f64> = Vec::try_from(moved.flatten(0, 1)).unwrap();
        assert_close(&moved, &[4.0, -3.0, 3.0, 0.0, 2.0, 0.0]);
    }

    #[test]
    fn the_score_lands_where_it_is_told_to() {
        assert_close(
            &shaped(ScorePosition::LastToken, 1.0),
            &[-0.1, 9.8, 0.0, -0.4, -0.5, 19.4],
        );
        assert_close(
            &shaped(ScorePosition::LastPad, 10.0),
            &[-1.0, -2.0, 100.0, -4.0, -5.0, 194.0],
        );
    }
}
