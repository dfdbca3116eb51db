//! The critic, where the estimator of advantages has one: a value model on the reward model's base, or on the policy's.
//!
//! It reads the policy's tokens, so a reward model of another family cannot have it on its base; nor can there be one where no
//! reward model is. Then it begins as the policy does.
//!
//! # Reference
//! On the reward model's base; its adapter starts as a copy of the reward adapter, its head at zero.

use std::path::Path;

use candor_model::{Adapter, Bundle, ScalarHead};
use tch::Tensor;

use crate::RlError;
use crate::passes::ValueReader;

// What its folder holds.
const ADAPTER: &str = "adapter";
const HEAD: &str = "value_head.safetensors";

/// Whose base the critic stands on, and whose adapter it begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CriticBase {
    /// The reward model's.
    Reward,
    /// The policy's.
    Policy,
}

/// How the critic learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CriticRecipe {
    /// Whose base it stands on, and what it begins as.
    pub base: CriticBase,
    /// How far a value may move before its gradient stops.
    pub value_clip_range: f64,
    /// Weight of the value loss.
    pub value_coef: f64,
}

/// The value model, trained.
#[derive(Debug)]
pub struct Critic {
    /// On the base that the recipe says.
    pub adapter: Adapter,
    /// From a hidden state to a value.
    pub head: ScalarHead,
}

/// The critic as it is trained in a step.
#[derive(Debug, Clone, Copy)]
pub struct CriticLearner<'a> {
    /// Reads values.
    pub reader: ValueReader<'a>,
    /// How it learns.
    pub recipe: CriticRecipe,
}

impl Critic {
    /// A critic that says 0 and begins as an adapter of `bundle`.
    ///
    /// # Errors
    /// The base has no width.
    pub fn new(adapter: &Adapter, bundle: &Bundle) -> Result<Self, RlError> {
        let critic = Self {
            adapter: adapter.copy(),
            head: ScalarHead::zeros(&bundle.model)?,
        };
        critic.adapter.set_trainable(true);
        critic.head.set_trainable(true);
        Ok(critic)
    }

    /// Reads what [`Critic::save`] wrote.
    ///
    /// # Errors
    /// A file is missing, damaged, or does not fit the base.
    pub fn open(folder: &Path, bundle: &Bundle) -> Result<Self, RlError> {
        Ok(Self {
            adapter: Adapter::open(&folder.join(ADAPTER), &bundle.model)?,
            head: ScalarHead::open(&folder.join(HEAD), &bundle.model)?,
        })
    }

    /// What is trained, by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        let head = self.head.parameters().iter();
        let adapter = self.adapter.parameters().iter();
        adapter.chain(head.map(|(name, tensor)| (name, tensor)))
    }

    /// Writes `adapter` and `value_head.safetensors`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), RlError> {
        self.adapter.save(&folder.join(ADAPTER))?;
        Ok(self.head.save(&folder.join(HEAD))?)
    }
}
