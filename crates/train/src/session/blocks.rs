//! Passes of ranks that share out the weights of the decoder's blocks (`shards.rs`).
//!
//! The weights of a block are brought from their owners right before it is computed, forward and again backward, and let go of right
//! after. In the last pass of a round, gradients of a block go to their owners as soon as its backward pass has ended. So a rank
//! has the weights and the gradients of one block at a time besides its own, and all that is outside of blocks.
//!
//! Exchanges need all ranks, which need not have as many passes: a rank without one brings and releases all the same, and computes
//! nothing. At the start, in evaluations and at the end all weights are on every rank, and gradients on none.

use std::cell::RefCell;

use candor_model::{AllHere, Blocks};
use candor_run::RunError;
use tch::Tensor;

use super::Session;
use crate::error::TrainError;
use crate::lanes::Total;
use crate::optimizer::AdamW;
use crate::shards::{REST, Shards};
use crate::wire::Wire;

/// The blocks of one pass.
struct OnRanks<'a> {
    shards: &'a Shards,
    wire: &'a Wire,
    /// The lanes that are left, where this is the last pass of a round and gradients are given away.
    gives: Option<usize>,
    changed: RefCell<Changed<'a>>,
}

/// What a pass changes.
struct Changed<'a> {
    optimizer: &'a mut AdamW,
    totals: &'a mut [Total],
    /// Why nothing is exchanged any more. A pass cannot end halfway: it ends with weights that are none, and counts for nothing.
    failed: Option<RunError>,
}

impl OnRanks<'_> {
    /// Does what a pass does for the others, without one.
    fn follow(&self) {
        let all = 0..self.shards.n_blocks();
        for layer in all.clone() {
            self.bring(layer);
            self.release(layer, false);
        }
        for layer in all.rev() {
            self.bring(layer);
            self.release(layer, true);
        }
    }

    /// Ends the pass.
    fn ended(self) -> Result<(), TrainError> {
        match self.changed.into_inner().failed {
            None => Ok(()),
            Some(error) => Err(error.into()),
        }
    }
}

impl Blocks for OnRanks<'_> {
    fn bring(&self, layer: usize) {
        let changed = &mut *self.changed.borrow_mut();
        tch::no_grad(|| {
            if changed.failed.is_some() {
                self.shards.make_room(changed.optimizer, layer);
                return;
            }
            let brought = (self.shards).gather_block(self.wire, changed.optimizer, layer);
            changed.failed = brought.err();
        });
    }

    fn release(&self, layer: usize, is_backward: bool) {
        let changed = &mut *self.changed.borrow_mut();
        let gives = self.gives.filter(|_| is_backward);
        tch::no_grad(|| {
            if let (Some(n_lanes), None) = (gives, &changed.failed) {
                let (optimizer, totals) = (&mut *changed.optimizer, &mut *changed.totals);
                let added = self
                    .shards
                    .add_round(self.wire, optimizer, totals, n_lanes, layer + 1);
                changed.failed = added.err();
            }
            self.shards.release_block(changed.optimizer, layer);
        });
    }
}

impl Session {
    /// [`Session::passes`] of a stage whose passes bring the weights of blocks, where ranks share these out: all passes must use
    /// them as [`Blocks`] says.
    ///
    /// # Shapes
    /// As there.
    ///
    /// # Errors
    /// As there.
    pub fn passes_by_blocks<P, E: From<TrainError>>(
        &mut self,
        passes: &[P],
        pass: &mut dyn FnMut(&P, &dyn Blocks) -> Result<Tensor, E>,
    ) -> Result<Vec<Vec<f64>>, E> {
        let n_blocks = self.shards.as_ref().map_or(0, Shards::n_blocks);
        let Some(shards) = self.shards.as_ref().filter(|_| n_blocks > 0) else {
            return self.passes(passes, &mut |of_pass| pass(of_pass, &AllHere));
        };
        let (n_lanes, ranks) = (self.recipe.lanes, self.launch.ranks.clone());
        let parameters = self.optimizer.of_tensors();
        let mut totals: Vec<Total> = parameters.iter().map(|_| None).collect();
        let mut found: Vec<(usize, Tensor)> = Vec::new();
        for first in (0..n_lanes).step_by(ranks.world()) {
            self.optimizer.zero_grad();
            let lane = first + ranks.rank();
            let n_left = n_lanes - first;
            // The first lane of a round has no fewer passes than the others.
            let n_turns = passes.len().saturating_sub(first).div_ceil(n_lanes);
            for turn in 0..n_turns {
                let blocks = OnRanks {
                    shards,
                    wire: &self.wire,
                    gives: (turn + 1 == n_turns).then_some(n_left),
                    changed: RefCell::new(Changed {
                        optimizer: &mut self.optimizer,
                        totals: &mut totals,
                        failed: None,
                    }),
                };
                let number = lane + turn * n_lanes;
                let mine = passes.get(number).filter(|_| lane < n_lanes);
                let computed = mine.map(|of_pass| pass(of_pass, &blocks)).transpose()?;
                if computed.is_none() {
                    blocks.follow();
                }
                blocks.ended()?;
                found.extend(computed.map(|computed| (number, computed)));
                // The last pass of a lane ends tensor by tensor, as its gradients are given away.
                if mine.is_some() && number + n_lanes < passes.len() {
                    self.optimizer.end_pass();
                }
            }
            let optimizer = &mut self.optimizer;
            let added =
                tch::no_grad(|| shards.add_round(&self.wire, optimizer, &mut totals, n_left, REST));
            added.map_err(TrainError::from)?;
        }
        self.optimizer.put_totals(totals);
        Ok(self.told(found)?)
    }

    /// Brings all weights to every rank, where ranks share them out: for what reads the model otherwise than by its passes.
    ///
    /// # Errors
    /// A rank has ended or hangs.
    pub fn gather_weights(&self) -> Result<(), TrainError> {
        let Some(shards) = &self.shards else {
            return Ok(());
        };
        for layer in 0..shards.n_blocks() {
            tch::no_grad(|| shards.gather_block(&self.wire, &self.optimizer, layer))?;
        }
        Ok(())
    }

    /// Lets go of what [`Session::gather_weights`] brought.
    pub fn release_weights(&self) {
        if let Some(shards) = &self.shards {
            shards.release_blocks(&self.optimizer);
        }
    }
}
