//! The projector from the tower's width to the decoder's.

use tch::Tensor;

use crate::linear::Linear;
use crate::lora::Adapter;
use crate::weights::{Init, Weights};
use crate::{Activation, LlavaConfig, ModelError, Part, ProjectorKind};

/// One linear layer (LLaVA v1), or two with an activation between them (v1.5).
#[derive(Debug)]
pub(crate) struct Projector {
    first: Linear,
    second: Option<(Activation, Linear)>,
}

impl Projector {
    /// Takes the projector's tensors.
    ///
    /// # Errors
    /// The source lacks one or has it in another shape.
    pub(crate) fn take(weights: &mut Weights, config: &LlavaConfig) -> Result<Self, ModelError> {
        weights.begin(Part::Projector);
        let (from, to) = (config.feature_width(), config.text_config.hidden_size);
        let bias = config.multimodal_projector_bias;
        let mut layer = |name: &str, n_in: i64| {
            // Below 1/√n_in, because a tower's features spread wider than 1.
            let init = Init::Normal(0.3 * (n_in as f64).sqrt().recip());
            Linear::take(
                weights,
                &format!("multi_modal_projector.{name}"),
                [n_in, to],
                bias,
                init,
            )
        };
        Ok(match config.mm_projector_type {
            ProjectorKind::Linear => Self {
                first: layer("linear", from)?,
                second: None,
            },
            ProjectorKind::Mlp => {
                let first = layer("linear_1", from)?;
                Self {
                    first,
                    second: Some((config.projector_hidden_act, layer("linear_2", to)?)),
                }
            }
        })
    }

    /// # Shapes
    /// `features`: `[.., feature width]` → `[.., decoder width]`.
    pub(crate) fn forward(&self, features: &Tensor, adapter: Option<&Adapter>) -> Tensor {
        let x = self.first.adapted(features, adapter);
        match &self.second {
            Some((activation, second)) => second.adapted(&activation.apply(&x), adapter),
            None => x,
        }
    }
}
