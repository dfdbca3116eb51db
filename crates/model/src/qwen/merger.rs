//! The merger: one token of the decoder's width for each square of patches.

use tch::Tensor;

use super::config::QwenVisionConfig;
use super::tower::Norm;
use crate::linear::Linear;
use crate::weights::{Init, Weights};
use crate::{Activation, ModelError, Part};

/// Norm of each patch, and two layers over the patches of a token together.
#[derive(Debug)]
pub(crate) struct Merger {
    norm: Norm,
    first: Linear,
    second: Linear,
    /// Numbers of a token's patches together.
    width: i64,
}

impl Merger {
    /// Takes the merger's tensors.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub fn take(weights: &mut Weights, c: &QwenVisionConfig) -> Result<Self, ModelError> {
        weights.begin(Part::Projector);
        let root = "multi_modal_projector";
        let width = c.width * c.merge_size * c.merge_size;
        let init = Init::Normal((width as f64).sqrt().recip());
        let mut layer = |at: usize, n_out: i64| {
            let name = format!("{root}.mlp.{at}");
            Linear::take(weights, &name, [width, n_out], true, init)
        };
        Ok(Self {
            first: layer(0, width)?,
            second: layer(2, c.out_width)?,
            norm: Norm::take(weights, &format!("{root}.ln_q"), c)?,
            width,
        })
    }

    /// # Shapes
    /// `features`: `[n_patches, tower width]`, the patches of a token beside each other → `[n_tokens, decoder width]`.
    pub fn forward(&self, features: &Tensor) -> Tensor {
        let together = self.norm.forward(features).reshape([-1, self.width]);
        let inner = Activation::Gelu.apply(&self.first.forward(&together));
        self.second.forward(&inner)
    }
}
