//! Benchmarks of hallucination: what a model answers, what a judge finds in it, and how certain the numbers
//! are.
//!
//! The scorers ([`pope`], [`mmhal`], [`chair`], [`llava_bench`]) are those of `candor_judge`. [`answer`] makes
//! a model answer, [`evaluate`] does everything a recipe says and writes answers, verdicts and results as
//! files, [`table`] shows them, and [`curve`] follows a policy over the steps of its training. [`files`] asks a
//! model what the files of any benchmark ask.
//!
//! In the micro-world the exact judge takes the place of GPT-4: no service is asked, and the same answers
//! always get the same scores.

pub mod answer;
pub mod correlation;
pub mod curve;
mod error;
pub mod files;
mod recipe;
mod results;
mod run;
pub mod table;
mod tasks;
mod truth;
pub mod verdicts;
mod workload;

pub use candor_data::bootstrap;
pub use candor_judge::{chair, llava_bench, mmhal, pope};
pub use error::EvalError;
pub use recipe::{Benchmark, EvalRecipe};
pub use results::Results;
pub use run::{evaluate, run};
pub use tasks::POPE_SPLITS;
pub use workload::workload;
