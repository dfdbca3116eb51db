//! The report of a demo, of demos with several seeds, of a comparison of evaluated runs, and of a measured reward model: one
//! page in one file that needs nothing from elsewhere, neither network nor fonts.
//!
//! [`Summary`] is the numbers of a demo, `summary.json`. [`write()`] reads a demo's folder and writes
//! `report.html` into it; [`seeds::write`] pools several, and [`write_reward`] is of `candor eval reward`. What a demo did not run, the page says in words; a damaged file is an error.
//!
//! Departures from what such pages often do: sentences about results are made from the numbers (`wording.rs`), a
//! best value is marked only where intervals do not overlap (`table.rs`), images are chosen by a rule that the
//! page states ([`gallery`]). Only the page of a comparison has scripts ([`write_comparison`]). No tensors here, and nothing is computed that another crate could have.

#![warn(unreachable_pub)]

mod claims;
mod comparison;
mod error;
mod family;
mod files;
pub mod gallery;
mod input;
mod metrics;
mod page;
mod plots;
mod reward_page;
pub mod seeds;
mod summary;
mod svg;
mod table;
mod wording;

use std::path::{Path, PathBuf};

use candor_data::atomic;

pub use comparison::{ComparedRuns, render_comparison, write_comparison};
pub use error::ReportError;
pub use family::Family;
pub use input::{About, ReportInput};
pub use metrics::Metrics;
pub use page::render;
pub use reward_page::write_reward;
pub use summary::{
    AblationRow, Algorithm, AlgorithmRow, Policies, Policy, RewardFigures, Summary, Variant,
    Variants,
};

/// Reads the demo in `folder` and writes its `report.html`; returns where it is.
///
/// # Errors
/// `summary.json` is missing, a file is damaged, or the page cannot be written.
pub fn write(folder: &Path, about: About) -> Result<PathBuf, ReportError> {
    let page = render(&ReportInput::read(folder, about)?);
    let path = folder.join("report.html");
    atomic::write(&path, page.as_bytes())?;
    Ok(path)
}
