//! Mergers: one token of the decoder's width for each square of patches.

use tch::Tensor;

use super::block::Norm;
use super::config::{Generation, QwenVisionConfig};
use crate::deep::Projected;
use crate::linear::Linear;
use crate::lora::Adapter;
use crate::weights::{Init, Weights};
use crate::{Activation, ModelError, Part};

/// The merger of what the last block gives, and one for each other block whose output goes into the decoder.
#[derive(Debug)]
pub(crate) struct Mergers {
    last: Merger,
    deep: Vec<Merger>,
    /// Width of the tower.
    width: i64,
}

/// Norm, and two layers over the patches of a token together.
#[derive(Debug)]
struct Merger {
    norm: Norm,
    /// Whether the norm is of each patch, or of the patches of a token together.
    norm_of_patch: bool,
    first: Linear,
    second: Linear,
    /// Numbers of a token's patches together.
    width: i64,
}

impl Mergers {
    /// Takes the mergers' tensors.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub(crate) fn take(weights: &mut Weights, c: &QwenVisionConfig) -> Result<Self, ModelError> {
        weights.begin(Part::Projector);
        let root = "multi_modal_projector";
        let deep = 0..c.deep.len();
        Ok(Self {
            last: Merger::take(weights, root, true, c)?,
            deep: deep
                .map(|at| Merger::take(weights, &format!("{root}.deepstack.{at}"), false, c))
                .collect::<Result<_, _>>()?,
            width: c.width,
        })
    }

    /// # Shapes
    /// `features`: `[n_patches, feature_width]`, the patches of a token beside each other.
    pub(crate) fn forward(&self, features: &Tensor, adapter: Option<&Adapter>) -> Projected {
        if self.deep.is_empty() {
            return Projected::plain(self.last.forward(features, adapter));
        }
        let of_block = |at: usize| features.narrow(1, at as i64 * self.width, self.width);
        let deep = self.deep.iter().zip(1..);
        Projected {
            tokens: self.last.forward(&of_block(0), adapter),
            deep: deep
                .map(|(merger, at)| merger.forward(&of_block(at), adapter))
                .collect(),
        }
    }
}

impl Merger {
    fn take(
        weights: &mut Weights,
        root: &str,
        norm_of_patch: bool,
        c: &QwenVisionConfig,
    ) -> Result<Self, ModelError> {
        let [norm, first, second] = match c.generation {
            Generation::Qwen2Vl | Generation::Qwen25Vl => ["ln_q", "mlp.0", "mlp.2"],
            Generation::Qwen3Vl => ["norm", "linear_fc1", "linear_fc2"],
        };
        let width = c.width * c.merge_size * c.merge_size;
        let init = Init::Normal((width as f64).sqrt().recip());
        let mut layer = |name: &str, n_out: i64| {
            let name = format!("{root}.{name}");
            Linear::take(weights, &name, [width, n_out], true, init)
        };
        let (first, second) = (layer(first, width)?, layer(second, c.out_width)?);
        let normed = if norm_of_patch { c.width } else { width };
        Ok(Self {
            first,
            second,
            norm: Norm::take(weights, &format!("{root}.{norm}"), c.generation, normed)?,
            norm_of_patch,
            width,
        })
    }

    /// # Shapes
    /// `features`: `[n_patches, tower width]` → `[n_tokens, decoder width]`.
    fn forward(&self, features: &Tensor, adapter: Option<&Adapter>) -> Tensor {
        let together = if self.norm_of_patch {
            self.norm.forward(features).reshape([-1, self.width])
        } else {
            self.norm.forward(&features.reshape([-1, self.width]))
        };
        let inner = Activation::Gelu.apply(&self.first.adapted(&together, adapter));
        self.second.adapted(&inner, adapter)
    }
}
