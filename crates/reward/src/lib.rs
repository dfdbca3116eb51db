//! The reward model: a scalar judge of responses that can be shown the facts.
//!
//! [`prompt`] is the turn that asks for a judgement, [`wording`] puts a response and its facts into it, [`loss`]
//! is what a comparison costs, [`mod@run`] trains, keeps the best step and measures it, [`scorer`] opens what was
//! trained and scores with it, [`best_of_n()`] chooses among answers by it ([`choice`] does so by any score), and [`pair_benchmark()`] measures it on other
//! comparisons. How reinforcement learning turns scores into rewards is not known here.
//!
//! # Reference
//! arXiv 2309.14525, the fact-augmented reward model; REFERENCE.md, section 3.

#![warn(unreachable_pub)]

mod best_of_n;
pub mod choice;
mod earlier;
mod error;
mod held_out;
pub mod loss;
mod pair_benchmark;
mod pairs;
pub mod prompt;
mod recipe;
mod room;
pub mod run;
pub mod scorer;
mod scores;
pub mod wording;
mod workload;

pub use best_of_n::{BestOfN, best_of_n};
pub use choice::BestSummary;
pub use error::RewardError;
pub use held_out::RewardResult;
pub use loss::{CenteringOver, pair_loss};
pub use pair_benchmark::{
    LengthBias, PairAccuracy, PairBenchmark, PairResult, PairScores, ScoredPairs, pair_benchmark,
    pair_scores,
};
pub use prompt::RewardPrompt;
pub use recipe::RewardRecipe;
pub use run::{RewardMetrics, run};
pub use scorer::{Judged, RewardModel};
pub use wording::{CaptionOrder, Pooling, Wording};
pub use workload::workload;
