//! Linear layers: plain ones, and those of the decoder's blocks, which may be packed and which an adapter may modify.

use candor_torch_ext::PackedWeight;
use candor_torch_ext::linears::{Layer, linears, with_term};
use tch::Tensor;

use crate::lora::{Adapter, LowRank};
use crate::weights::{Init, Weights};
use crate::{Activation, ModelError};

/// `y = x Wᵀ + b`.
#[derive(Debug)]
pub struct Linear {
    name: String,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Takes `<name>.weight`, `[n_out, n_in]`, and `<name>.bias` where the layer has one.
    ///
    /// # Errors
    /// The source lacks them or has them in another shape.
    pub fn take(
        weights: &mut Weights,
        name: &str,
        [n_in, n_out]: [i64; 2],
        bias: bool,
        init: Init,
    ) -> Result<Self, ModelError> {
        let weight = weights.take(&format!("{name}.weight"), &[n_out, n_in], init)?;
        let bias = bias
            .then(|| weights.take(&format!("{name}.bias"), &[n_out], Init::Zeros))
            .transpose()?;
        Ok(Self {
            name: name.to_owned(),
            weight,
            bias,
        })
    }

    /// A copy with tensors of its own, not trainable yet.
    pub(crate) fn copy(&self) -> Self {
        let own = |tensor: &Tensor| tensor.detach().copy();
        Self {
            name: self.name.clone(),
            weight: own(&self.weight),
            bias: self.bias.as_ref().map(own),
        }
    }

    /// Its tensors under the names that [`Linear::take`] takes them by.
    pub(crate) fn parameters(&self, name: &str) -> Vec<(String, Tensor)> {
        let weight = (format!("{name}.weight"), self.weight.shallow_clone());
        let bias = self.bias.iter();
        let bias = bias.map(|bias| (format!("{name}.bias"), bias.shallow_clone()));
        bias.chain([weight]).collect()
    }

    /// # Shapes
    /// `x`: `[.., n_in]` → `[.., n_out]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }

    /// The same with an adapter's term, where it has one for this layer.
    pub(crate) fn adapted(&self, x: &Tensor, adapter: Option<&Adapter>) -> Tensor {
        let base = self.forward(x);
        match adapter.and_then(|adapter| adapter.term(&self.name)) {
            Some(lora) => with_term(&base, x, lora.term()),
            None => base,
        }
    }
}

/// The weight `[n_out, n_in]` of a linear layer of the decoder's blocks. Some families have a bias beside it, which no
/// quantised base packs.
#[derive(Debug)]
pub(crate) enum BlockLinear {
    /// As it was read.
    Dense(Tensor),
    /// Frozen, in a few bits.
    Packed(PackedWeight),
}

/// What some layers of a block make of one input, each with a bias and an adapter's term for it where there are.
///
/// # Shapes
/// `x`: `[.., n_in]`; biases: `[n_out]` → `[.., n_out]` each.
pub(crate) fn adapted<const N: usize>(
    x: &Tensor,
    layers: [(&BlockLinear, Option<&Tensor>, Option<&LowRank>); N],
) -> [Tensor; N] {
    // A quantised base packs all of a block's layers or none.
    let mut dense = Vec::with_capacity(N);
    for (linear, bias, lora) in layers {
        if let BlockLinear::Dense(weight) = linear {
            let term = lora.map(LowRank::term);
            dense.push(Layer { weight, bias, term });
        }
    }
    match <[Layer<'_>; N]>::try_from(dense) {
        Ok(dense) => linears(x, dense),
        Err(_) => layers.map(|(linear, bias, lora)| linear.adapted(x, bias, lora)),
    }
}

impl BlockLinear {
    /// One layer alone.
    fn adapted(&self, x: &Tensor, bias: Option<&Tensor>, lora: Option<&LowRank>) -> Tensor {
        let base = match (self, bias) {
            (Self::Dense(weight), bias) => x.linear(weight, bias),
            (Self::Packed(weight), None) => weight.linear(x),
            (Self::Packed(weight), Some(bias)) => weight.linear(x) + bias,
        };
        match lora {
            Some(lora) => with_term(&base, x, lora.term()),
            None => base,
        }
    }
}

impl Activation {
    /// Applies the function element by element.
    pub fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Gelu => x.gelu("none"),
            Self::GeluTanh => x.gelu("tanh"),
            Self::QuickGelu => x * (x * 1.702).sigmoid(),
            Self::Silu => x.silu(),
        }
    }
}
