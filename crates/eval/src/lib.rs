//! Evaluation: what a model answers to the questions of benchmarks, and what its answers are worth.
//!
//! [`questions`] are a benchmark's questions as a model is asked them; [`evaluate`] asks what a recipe says of a data folder
//! of the micro-world, [`files`] what the files of any benchmark ask, [`suite`] those of several for several models,
//! [`training_suite`] those of several for a model while it is trained, and [`curve`] follows a policy over the steps of its
//! training. What answers are worth is found by `candor_judge`, one way for all: [`candor_judge::score`].
//!
//! In the micro-world the exact judge, [`scenes`], takes the place of GPT-4: no service is asked, and the same answers
//! always get the same scores.

#![warn(unreachable_pub)]

pub mod answer;
mod bad_images;
pub mod curve;
mod error;
pub mod files;
mod images;
mod layout;
mod micro_world;
pub mod questions;
mod recipe;
mod run;
pub mod scenes;
pub mod suite;
pub mod training_suite;
mod workload;

pub use bad_images::BadImages;
pub use error::EvalError;
pub use recipe::EvalRecipe;
pub use run::{evaluate, run};
pub use workload::workload;
