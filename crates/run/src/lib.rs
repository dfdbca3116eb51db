//! What a command that works for minutes or days does around its work, whatever that is: it owns a folder, can be stopped
//! and continued there, and says how it gets on.
//!
//! [`Claim`] takes the folder and [`RunFolder`] is its files: `metrics.jsonl`, `timings.jsonl`, TensorBoard events and
//! checkpoints ([`CheckpointStore`]), each with a [`manifest`] of hashes. [`StopSignal`] hears SIGINT and SIGTERM, [`Progress`]
//! talks to the person, [`Inputs`] notices that a resume reads other files, [`Ranks`] are the processes that share a run, and
//! [`Workload`] is what a run will come to.
//!
//! Nothing here knows tensors: this crate never links libtorch.

#![warn(unreachable_pub)]

mod checkpoint;
mod durable;
mod error;
mod inputs;
mod json_lines;
mod launch;
mod lock;
pub mod manifest;
mod place;
mod progress;
mod ranks;
mod run_folder;
mod stop;
mod tensorboard;
mod workload;

pub use checkpoint::{Checkpoint, CheckpointStore, CheckpointWriter, Newest, RunState};
pub use error::{Damage, RunError};
pub use inputs::Inputs;
pub use launch::{LaunchOptions, Outcome};
pub use lock::lock;
pub use place::{RankPlace, is_script_of_slurm, processes_started};
pub use progress::Progress;
pub use ranks::{Exchange, Ranks};
pub use run_folder::{Claim, Resumed, RunFolder, RunOptions, write_result};
pub use stop::{StopSignal, Stopped};
pub use workload::{ImageCount, Workload};
