//! Proximal policy optimisation (PPO) against the fact-augmented reward model, the heart of the paper.
//!
//! The arithmetic is pure functions on `[batch, response]` tensors, one idea a file: [`kl`], [`shaping`],
//! [`advantages`], [`whiten`], [`loss`], [`symbolic`]. Throughout, a mask is bool and true means a token that
//! counts; what stands at a false position never changes a result, not even if it is not a number.
//!
//! Words: a **score** is the reward model's one number for a whole sequence, a **reward** is what one token
//! earns after KL and shaping. A penalty is a positive number that is subtracted.

pub mod advantages;
pub mod kl;
pub mod loss;
pub mod shaping;
pub mod symbolic;
pub mod whiten;
