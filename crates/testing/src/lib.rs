//! What the tests of several crates need, and nothing that runs outside of tests: only ever a dev-dependency.
//!
//! [`shared()`] finds benchmark files that are not ours to publish, [`photographs()`] photographs; [`images`] paints walls, about which [`pope`] asks; [`files`]
//! reads what a run left behind; [`run`] starts one; [`ranks`] are threads that share one; [`metrics`] compares a stage's metrics with their documentation.
//! With the feature `model` there are `model`, a tiny model that was never trained, and `golden`, tensors that another
//! program computed. A browser is in a crate of its own, `candor-testing-browser`.
//!
//! Like the tests themselves, everything here panics on what it does not expect.

pub mod files;
#[cfg(feature = "model")]
pub mod golden;
pub mod images;
pub mod metrics;
#[cfg(feature = "model")]
pub mod model;
pub mod pope;
pub mod ranks;
pub mod run;
mod shared;

pub use shared::{photographs, shared};
