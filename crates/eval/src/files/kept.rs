//! `answers.log`: what is answered, batch by batch, behind a line that says by whom and how.

use std::path::Path;

use candor_data::image::PixelBounds;
use candor_data::{DataError, LineLog};
use candor_run::Inputs;
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::EvalError;
use crate::answer::Answer;

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
    /// Bounds of images that were given.
    #[serde(default, skip_serializing_if = "PixelBounds::is_none")]
    pub pixels: PixelBounds,
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
    /// What all ranks must have alike.
    pub(crate) fn inputs(&self) -> Inputs {
        let adapter = self.adapter_fingerprint.clone().unwrap_or_default();
        let settings = format!(
            "seed {}, temperature {}, top-p {}, {} tokens an answer, {} questions a batch, {:?}",
            self.seed,
            self.temperature,
            self.top_p,
            self.max_new_tokens,
            self.batch_rows,
            self.pixels
        );
        Inputs::new([
            ("model", self.model_fingerprint.clone()),
            ("adapter", adapter),
            ("questions and prompts", self.questions_sha256.clone()),
            ("settings", settings),
        ])
    }

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
            ("the bounds of images", self.pixels == other.pixels),
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

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    /// The first.
    Head(Head),
    /// The answers of a batch.
    Batch(Vec<Row>),
}

/// An answer with the place of its prompt.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    prompt: usize,
    #[serde(flatten)]
    answer: Answer,
}

/// The file.
#[derive(Debug)]
pub(crate) struct Kept {
    log: LineLog<Line>,
    /// The answers of the batches that are done.
    pub batches: Vec<Vec<Answer>>,
}

const REMEDY: &str = "remove it and the lines after it, and their questions are answered again";

impl Kept {
    /// Removes the file where its answers were given otherwise than `head` says.
    ///
    /// # Errors
    /// It is damaged, or cannot be removed.
    pub(crate) fn make_way(path: &Path, head: &Head) -> Result<(), EvalError> {
        let (log, lines) = LineLog::<Line>::open(path, REMEDY)?;
        drop(log);
        let is_of_head = |line: &Line| match line {
            Line::Head(then) => then.differs(head).is_none(),
            Line::Batch(_) => false,
        };
        if lines.first().is_none_or(is_of_head) {
            return Ok(());
        }
        std::fs::remove_file(path).map_err(|source| DataError::Io {
            action: "replace",
            path: path.to_owned(),
            remedy: "check that you may write there".into(),
            source,
        })?;
        Ok(())
    }

    /// Opens the file of a run, or begins one.
    ///
    /// # Errors
    /// It is of another run, damaged, or cannot be written.
    pub(crate) fn open(path: &Path, head: &Head, plan: &Plan) -> Result<Self, EvalError> {
        let (mut log, lines) = LineLog::open(path, REMEDY)?;
        let damaged = |line: usize, problem: &str| EvalError::Unfit {
            path: path.to_owned(),
            problem: format!("line {line}: damaged ({problem})"),
            remedy: REMEDY,
        };
        let mut lines = lines.into_iter();
        let Some(first) = lines.next() else {
            log.append(&Line::Head(head.clone()))?;
            let batches = Vec::new();
            return Ok(Self { log, batches });
        };
        let Line::Head(then) = first else {
            return Err(damaged(1, "it does not say by whom the answers are"));
        };
        if let Some(what) = then.differs(head) {
            return Err(EvalError::Unfit {
                path: path.to_owned(),
                problem: format!("{what} was another when these answers were given"),
                remedy: "choose another --out, or remove the file to answer again",
            });
        }
        let mut batches = Vec::new();
        for (at, line) in lines.enumerate() {
            let number = at + 2;
            let Line::Batch(rows) = line else {
                return Err(damaged(number, "a second beginning"));
            };
            let places: Vec<usize> = rows.iter().map(|row| row.prompt).collect();
            if plan.batches.get(at) != Some(&places) {
                return Err(damaged(number, "answers to other prompts"));
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
        let row = |(&prompt, answer): (&usize, &Answer)| Row {
            prompt,
            answer: answer.clone(),
        };
        let rows = batch.iter().zip(answers).map(row).collect();
        Ok(self.log.append(&Line::Batch(rows))?)
    }
}
