//! The benchmarks as something to run: files in, questions out; answers in, verdicts and scores out.

mod chair;
mod llava_bench;
mod mmhal;
mod pope;

pub use chair::ChairTask;
pub use llava_bench::LlavaBenchTask;
pub use mmhal::MmhalTask;
pub use pope::{PopeTask, SPLITS as POPE_SPLITS};

use serde::Serialize;

use crate::answer::{Answer, Ask};
use crate::{Benchmark, EvalError};

/// A benchmark with its questions read.
pub trait Task {
    /// A line of its verdicts.
    type Verdict: Serialize;
    /// Its numbers.
    type Scores;

    /// Which one it is.
    const BENCHMARK: Benchmark;

    /// What the model is asked, in the order of the file.
    fn asks(&self) -> Vec<Ask>;

    /// Judges the answers, which are in the order of [`Task::asks`].
    ///
    /// # Errors
    /// The ground truth lacks an image.
    fn judge(
        &self,
        answers: &[Answer],
        seed: u64,
    ) -> Result<(Vec<Self::Verdict>, Self::Scores), EvalError>;
}

#[cfg(test)]
mod tests;
