//! Supervised fine-tuning: recipe, loss, run; and the stages before it that make a tower see and a projector
//! fit.
//!
//! [`run::run`] is the paper's SFT, its projector pretraining (`tune = "projector"`, plain template) and its
//! LoRA policy initialisation, by recipe. [`ground`] exists for models that start from nothing.

#![warn(unreachable_pub)]

mod ahead;
mod corpus;
mod error;
pub mod ground;
mod held_out;
mod loss;
mod recipe;
mod rows;
pub mod run;
mod tokenised;
mod workload;

pub use candor_train::Tune;
pub use error::SftError;
pub use ground::{GroundMetrics, GroundRecipe};
pub use held_out::HeldOutFigures;
pub use loss::cross_entropy;
pub use recipe::{EvaluationRecipe, Files, SftRecipe, SourceRecipe, TrainOn};
pub use run::SftMetrics;
pub use workload::workload;
