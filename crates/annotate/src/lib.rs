//! The annotation app: people compare two answers about an image, and nothing they say is lost.
//!
//! The protocol is the paper's (arXiv 2309.14525, section 2): which answer has fewer hallucinations, and only after a
//! tie, which is more helpful. [`project`] is what an administrator writes, [`store`] the only place with SQL,
//! [`server`] what browsers talk to (`docs/annotate-http.md`), [`import`] and [`export`] the way in and out.
//!
//! Nothing here knows tensors: this crate never links libtorch.

#![warn(unreachable_pub)]

pub mod answer;
pub mod clock;
pub mod command;
pub mod error;
pub mod export;
pub mod import;
pub mod new;
mod outgoing;
pub mod project;
pub mod quality;
mod ranking;
pub mod server;
pub mod store;
pub mod task;
mod token;

pub use error::{AnnotateError, Refusal};
