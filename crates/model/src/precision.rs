//! What a base's weights are held in.

use std::sync::Once;

use tch::{Device, Kind};

/// How the linear layers of the decoder's blocks are packed. Such a base is frozen; adapters are trained on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantization {
    /// Not at all.
    #[default]
    None,
    /// 8 bits a weight, one scale an output row.
    Int8,
    /// 4.13 bits a weight: `QLoRA`'s normal float with doubly quantised scales.
    Nf4,
}

impl Quantization {
    /// Whether a tensor of that name among a model's is a part of a packed weight. No other name goes on after
    /// `weight`.
    #[must_use]
    pub fn is_part(name: &str) -> bool {
        name.contains(".weight.")
    }
}

/// What a base's weights are held in and its arithmetic is done in. A [`Kind`] alone is one without quantisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    /// Of the arithmetic, and of every weight that is not quantised: embedding, norms, output layer, tower and
    /// projector always.
    pub kind: Kind,
    /// Of the linear layers of the decoder's blocks.
    pub quantization: Quantization,
}

/// What nobody wants to run on a CPU without knowing it.
const MANY_PARAMETERS: u64 = 1_000_000_000;

impl Precision {
    /// Says once a process that billions of parameters are many for a CPU, and that arithmetic in bf16 is slow on it, which
    /// few processors have instructions for.
    pub(crate) fn remark(self, device: Device, n_parameters: u64) {
        static SAID_SIZE: Once = Once::new();
        static SAID_KIND: Once = Once::new();
        if device != Device::Cpu {
            return;
        }
        if n_parameters >= MANY_PARAMETERS {
            SAID_SIZE.call_once(|| {
                tracing::warn!(
                    "{:.1} billion parameters computed on the CPU, which takes many times as long as on a GPU: `candor doctor` \
                     says what keeps this machine from one",
                    n_parameters as f64 / 1e9
                );
            });
        }
        if self.kind == Kind::BFloat16 {
            SAID_KIND.call_once(|| {
                tracing::warn!(
                    "computing in bf16 on the CPU, about three times slower than f32: where there is memory for it, choose \
                     f32 (model.base_precision in a recipe, --precision in a command)"
                );
            });
        }
    }
}

impl From<Kind> for Precision {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            quantization: Quantization::None,
        }
    }
}
