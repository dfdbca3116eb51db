//! The critic, where the estimator of advantages has one: a value model on the reward model's base.
//!
//! # Reference
//! Its adapter starts as a copy of the reward adapter, its head at zero.

use std::path::Path;

use candor_model::{Adapter, Bundle, ScalarHead};
use candor_reward::RewardModel;
use tch::Tensor;

use crate::RlError;
use crate::passes::ValueReader;

// What its folder holds.
const ADAPTER: &str = "adapter";
const HEAD: &str = "value_head.safetensors";

/// How the critic learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CriticRecipe {
    /// How far a value may move before its gradient stops.
    pub value_clip_range: f64,
    /// Weight of the value loss.
    pub value_coef: f64,
}

/// The value model, trained.
#[derive(Debug)]
pub struct Critic {
    /// On the reward model's base.
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
    /// A critic that says 0.
    ///
    /// # Errors
    /// The base has no width.
    pub fn new(reward: &RewardModel, base: &Bundle) -> Result<Self, RlError> {
        let critic = Self {
            adapter: reward.adapter.copy(),
            head: ScalarHead::zeros(&base.model)?,
        };
        critic.adapter.set_trainable(true);
        critic.head.set_trainable(true);
        Ok(critic)
    }

    /// Reads what [`Critic::save`] wrote.
    ///
    /// # Errors
    /// A file is missing, damaged, or does not fit the base.
    pub fn open(folder: &Path, base: &Bundle) -> Result<Self, RlError> {
        Ok(Self {
            adapter: Adapter::open(&folder.join(ADAPTER), &base.model)?,
            head: ScalarHead::open(&folder.join(HEAD), &base.model)?,
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
