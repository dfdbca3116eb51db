//! Scores that were computed: a file that is only appended to, so that a killed run goes on where it was.

use std::collections::HashMap;
use std::path::Path;

use candor_data::LineLog;
use serde::{Deserialize, Serialize};

use crate::RewardError;

/// A line of the file: the scores of a chunk.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    key: String,
    scores: Vec<f64>,
}

/// The scores of chunks that are done, by the hash of all that they depend on.
pub(super) struct KeptScores {
    log: LineLog<Line>,
    scores: HashMap<String, Vec<f64>>,
}

impl KeptScores {
    /// Opens a file, or begins one.
    ///
    /// # Errors
    /// It cannot be read or written, or a line is damaged.
    pub(super) fn open(path: &Path) -> Result<Self, RewardError> {
        let remedy = "remove the line; its answers are scored again";
        let (log, lines) = LineLog::<Line>::open(path, remedy)?;
        let scores = lines.into_iter().map(|line| (line.key, line.scores));
        Ok(Self {
            log,
            scores: scores.collect(),
        })
    }

    /// The scores under a key, if they are there.
    pub(super) fn take(&mut self, key: &str) -> Option<Vec<f64>> {
        self.scores.remove(key)
    }

    /// Keeps scores; they are on the disk when this returns.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn keep(&mut self, key: String, scores: &[f64]) -> Result<(), RewardError> {
        let scores = scores.to_vec();
        Ok(self.log.append(&Line { key, scores })?)
    }
}
