//! POPE: three files of yes/no questions. Needs no judge, and so no ground truth but the labels.

use std::path::PathBuf;

use candor_data::formats::pope::{self as format, Label, Question};

use super::Task;
use crate::answer::{Answer, Ask};
use crate::pope::{self, Answered, Scores};
use crate::verdicts::PopeLine;
use crate::{Benchmark, EvalError};

/// The splits, by their place in the file names.
pub const SPLITS: [&str; 3] = ["random", "popular", "adversarial"];

/// The questions of all splits and what follows each of them.
#[derive(Debug)]
pub struct PopeTask {
    questions: Vec<(&'static str, Question)>,
    suffix: String,
}

impl PopeTask {
    /// Reads the questions of all splits, each from its file.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn read(file: impl Fn(&str) -> PathBuf, suffix: &str) -> Result<Self, EvalError> {
        let mut questions = Vec::new();
        for split in SPLITS {
            let rows = format::read(&file(split))?;
            questions.extend(rows.into_iter().map(|row| (split, row)));
        }
        Ok(Self {
            questions,
            suffix: suffix.trim().to_owned(),
        })
    }

    fn text(&self, question: &str) -> String {
        if self.suffix.is_empty() {
            question.to_owned()
        } else {
            format!("{question}\n{}", self.suffix)
        }
    }
}

fn word(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

impl Task for PopeTask {
    type Verdict = PopeLine;
    type Scores = Scores;

    const BENCHMARK: Benchmark = Benchmark::Pope;

    fn asks(&self) -> Vec<Ask> {
        let rows = self.questions.iter();
        rows.map(|(split, row)| Ask {
            id: format!("{split}-{}", row.question_id),
            image: row.image.clone(),
            text: self.text(&row.text),
        })
        .collect()
    }

    fn judge(&self, answers: &[Answer], seed: u64) -> Result<(Vec<PopeLine>, Scores), EvalError> {
        let rows = || self.questions.iter().zip(answers);
        let answered = rows().map(|((split, row), answer)| Answered {
            image: row.image.clone(),
            split: (*split).to_owned(),
            truth: row.label == Label::Yes,
            read: pope::read(&answer.text),
        });
        let answered: Vec<Answered> = answered.collect();
        let lines = rows()
            .zip(&answered)
            .map(|(((split, row), answer), item)| PopeLine {
                id: format!("{split}-{}", row.question_id),
                image: row.image.clone(),
                split: (*split).to_owned(),
                question: row.text.clone(),
                label: word(item.truth),
                answer: answer.text.clone(),
                read_as: word(item.read.yes),
                neither: item.read.neither,
                right: item.read.yes == item.truth,
            });
        Ok((lines.collect(), pope::score(&answered, seed)))
    }
}
