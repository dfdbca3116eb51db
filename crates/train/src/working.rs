//! A weight that passes compute with in bf16, while it is trained in f32.
//!
//! Most updates are smaller than the step between two numbers of bf16, and would be lost; so the optimizer has a *master* in f32, and
//! what passes read is rounded from it after each update. A pass gives its gradient in bf16. Those of several passes are added up
//! in f32, or small ones would be lost beside the sum.
//!
//! What it takes a weight, beside the two moments: 4 bytes for the master, 4 for the sum of gradients, 2 for what passes read, and
//! 2 for their gradient, which tch cannot give back.

use tch::{Kind, Tensor};

/// What passes read in the place of a master.
#[derive(Debug)]
pub(crate) struct Working {
    /// The model's own tensor, a leaf.
    leaf: Tensor,
    /// The gradients of the passes so far; none where no pass had one.
    sum: Option<Tensor>,
}

impl Working {
    /// The master of a leaf of 16 bits, and what stands in its place; none of a leaf that is trained itself.
    pub(crate) fn of(leaf: &Tensor) -> Option<(Tensor, Self)> {
        if !matches!(leaf.kind(), Kind::BFloat16 | Kind::Half) {
            return None;
        }
        let working = Self {
            leaf: leaf.shallow_clone(),
            sum: None,
        };
        Some((leaf.detach().to_kind(Kind::Float), working))
    }

    /// Forgets all gradients.
    pub(crate) fn zero_grad(&mut self) {
        self.leaf.zero_grad();
        self.sum = None;
    }

    /// Adds the gradient of a pass to those of the passes before it.
    pub(crate) fn end_pass(&mut self) {
        let gradient = self.leaf.grad();
        if !gradient.defined() {
            return;
        }
        match &mut self.sum {
            None => self.sum = Some(gradient.to_kind(Kind::Float)),
            Some(sum) => {
                let _ = sum.g_add_(&gradient);
            }
        }
        self.leaf.zero_grad();
    }

    /// The gradients of the passes that have ended.
    pub(crate) fn gradient(&self) -> Option<Tensor> {
        self.sum.as_ref().map(Tensor::shallow_clone)
    }

    /// Rounds the master anew.
    pub(crate) fn follow(&mut self, master: &Tensor) {
        tch::no_grad(|| self.leaf.copy_(master));
    }
}
