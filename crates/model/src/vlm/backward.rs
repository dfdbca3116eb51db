//! Training passes: forward, a loss of the final hidden states, and backward into every trainable weight.

use candor_torch_ext::libtorch::deterministically;
use tch::{Kind, Tensor};

use super::{Embedded, Vlm};
use crate::deep::Deep;
use crate::features::Features;
use crate::llama::Visible;
use crate::lora::Adapter;
use crate::shared::SharedBatch;

/// What a training pass keeps of its activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activations {
    /// All of them: fastest.
    Keep,
    /// Only each block's input; blocks run a second time going backward (gradient checkpointing).
    Recompute,
    /// The same of the first so many blocks; all that the others computed is kept.
    RecomputeFirst(usize),
}

impl Vlm {
    /// Runs a training pass: forward, `loss` of the final hidden states, backward into every trainable
    /// weight. `loss` also gives whatever else is wanted of the pass, which is returned; tensors in it should be
    /// detached, or they keep the pass in memory.
    ///
    /// # Shapes
    /// `embedded`: padded on the right; `loss` gets `[batch, len, width]` and gives a scalar.
    pub fn backward<T>(
        &self,
        embedded: &Embedded,
        adapter: Option<&Adapter>,
        activations: Activations,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        let rotary = self.rotary(embedded);
        let block = |layer: usize, x: &Tensor| {
            self.decoder
                .block(layer, x, &rotary, Visible::Causal, adapter, None)
        };
        let (x, deep) = (&embedded.x, embedded.deep.as_ref());
        self.backward_through(x, deep, activations, block, |x| {
            loss(&self.decoder.final_norm(x))
        })
    }

    /// [`Vlm::backward`] of sequences that share their beginning; `loss` gets what
    /// [`Vlm::hidden_shared`] gives. The projector is trained along where it is trainable.
    ///
    /// # Shapes
    /// `features`: as there; `loss` gives a scalar.
    pub fn backward_shared<T>(
        &self,
        batch: &SharedBatch,
        features: Option<&Features>,
        adapter: Option<&Adapter>,
        activations: Activations,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        let (embedded, deep, rotary) = self.embed_shared(batch, features, adapter);
        let block =
            |layer: usize, x: &Tensor| self.decoder.block_shared(layer, x, &rotary, batch, adapter);
        self.backward_through(&embedded, deep.as_ref(), activations, block, |x| {
            loss(&batch.pooled(&self.decoder.final_norm(&batch.read(x))))
        })
    }

    /// Forward through `block` for each layer and what is added after it, `loss` of what the last one gives, and backward.
    fn backward_through<T>(
        &self,
        embedded: &Tensor,
        deep: Option<&Deep>,
        activations: Activations,
        block: impl Fn(usize, &Tensor) -> Tensor,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        deterministically(|| match activations {
            Activations::Keep => {
                let x = (0..self.decoder.n_blocks()).fold(embedded.shallow_clone(), |x, layer| {
                    Deep::add(deep, layer, block(layer, &x))
                });
                let (value, computed) = loss(&x);
                // With the projector alone in training, a batch without images reaches nothing trainable.
                if value.requires_grad() {
                    value.backward();
                }
                computed
            }
            Activations::Recompute => {
                self.backward_recomputing(self.decoder.n_blocks(), embedded, deep, block, loss)
            }
            Activations::RecomputeFirst(n) => {
                // What is added after a block goes back through the projector with all the rest, and once.
                let first = n.max(deep.map_or(0, Deep::n_layers));
                let first = first.min(self.decoder.n_blocks());
                self.backward_recomputing(first, embedded, deep, block, loss)
            }
        })
    }

    /// Gradient checkpointing of the first blocks without touching autograd's inner workings: the chain rule block by block.
    fn backward_recomputing<T>(
        &self,
        first: usize,
        embedded: &Tensor,
        deep: Option<&Deep>,
        block: impl Fn(usize, &Tensor) -> Tensor,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        let mut inputs = vec![embedded.detach()];
        tch::no_grad(|| {
            for layer in 0..first {
                inputs.push(Deep::add(deep, layer, block(layer, &inputs[layer])));
            }
        });
        let leaf = |x: Tensor| x.detach().set_requires_grad(true);
        let Some(last) = inputs.pop().map(leaf) else {
            unreachable!("the embedding is always there")
        };
        let kept = first..self.decoder.n_blocks();
        let x = kept.fold(last.shallow_clone(), |x, layer| block(layer, &x));
        let (value, computed) = loss(&x);
        value.backward();
        let mut gradient = last.grad();
        let mut reached = Vec::new();
        for layer in (0..first).rev() {
            let Some(input) = inputs.pop().map(leaf) else {
                unreachable!("one input for each block")
            };
            reached.extend(deep.and_then(|deep| deep.gradient(layer, &gradient)));
            // d(y·g)/dx is the vector-Jacobian product that the chain rule asks for.
            (block(layer, &input) * gradient)
                .sum(Kind::Float)
                .backward();
            gradient = input.grad();
        }
        reached.push((embedded, gradient));
        // What images gave at several places goes back through projector and tower at once.
        let products = reached.iter().filter(|(given, _)| given.requires_grad());
        let products = products.map(|(given, gradient)| (*given * gradient).sum(Kind::Float));
        if let Some(product) = products.reduce(|all, product| all + product) {
            product.backward();
        }
        computed
    }
}
