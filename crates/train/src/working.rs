//! A weight that passes compute with in bf16, while it is trained in f32.
//!
//! Most updates are smaller than the step between two numbers of bf16, and would be lost; so the optimizer has a *master* in f32, and
//! what passes read is rounded from it after each update. A pass gives its gradient in bf16. Those of several passes are added up
//! in f32, or small ones would be lost beside the sum.
//!
//! What it takes a weight, beside the two moments: 4 bytes for the master, 4 for the sum of gradients, 2 for what passes read, and
//! 2 for their gradient, which is kept from pass to pass.

use tch::{Kind, Tensor};

/// The gradients of a leaf in 16 bits.
#[derive(Debug)]
pub(crate) struct Working {
    /// Of the passes so far; none where no pass had one.
    sum: Option<Tensor>,
}

impl Working {
    /// Of a leaf of 16 bits; none of a leaf that is trained itself.
    pub(crate) fn of(leaf: &Tensor) -> Option<Self> {
        let is_rounded = matches!(leaf.kind(), Kind::BFloat16 | Kind::Half);
        is_rounded.then_some(Self { sum: None })
    }

    /// Forgets all gradients.
    pub(crate) fn zero_grad(&mut self, leaf: &mut Tensor) {
        leaf.zero_grad();
        self.sum = None;
    }

    /// Adds the gradient of a pass to those of the passes before it.
    pub(crate) fn end_pass(&mut self, leaf: &mut Tensor) {
        let gradient = leaf.grad();
        if !gradient.defined() {
            return;
        }
        match &mut self.sum {
            None => self.sum = Some(gradient.to_kind(Kind::Float)),
            Some(sum) => {
                let _ = sum.g_add_(&gradient);
            }
        }
        leaf.zero_grad();
    }

    /// The gradients of the passes that have ended.
    pub(crate) fn gradient(&self) -> Option<Tensor> {
        self.sum.as_ref().map(Tensor::shallow_clone)
    }

    /// The same, which are forgotten then.
    pub(crate) fn take(&mut self) -> Option<Tensor> {
        self.sum.take()
    }
}
