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

/// Where the weights of the decoder's blocks are, which need not be here between a recomputing pass's uses of them. Such a pass uses
/// them once forward, from the first block to the last, and once backward, from the last to the first.
pub trait Blocks {
    /// A block is about to be computed: its weights must be here.
    fn bring(&self, layer: usize);

    /// A block was computed; `is_backward` where its gradients were too.
    fn release(&self, layer: usize, is_backward: bool);
}

/// Blocks whose weights are always here.
#[derive(Debug, Clone, Copy)]
pub struct AllHere;

impl Blocks for AllHere {
    fn bring(&self, _: usize) {}

    fn release(&self, _: usize, _: bool) {}
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
        self.backward_by_blocks(embedded, adapter, activations, &AllHere, loss)
    }

    /// [`Vlm::backward`] of a model whose blocks' weights are here as `blocks` says. Those that are not recomputed must always be.
    ///
    /// # Shapes
    /// As there.
    pub fn backward_by_blocks<T>(
        &self,
        embedded: &Embedded,
        adapter: Option<&Adapter>,
        activations: Activations,
        blocks: &dyn Blocks,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        let rotary = self.rotary(embedded);
        let block = |layer: usize, x: &Tensor| {
            self.decoder
                .block(layer, x, &rotary, Visible::Causal, adapter, None)
        };
        let (x, deep) = (&embedded.x, embedded.deep.as_ref());
        self.backward_through(x, deep, activations, block, blocks, |x| {
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
        let deep = deep.as_ref();
        self.backward_through(&embedded, deep, activations, block, &AllHere, |x| {
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
        blocks: &dyn Blocks,
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
                let all = self.decoder.n_blocks();
                self.backward_recomputing(all, embedded, deep, block, blocks, loss)
            }
            Activations::RecomputeFirst(n) => {
                // What is added after a block goes back through the projector with all the rest, and once.
                let first = n.max(deep.map_or(0, Deep::n_layers));
                let first = first.min(self.decoder.n_blocks());
                self.backward_recomputing(first, embedded, deep, block, blocks, loss)
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
        blocks: &dyn Blocks,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        let mut inputs = vec![embedded.detach()];
        tch::no_grad(|| {
            for layer in 0..first {
                blocks.bring(layer);
                inputs.push(Deep::add(deep, layer, block(layer, &inputs[layer])));
                blocks.release(layer, false);
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
            blocks.bring(layer);
            // d(y·g)/dx is the vector-Jacobian product that the chain rule asks for.
            (block(layer, &input) * gradient)
                .sum(Kind::Float)
                .backward();
            gradient = input.grad();
            blocks.release(layer, true);
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
