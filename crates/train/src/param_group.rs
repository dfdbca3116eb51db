//! Which parameters an optimizer treats alike.

use tch::Tensor;

/// Parameters that share a learning-rate multiplier and decay or not.
#[derive(Debug)]
pub struct ParamGroup {
    /// Named leaves that require a gradient. Those in 16 bits get a master in f32.
    pub tensors: Vec<(String, Tensor)>,
    /// Multiplies the learning rate given to [`crate::AdamW::step`].
    pub lr_multiplier: f64,
    /// Whether weight decay applies.
    pub decay: bool,
}

impl ParamGroup {
    /// One group in which everything decays.
    #[must_use]
    pub fn all(tensors: Vec<(String, Tensor)>, lr_multiplier: f64) -> Vec<Self> {
        vec![Self {
            tensors,
            lr_multiplier,
            decay: true,
        }]
    }

    /// Two groups: matrices decay, tensors of at most one dimension (biases, norm weights) do not.
    #[must_use]
    pub fn without_decay_on_vectors(
        tensors: Vec<(String, Tensor)>,
        lr_multiplier: f64,
    ) -> Vec<Self> {
        let (matrices, vectors) = tensors.into_iter().partition(|(_, t)| t.dim() > 1);
        [(matrices, true), (vectors, false)]
            .into_iter()
            .map(|(tensors, decay)| Self {
                tensors,
                lr_multiplier,
                decay,
            })
            .collect()
    }
}
