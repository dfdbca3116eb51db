//! Everything a training stage needs besides its model and its loss.
//!
//! A stage (`sft`, `reward`, `dpo`, `rl`) writes its own loop in `run.rs`; this crate gives it the parts:
//! [`optimizer`] and [`schedule`] update weights, [`data_order`] decides which samples form a batch, [`Batches`] which
//! comparisons or rated answers an update takes, [`stage_fields`] and their neighbours read what the recipes of several stages say, and
//! [`session`] puts all of this and the folder of the run (`candor_run`) together into what all stages do alike.
//!
//! There is no trainer object and there are no callbacks: state is passed explicitly, so that a loop reads
//! like the algorithm it implements.

#![warn(unreachable_pub)]

mod bad_rows;
mod base_precision;
mod batches;
mod best;
mod checkpoint;
mod comparisons;
pub mod data_order;
mod device;
mod error;
mod feature_place;
pub mod fingerprint;
mod finite;
mod images;
mod lanes;
pub mod optimizer;
mod param_group;
mod parameter;
mod pass_size;
mod ranks;
mod room;
pub mod schedule;
mod seen_anew;
pub mod session;
mod shards;
pub mod stage_fields;
mod states;
mod tune;
mod wire;
mod working;

pub use bad_rows::{on_bad_row, say_skipped};
pub use base_precision::BasePrecision;
pub use batches::{Batches, RowSize};
pub use best::{Best, BestBy, Found};
pub use candor_torch_ext::libtorch::{deterministically, inference, set_tf32, tf32};
pub use comparisons::{Judgements, read_judgements};
pub use device::{Available, Chosen, DeviceChoice, NoCuda, available, device_name};
pub use error::TrainError;
pub use feature_place::{FeaturePlace, cache_folder, features_folder};
pub use images::{encode_images, gather_features, turns};
pub use lanes::{BUCKET_BYTES, check_lanes};
pub use optimizer::{AdamW, AdamWConfig};
pub use param_group::ParamGroup;
pub use pass_size::{PassSize, RowShape};
pub use ranks::{check_threads, join};
pub use room::check_room;
pub use schedule::{Schedule, Shape, Warmup};
pub use seen_anew::{SEEN_ANEW, say_seen_anew};
pub use session::{
    MAY_CHANGE, Opening, Session, SessionRecipe, Shard, StepStats, TrainState, current_phase,
    on_this_rank,
};
pub use shards::{DealtPasses, GradientRoom, block_of, owners};
pub use stage_fields::{Length, LoraStart};
pub use states::States;
pub use tune::{Tune, keep_snapshot, snapshot};
