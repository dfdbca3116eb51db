//! Learning from preferences without a reward model: DPO, IPO, `SimPO`, ORPO and KTO, for policies that see images.
//!
//! [`loss`] is what a comparison costs, a pure function of the answers' log-probabilities; [`mod@counting`] says which tokens
//! of an answer those are made of. [`mod@run`] trains: comparisons are read as every stage reads them, the reference's
//! log-probabilities are computed once and kept in the run folder, and an update goes through the policy in passes that
//! change nothing.
//!
//! # Reference
//! `docs/algorithms/dpo.md` has every formula with its source.

#![warn(unreachable_pub)]

mod all_rows;
pub mod answers;
pub mod counting;
mod error;
mod figures;
mod held_out;
mod kept;
pub mod loss;
pub mod objective;
pub mod policy;
mod recipe;
mod reference;
pub mod rows;
pub mod run;
pub mod spoilt;
mod workload;

pub use counting::Counting;
pub use error::DpoError;
pub use figures::Figures;
pub use held_out::DpoResult;
pub use loss::{Logprobs, Loss, Terms};
pub use objective::Objective;
pub use recipe::DpoRecipe;
pub use run::{DpoMetrics, run};
pub use spoilt::ImageNegative;
pub use workload::workload;
