//! What a model folder is, and what a recipe would do, before anything is loaded or run.
//!
//! [`inspect()`] reads headers, tokenizer and template of a model folder; [`Planner`] reads recipes with the code that
//! runs them, counts their data where it is there, and follows the models that earlier recipes make. Both say what
//! memory it takes, by the formulas of [`memory`]. Nothing here holds a tensor.

#![warn(unreachable_pub)]

mod check;
mod error;
mod fields;
mod in_blocks;
mod inspect;
pub mod memory;
mod needs;
mod sharing;
mod show;
mod trained;

pub use check::{Plan, Planner};
pub use error::PlanError;
pub use fields::{STAGES, recipe_fields};
pub use inspect::{ExampleToken, Inspection, Kept, PartSize, SpecialId, inspect};
pub use memory::Memory;
pub use needs::{Need, needs};
pub use sharing::Sharing;
pub use show::{show_inspection, show_plans};
pub use trained::Trained;
