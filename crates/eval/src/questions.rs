//! A benchmark's questions as a model is asked them, and its answers as files.

use std::path::{Path, PathBuf};

use candor_data::formats::answers;
use candor_data::{atomic, sha256};
use candor_judge::benchmarks::{Files, Task};
use candor_judge::{Benchmark, Item, settings};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::answer::{Answer, Ask};

/// A line of `answers/<benchmark>.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// The question's id within its file.
    pub id: String,
    /// The image.
    pub image: String,
    /// What the model was asked, instruction included.
    pub question: String,
    /// What it answered.
    pub answer: String,
    /// Tokens of the answer, the end token not counted.
    pub n_tokens: usize,
    /// Whether it ended by itself rather than at the limit.
    pub finished: bool,
}

/// How questions are asked.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// What is asked where the benchmark has no words of its own, as CHAIR's descriptions.
    pub description: &'a str,
    /// Instruction on a line of its own after every question; the benchmark's custom if absent.
    pub instruction: Option<&'a str>,
}

/// A benchmark with what a model is asked.
pub struct Questions {
    /// The benchmark.
    pub benchmark: Benchmark,
    /// What it was read from.
    pub files: Files,
    /// Its questions.
    pub task: Box<dyn Task>,
    /// What the model is asked, in the order of the questions.
    pub asks: Vec<Ask>,
}

/// SHA-256 of what a model is asked.
pub(crate) fn questions_sha256<'a>(asks: impl IntoIterator<Item = &'a Ask>) -> String {
    let parts = (asks.into_iter()).flat_map(|ask| [&ask.id, &ask.image, &ask.text]);
    sha256::of_bytes(parts.map(|part| part.clone().into_bytes()))
}

impl Questions {
    /// Reads a benchmark's questions.
    ///
    /// # Errors
    /// A file is missing, damaged or one too many.
    pub fn read(
        benchmark: Benchmark,
        files: Files,
        templates: &settings::Templates,
        asking: Asking<'_>,
    ) -> Result<Self, EvalError> {
        let task = benchmark.open(&files, templates)?;
        let ask = |item: &Item| Ask {
            id: item.id.clone(),
            image: item.image.clone(),
            text: asking.words(item),
        };
        Ok(Self {
            asks: task.items().iter().map(ask).collect(),
            benchmark,
            files,
            task,
        })
    }

    /// Writes an answers file for each file of questions; returns where they are. `answers` are in the order of the
    /// questions.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, out: &Path, answers: &[Answer]) -> Result<Vec<PathBuf>, EvalError> {
        let mut paths = Vec::new();
        for (file, questions) in self.files.questions.iter().enumerate() {
            let path = out.join(self.benchmark.answers_file(questions));
            let rows = self.task.items().iter().zip(&self.asks).zip(answers);
            let mut lines = String::new();
            for ((_, ask), answer) in rows.filter(|((item, _), _)| item.file == file) {
                let line = AnswerLine {
                    id: ask.id.clone(),
                    image: ask.image.clone(),
                    question: ask.text.clone(),
                    answer: answer.text.clone(),
                    n_tokens: answer.n_tokens,
                    finished: answer.finished,
                };
                lines += &json(&path, &line)?;
                lines.push('\n');
            }
            atomic::write(&path, lines.as_bytes())?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// The answers with the places of their questions, as they would be read from their files.
    #[must_use]
    pub fn answered(&self, answers: &[Answer]) -> Vec<(usize, answers::Answer)> {
        let answered = |(at, (ask, answer)): (usize, (&Ask, &Answer))| {
            let answer = answers::Answer {
                id: Some(ask.id.clone()),
                image: Some(ask.image.clone()),
                question: Some(ask.text.clone()),
                text: answer.text.clone(),
                n_tokens: Some(answer.n_tokens),
                finished: Some(answer.finished),
            };
            (at, answer)
        };
        let rows = self.asks.iter().zip(answers).enumerate();
        rows.map(answered).collect()
    }
}

impl Asking<'_> {
    fn words(self, item: &Item) -> String {
        let question = if item.prompt.is_empty() {
            self.description
        } else {
            &item.prompt
        };
        let instruction = self.instruction.unwrap_or(item.instruction).trim();
        let mut text = question.trim().to_owned();
        if !instruction.is_empty() {
            text.push('\n');
            text += instruction;
        }
        text
    }
}

/// A line of a file.
fn json<T: Serialize>(path: &Path, line: &T) -> Result<String, EvalError> {
    serde_json::to_string(line).map_err(|error| EvalError::Unfit {
        path: path.to_owned(),
        problem: error.to_string(),
        remedy: "report this: every line is made of plain fields",
    })
}
