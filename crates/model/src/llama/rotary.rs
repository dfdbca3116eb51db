//! Rotary positions.

use tch::{Kind, Tensor};

/// Cosines and sines of the rotary positions of one pass, `[batch or 1, 1, len, head_dim]`.
#[derive(Debug)]
pub struct Rotary {
    cos: Tensor,
    sin: Tensor,
}

impl Rotary {
    /// Tables of the given angles.
    ///
    /// # Shapes
    /// `angles`: `[batch or 1, 1, len, head_dim]` f32.
    pub(crate) fn new(angles: &Tensor, kind: Kind) -> Self {
        Self {
            cos: angles.cos().to_kind(kind),
            sin: angles.sin().to_kind(kind),
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
        let halves = x.chunk(2, -1);
        let turned = Tensor::cat(&[halves[1].neg(), halves[0].shallow_clone()], -1);
        x * &self.cos + turned * &self.sin
    }
}
