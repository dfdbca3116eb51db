//! Conversations, preferences, facts, prompts and images; readers and writers of the public formats.
//!
//! Nothing here knows tensors or tokens: this crate never links libtorch, and text stays text.
//! Every reader names the file, the row, the field and the remedy when it refuses; every writer refuses
//! what its reader would refuse, so a file that candor wrote always reads.

#![warn(unreachable_pub)]

pub mod atomic;
pub mod bounded;
pub mod build;
pub mod comparison;
pub mod comparisons;
pub mod conversation;
pub mod error;
pub mod facts;
pub mod file_kind;
pub mod formats;
pub mod image;
pub mod image_key;
pub mod line_log;
pub mod lock;
pub mod missing;
pub mod mixture;
pub mod preference;
pub mod prompt;
pub mod random;
pub mod rated;
pub mod rows;
pub mod sentences;
pub mod sha256;
pub mod shown;
pub mod sources;

pub use comparison::{Comparison, Judgement};
pub use comparisons::{ComparisonFormat, ComparisonSet, RatedSet};
pub use conversation::{Conversation, IMAGE_PLACEHOLDER, Speaker, Turn};
pub use error::{DataError, Place, Spot};
pub use facts::{FactBook, Facts};
pub use file_kind::FileKind;
pub use line_log::LineLog;
pub use lock::Locked;
pub use preference::{Preference, Record, Side, Verdict};
pub use prompt::{AnswerType, Choice, Prompt};
pub use rated::{RatedAnswer, RatedFile};
