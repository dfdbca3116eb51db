//! Everything a training stage needs besides its model and its loss.
//!
//! A stage (`sft`, `reward`, `dpo`, `rl`) writes its own loop in `run.rs`; this crate gives it the parts:
//! [`recipe`] reads its TOML and reports every mistake at once, [`run_folder`] owns the files of a run and
//! resumes it, [`checkpoint`] writes and verifies states, [`optimizer`] and [`schedule`] update weights,
//! [`data_order`] decides which samples form a batch, [`Batches`] which comparisons an update takes, [`progress`] and [`stop`] talk to the person;
//! [`session`] puts them together into what all stages do alike.
//!
//! There is no trainer object and there are no callbacks: state is passed explicitly, so that a loop reads
//! like the algorithm it implements.

mod bad_rows;
mod base_precision;
mod batches;
pub mod checkpoint;
mod comparisons;
pub mod data_order;
mod durable;
pub mod error;
pub mod fingerprint;
pub mod finite;
pub mod json_lines;
pub mod manifest;
pub mod metrics_doc;
pub mod optimizer;
pub mod progress;
pub mod recipe;
pub mod run_folder;
pub mod schedule;
pub mod session;
pub mod stage_fields;
pub mod stop;
pub mod tensorboard;
mod tune;
mod workload;

pub use bad_rows::{on_bad_row, say_skipped};
pub use base_precision::BasePrecision;
pub use batches::Batches;
pub use checkpoint::{Checkpoint, CheckpointStore, CheckpointWriter, RunState};
pub use comparisons::read_comparisons;
pub use error::TrainError;
pub use optimizer::{AdamW, AdamWConfig, ParamGroup};
pub use progress::Progress;
pub use recipe::{Reader, RecipeError, Resolved};
pub use run_folder::{Claim, RunFolder, RunOptions};
pub use schedule::{Schedule, Shape, Warmup};
pub use session::{Applied, Inputs, Launch, Opening, Outcome, Parts, Session, SessionRecipe};
pub use stage_fields::{Length, LoraStart};
pub use stop::{StopSignal, Stopped};
pub use tune::Tune;
pub use workload::Workload;
