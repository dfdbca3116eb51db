//! Proximal policy optimisation (PPO) against the fact-augmented reward model, the heart of the paper.
//!
//! The arithmetic is pure functions on `[batch, response]` tensors, one idea a file: [`kl`], [`shaping`],
//! [`advantages`] with an estimator a file, [`whiten`], [`loss`], [`symbolic`]. Throughout, a mask is bool and true means a token that
//! counts; what stands at a false position never changes a result, not even if it is not a number.
//!
//! Around it, in the order of a step: [`prompts`] and [`order`], [`gather`] with [`rollout`] and [`scoring`], its [`parts`] and
//! [`sentences`], [`passes`], [`experience`], [`guard`], [`update`]; and [`run::run`] puts them together.
//!
//! Words: a **score** is the reward model's one number for a whole sequence, a **reward** is what one token
//! earns after KL and shaping. A penalty is a positive number that is subtracted.

#![warn(unreachable_pub)]

pub mod advantages;
pub mod critic;
mod error;
pub mod experience;
pub mod gather;
pub mod guard;
pub mod kl;
pub mod loss;
pub mod metrics;
pub mod models;
pub mod order;
pub mod parts;
pub mod passes;
pub mod prompts;
pub mod recipe;
pub mod rollout;
pub mod run;
pub mod samples;
pub mod scoring;
pub mod sentences;
pub mod shaping;
mod supply;
pub mod symbolic;
pub mod update;
pub mod whiten;
mod workload;

pub use error::RlError;
pub use recipe::RlRecipe;
pub use run::run;
pub use workload::workload;
