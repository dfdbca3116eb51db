//! Rotary positions.

use candor_torch_ext::fused;
use tch::{Kind, Tensor};

/// Cosines and sines of the rotary positions of one pass, `[batch or 1, 1, len, head_dim]`; the sines of the first half carry
/// the minus sign of the rotation.
#[derive(Debug)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

/// How Llama 3 stretches positions: fast frequencies stay, slow ones are divided, and those between go from one to the
/// other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Llama3 {
    pub factor: f64,
    pub low: f64,
    pub high: f64,
    /// Positions before stretching.
    pub positions: f64,
}

impl Llama3 {
    /// # Errors
    /// Names the fields that make no sense.
    pub(crate) fn check(self) -> Result<(), String> {
        let finite = [self.factor, self.low, self.high, self.positions];
        if finite.iter().all(|x| x.is_finite() && *x > 0.0) && self.low < self.high {
            return Ok(());
        }
        Err(format!(
            "`rope_type` is `llama3` with `factor` {}, `low_freq_factor` {}, `high_freq_factor` {} and \
             `original_max_position_embeddings` {}; they must be above 0, and the second below the third",
            self.factor, self.low, self.high, self.positions
        ))
    }

    /// # Shapes
    /// `inverse_frequencies`: `[head_dim / 2]` f32 → the same.
    pub(crate) fn stretch(self, inverse_frequencies: &Tensor) -> Tensor {
        // The same operations as transformers, in f32.
        let waves = inverse_frequencies.reciprocal() * std::f64::consts::TAU;
        let slow = waves.gt(self.positions / self.low);
        let fast = waves.lt(self.positions / self.high);
        let divided = inverse_frequencies / self.factor;
        let smooth = (waves.reciprocal() * self.positions - self.low) / (self.high - self.low);
        let between =
            (1.0 - &smooth) * inverse_frequencies / self.factor + &smooth * inverse_frequencies;
        let ends = divided.where_self(&slow, inverse_frequencies);
        ends.where_self(&slow.logical_or(&fast), &between)
    }
}

impl Rotary {
    /// Tables of the given angles.
    ///
    /// # Shapes
    /// `angles`: `[batch or 1, 1, len, head_dim / 2]` f32.
    pub(crate) fn new(angles: &Tensor, kind: Kind) -> Self {
        let (cos, sin) = (angles.cos(), angles.sin());
        Self {
            cos: Tensor::cat(&[&cos, &cos], -1).to_kind(kind),
            sin: Tensor::cat(&[&sin.neg(), &sin], -1).to_kind(kind),
        }
    }

    /// The tables of some of the tokens.
    pub(crate) fn at(&self, tokens: &Tensor) -> Self {
        Self {
            cos: self.cos.index_select(2, tokens),
            sin: self.sin.index_select(2, tokens),
        }
    }

    pub(crate) fn apply(&self, x: &Tensor) -> Tensor {
        fused::rotary(x, &self.cos, &self.sin)
    }
}
