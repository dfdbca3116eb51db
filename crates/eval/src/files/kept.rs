//! `answers.log`: what is answered, batch by batch, behind a line that says by whom and how.

use std::path::Path;

use candor_data::LineLog;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::EvalError;
use crate::answer::Answer;
use crate::questions::json;

/// What decides the answers: the first line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Where the model was read from.
    pub model: String,
    /// Of its weights and of what decides what it reads.
    pub model_fingerprint: String,
    /// Where the adapter was read from.
    pub adapter: Option<String>,
    /// Of its weights.
    pub adapter_fingerprint: Option<String>,
    /// Of ids, images' names and words of all questions.
    pub questions_sha256: String,
    /// Decides the draws.
    pub seed: u64,
    /// Of sampling; 0 is greedy.
    pub temperature: f64,
    /// Of sampling.
    pub top_p: f64,
    /// Longest answer.
    pub max_new_tokens: usize,
    /// Questions in a batch.
    pub batch_rows: usize,
}

impl Head {
    /// What differs from `other`. The same model may have moved.
    fn differs(&self, other: &Self) -> Option<&'static str> {
        let checks = [
            (
                "the model",
                self.model_fingerprint == other.model_fingerprint,
            ),
            (
                "the adapter",
                self.adapter_fingerprint == other.adapter_fingerprint,
            ),
            (
                "a question or prompt",
                self.questions_sha256 == other.questions_sha256,
            ),
            ("the seed", self.seed == other.seed),
            (
                "the temperature",
                self.temperature.to_bits() == other.temperature.to_bits(),
            ),
            ("top-p", self.top_p.to_bits() == other.top_p.to_bits()),
            (
                "the longest answer",
                self.max_new_tokens == other.max_new_tokens,
            ),
            ("the batch size", self.batch_rows == other.batch_rows),
        ];
        let differing = checks.into_iter().find(|(_, same)| !same);
        differing.map(|(what, _)| what)
    }
}

/// An answer with the place of its prompt.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    prompt: usize,
    #[serde(flatten)]
    answer: Answer,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Kept {
    log: LineLog,
    /// The answers of the batches that are done.
    pub batches: Vec<Vec<Answer>>,
}

impl Kept {
    /// Opens the file of a run, or begins one.
    ///
    /// # Errors
    /// It is of another run, damaged, or cannot be written.
    pub(crate) fn open(path: &Path, head: &Head, plan: &Plan) -> Result<Self, EvalError> {
        let (mut log, lines) = LineLog::open(path)?;
        let damaged = |line: usize, problem: String| EvalError::Unfit {
            path: path.to_owned(),
            problem: format!("line {line} is damaged: {problem}"),
            remedy: "remove it and the lines after it, and their questions are answered again",
        };
        let Some((first, rest)) = lines.split_first() else {
            log.append(&json(path, head)?)?;
            let batches = Vec::new();
            return Ok(Self { log, batches });
        };
        let then: Head =
            serde_json::from_str(first).map_err(|error| damaged(1, error.to_string()))?;
        if let Some(what) = then.differs(head) {
            return Err(EvalError::Unfit {
                path: path.to_owned(),
                problem: format!("{what} was another when these answers were given"),
                remedy: "choose another --out, or remove the file to answer again",
            });
        }
        let mut batches = Vec::new();
        for (at, text) in rest.iter().enumerate() {
            let line = at + 2;
            let rows: Vec<Line> =
                serde_json::from_str(text).map_err(|error| damaged(line, error.to_string()))?;
            let places: Vec<usize> = rows.iter().map(|row| row.prompt).collect();
            if plan.batches.get(at) != Some(&places) {
                return Err(damaged(line, "answers to other prompts".to_owned()));
            }
            batches.push(rows.into_iter().map(|row| row.answer).collect());
        }
        Ok(Self { log, batches })
    }

    /// Keeps the answers of the next batch; they are on the disk when this returns.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn keep(&mut self, batch: &[usize], answers: &[Answer]) -> Result<(), EvalError> {
        let line = |(&prompt, answer): (&usize, &Answer)| Line {
            prompt,
            answer: answer.clone(),
        };
        let lines: Vec<Line> = batch.iter().zip(answers).map(line).collect();
        let text = json(self.log.path(), &lines)?;
        Ok(self.log.append(&text)?)
    }
}
