//! Two sampled answers per prompt, written for annotators with everything it takes to sample them again.
//!
//! The paper draws both answers from its 7B SFT model at temperature 0.7 and hands them to people
//! (arXiv 2309.14525, section 2). [`run::run`] does the drawing for any model folder, with or without an adapter;
//! who compares them, and how, is no business of this crate.

#![warn(unreachable_pub)]

mod error;
mod parts;
mod prompt;
mod recipe;
pub mod run;
mod sampler;
mod workload;

pub use error::SampleError;
pub use recipe::SampleRecipe;
pub use run::{Counts, SampleMetrics, run};
pub use sampler::folders;
pub use workload::workload;
