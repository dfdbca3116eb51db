//! The prompts of a run in their order, and how many of them its steps have used up.
//!
//! Where a step asks further prompts in the place of others ([`crate::gather`]), how many it uses up does not follow from its
//! number: then a checkpoint keeps it, and a run that goes on from there asks the same prompts.

use std::collections::BTreeSet;

use tch::{Device, Kind, Tensor};

use crate::RlError;
use crate::order::PromptOrder;
use crate::prompts::{PromptRow, Prompts};

/// Prompts that are asked one after the other.
#[derive(Debug)]
pub(crate) struct Supply<'p> {
    prompts: &'p Prompts,
    order: PromptOrder,
    /// `[1]` i64: prompts that the steps so far have used up.
    used: Tensor,
}

impl<'p> Supply<'p> {
    /// All prompts, at least 1, none of them used up.
    pub(crate) fn new(seed: u64, prompts: &'p Prompts) -> Self {
        Self {
            prompts,
            order: PromptOrder::new(seed, prompts.len()),
            used: Tensor::zeros([1], (Kind::Int64, Device::Cpu)),
        }
    }

    /// What a checkpoint keeps: shared, so that a resume overwrites it in place.
    pub(crate) fn kept(&self) -> (String, Tensor) {
        ("prompts_used".to_owned(), self.used.shallow_clone())
    }

    fn used(&self) -> u64 {
        self.used.int64_value(&[0]) as u64
    }

    /// Uses up `n` prompts.
    pub(crate) fn use_up(&mut self, n: u64) {
        let _ = self.used.fill_((self.used() + n) as i64);
    }

    /// The next `n` prompts that are not used up, read from the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn ahead(&mut self, n: usize) -> Result<Vec<PromptRow>, RlError> {
        let first = self.used();
        let rows = self.order.take(first..first + n as u64);
        Ok(self.prompts.rows(rows)?)
    }

    /// The images of the next `n` prompts.
    pub(crate) fn images(&mut self, n: u64) -> Vec<String> {
        let first = self.used();
        let mut rows = BTreeSet::new();
        for row in self.order.take(first..first.saturating_add(n)) {
            rows.insert(row);
            if rows.len() == self.prompts.len() {
                break;
            }
        }
        let image = |row: usize| self.prompts.shown(row).map(str::to_owned);
        rows.into_iter().filter_map(image).collect()
    }
}
