//! Judges of answers, what their replies mean, and how certain a difference is. No tensors.
//!
//! A [`Benchmark`] is opened as a [`Task`](benchmarks::Task), the one shape that all have; [`score::score`] scores answers of any tool to it
//! into [`Verdict`]s and [`Results`], and [`compare::compare`] sets the [`run`]s of models side by side. What reads answers
//! and replies ([`pope`], [`mmhal`], [`llava_bench`], [`choice`], [`yes_no`], [`marks`]) are pure functions, which know
//! neither models nor files.
//!
//! A [`Judge`] replies to prompts: [`ChatJudge`] asks an OpenAI-compatible endpoint, within limits of speed and cost, and
//! never pays for a reply twice. [`pipelined`] lets a judge begin before the last answer is there. Where the [`truth`] about the
//! images is known, it takes the judge's place. [`reward`] makes readers, judges and a user's own functions into numbers that a
//! policy is trained by, [`feedback`] lets a judge compare answers in the place of people, and [`sentence_labels`] say which of their
//! sentences are false.

#![warn(unreachable_pub)]

mod address;
mod amber;
mod benchmark;
pub mod benchmarks;
pub mod budget;
pub mod cache;
mod chat;
pub mod choice;
pub mod clock;
pub mod compare;
mod double_words;
mod error;
pub mod feedback;
pub mod figures;
mod final_part;
pub mod images;
mod item;
pub mod judge;
mod judge_state;
pub mod leakage;
pub mod llava_bench;
pub mod marks;
pub mod matching;
pub mod measure;
pub mod mmhal;
mod object_terms;
pub mod objects;
pub mod order;
pub mod outcome;
pub mod people;
pub mod phrases;
pub mod pipelined;
pub mod pope;
pub mod rate_limit;
pub mod reply;
pub mod request;
pub mod results;
pub mod retry;
pub mod reward;
pub mod rows;
pub mod run;
pub mod score;
pub mod sentence_labels;
pub mod settings;
pub mod suite;
pub mod template;
mod transport;
pub mod truth;
mod verdict;
pub mod warnings;
pub mod yes_no;

pub use benchmark::Benchmark;
pub use chat::ChatJudge;
pub use error::JudgeError;
pub use item::Item;
pub use judge::{Cost, Identity, Judge};
pub use reply::Reply;
pub use request::Request;
pub use results::Results;
pub use run::Run;
pub use settings::Settings;
pub use truth::Truth;
pub use verdict::{Claim, Finding, Verdict};
