//! `candor watch`: a page, or a table in the terminal, over any number of run folders, finished or running.
//!
//! It only reads: `metrics.jsonl`, `timings.jsonl`, `resolved.toml`, `resumed.jsonl` and `samples/`, as runs write them. Files that grow
//! are read on from where they were; one that was cut, because its run was resumed from an earlier checkpoint, is read anew.
//! Nothing here knows tensors. [`Mlflow`] sends what is read to a server, where that is asked for.

#![warn(unreachable_pub)]

mod curves;
mod error;
mod mlflow;
mod samples;
mod server;
mod state;
mod table;
mod warnings;
mod watched;

pub use error::WatchError;
pub use mlflow::{Mlflow, Sent, authorization};
pub use server::{Watch, router, serve};
pub use table::table;
