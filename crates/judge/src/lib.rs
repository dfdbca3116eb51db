//! Judges of answers, what their replies mean, and how certain a difference is. No tensors.
//!
//! The scorers ([`pope`], [`mmhal`], [`chair`], [`llava_bench`]) and the readers of answers and replies ([`choice`],
//! [`yes_no`], [`marks`]) are pure functions of what was asked,
//! answered and replied; they know neither models nor files. A [`Judge`] replies to prompts: [`ChatJudge`]
//! asks an OpenAI-compatible endpoint, within limits of speed and cost, and never pays for a reply twice.
//! An [`exam`] is a benchmark with its questions read; [`score::score`] scores answers of any tool to it, and
//! [`compare::compare`] sets models side by side. [`ahead`] lets a judge begin before the last answer is there.

pub mod agreement;
pub mod ahead;
mod books;
pub mod budget;
pub mod cache;
pub mod chair;
mod chat;
pub mod choice;
pub mod clock;
pub mod compare;
mod error;
pub mod exam;
mod final_part;
pub mod judge;
pub mod leakage;
pub mod llava_bench;
pub mod marks;
pub mod matching;
pub mod measure;
pub mod mmhal;
pub mod objects;
pub mod order;
pub mod pace;
pub mod paired;
pub mod people;
pub mod phrases;
pub mod pictures;
pub mod pope;
pub mod reply;
pub mod request;
pub mod retry;
pub mod score;
pub mod settings;
pub mod standing;
pub mod template;
mod transport;
pub mod warnings;
pub mod yes_no;

pub use chat::ChatJudge;
pub use error::JudgeError;
pub use judge::{Cost, Identity, Judge};
pub use reply::Reply;
pub use request::Request;
pub use settings::Settings;
