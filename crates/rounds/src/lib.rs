//! Rounds: the policy answers prompts, its answers are compared, and it learns from that before it answers again.
//!
//! A round is made of stages that are commands of their own: `candor sample`, what compares the answers ([`label`]: a reward
//! model, a judge, rules, or people), and `candor dpo`. Each has its folder with the files that it always has, so what a
//! killed stage goes on from is what it always goes on from, and a finished one is never run again.
//!
//! # Reference
//! Online and iterative DPO: arXiv 2402.04792, 2312.16682; the rounds of RLAIF-V: 2405.17220. `docs/algorithms/rounds.md`.

#![warn(unreachable_pub)]

mod error;
mod inputs;
pub mod label;
mod recipe;
mod round;
pub mod run;

pub use error::RoundsError;
pub use label::Labels;
pub use recipe::{LabelRecipe, Own, ReferenceOf, RoundsRecipe, read_own};
pub use round::Round;
pub use run::{RoundMetrics, check_prompts, run};
