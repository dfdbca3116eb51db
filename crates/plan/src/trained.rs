//! The weights that a stage trains, and what their gradients and moments take.

use candor_train::States;

/// Bytes of a number of an adapter, a gradient or a moment.
pub(crate) const F32: u64 = 4;

/// Weights that are trained, in bytes of f32, which training has them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trained {
    /// Of all of them.
    pub bytes: u64,
    /// Of the largest tensor.
    pub largest_bytes: u64,
}

impl Trained {
    /// Tensors of so many weights.
    pub(crate) fn of(n_weights: impl IntoIterator<Item = u64>) -> Self {
        let tensors = n_weights.into_iter().map(|n| F32 * n);
        tensors.fold(Self::default(), |all, bytes| {
            all.and(Self {
                bytes,
                largest_bytes: bytes,
            })
        })
    }

    /// These and others.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self {
            bytes: self.bytes + others.bytes,
            largest_bytes: self.largest_bytes.max(others.largest_bytes),
        }
    }

    /// What passes in bf16 need besides [`Trained::optimizer`]: the weights themselves in f32, where they are on the device, and
    /// a gradient in bf16.
    #[must_use]
    pub fn masters(self, states: States) -> u64 {
        self.states(states, 1) + self.bytes / 2
    }

    /// Gradients and moments, where gradients are summed in so many lanes: beside the sum of a lane is the total of all.
    #[must_use]
    pub fn optimizer(self, lanes: usize, states: States) -> u64 {
        (1 + u64::from(lanes > 1)) * self.bytes + self.states(states, 2)
    }

    /// `n` numbers of each weight; of those on the host an update has those of one tensor on the device.
    fn states(self, states: States, n: u64) -> u64 {
        n * match states {
            States::OnDevice => self.bytes,
            States::OnHost => self.largest_bytes,
        }
    }
}
