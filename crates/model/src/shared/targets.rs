//! The log-probability of every token of answers that share their beginning, with gradients: what learning from
//! preferences without a reward model needs of both answers of a comparison.
//!
//! The tokens that a branch is *read at* are here those that are predicted. Each is predicted by the hidden state of
//! the token before it, which for a branch's first token is the last one of the prefix, the same for all branches.

use tch::{Device, Tensor};

use super::read::{Read, branches};
use super::{SharedBatch, SharedPrefix};
use crate::{Activations, Adapter, Features, Ragged, Vlm, logprobs};

/// Items of one pass, with the tokens of their branches that are predicted.
#[derive(Debug)]
pub struct SharedTargets {
    batch: SharedBatch,
    /// `[n_targets]` i64.
    ids: Tensor,
    rows: Ragged,
}

impl SharedTargets {
    /// Pads items to the longest of them; the tokens in [`SharedPrefix::read`] are the targets. `pad` is any id but the
    /// image placeholder.
    ///
    /// # Panics
    /// As [`SharedBatch::new`].
    #[must_use]
    pub fn new(items: &[&SharedPrefix], pad: i64, device: Device) -> Self {
        let n_branches = items.first().map_or(1, |item| item.branches.len());
        let (mut ids, mut lens) = (Vec::new(), Vec::new());
        let batch = SharedBatch::reading(items, pad, device, |layout| {
            let mut before = Vec::new();
            for (row, (branch, read)) in branches(items).into_iter().enumerate() {
                let item = row / n_branches;
                let last_of_prefix = layout.of_prefix(item, items[item].prefix.len() - 1);
                before.extend(read.clone().map(|at| match at {
                    0 => last_of_prefix,
                    _ => layout.of_branch(row, at - 1),
                }));
                lens.push(read.len());
                ids.extend_from_slice(&branch[read]);
            }
            Read::Each(Tensor::from_slice(&before).to_device(device))
        });
        Self {
            batch,
            ids: Tensor::from_slice(&ids).to_device(device),
            rows: Ragged::new(&lens, device),
        }
    }

    /// Which entries of a matrix of log-probabilities are a token's.
    ///
    /// # Shapes
    /// → `[n_items · n_branches, longest]` bool, branches of one item beside each other.
    pub fn mask(&self) -> &Tensor {
        &self.rows.mask
    }

    /// # Shapes
    /// `hidden`: `[n_targets, width]` → `[n_items · n_branches, longest]`.
    fn logprobs(&self, model: &Vlm, hidden: &Tensor) -> Tensor {
        let logits = model.decoder().logits(hidden);
        self.rows
            .scatter(&logprobs::token_logprobs(&logits, &self.ids, 1.0))
    }
}

impl Vlm {
    /// log π(token) of every target, branches of one item beside each other.
    ///
    /// # Shapes
    /// `features`: as for [`Vlm::hidden_shared`] → `[n_items · n_branches, longest]` f32, 0 where
    /// [`SharedTargets::mask`] is false.
    pub fn logprobs_shared(
        &self,
        targets: &SharedTargets,
        features: Option<&Features>,
        adapter: Option<&Adapter>,
    ) -> Tensor {
        let hidden = self.hidden_shared(&targets.batch, features, adapter);
        targets.logprobs(self, &hidden)
    }

    /// [`Vlm::backward_shared`] with a `loss` of what [`Vlm::logprobs_shared`] gives.
    ///
    /// # Shapes
    /// `loss` gets `[n_items · n_branches, longest]` f32 and gives a scalar.
    pub fn backward_logprobs_shared<T>(
        &self,
        targets: &SharedTargets,
        features: Option<&Features>,
        adapter: Option<&Adapter>,
        activations: Activations,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        self.backward_shared(&targets.batch, features, adapter, activations, |hidden| {
            loss(&targets.logprobs(self, hidden))
        })
    }
}
