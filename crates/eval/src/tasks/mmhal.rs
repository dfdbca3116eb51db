//! MMHal-Bench on the micro-world, rated by the exact judge.

use std::path::Path;
use std::rc::Rc;

use candor_data::formats::mmhal::{self as format, Question};

use super::Task;
use crate::answer::{Answer, Ask};
use crate::mmhal::{self, HALLUCINATED_BELOW, Rated, Scores};
use crate::truth::Truth;
use crate::verdicts::{ClaimLine, MmhalLine, standing_name};
use crate::{Benchmark, EvalError};

/// The questions and the truth behind them.
#[derive(Debug)]
pub struct MmhalTask {
    questions: Vec<Question>,
    truth: Rc<Truth>,
}

impl MmhalTask {
    /// Reads `mmhal.json` of an evaluation folder.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn read(folder: &Path, truth: Rc<Truth>) -> Result<Self, EvalError> {
        let questions = format::read(&folder.join("mmhal.json"))?;
        Ok(Self { questions, truth })
    }

    /// The line of the question at `index`.
    fn verdict(&self, index: usize, row: &Question, answer: &str) -> Result<MmhalLine, EvalError> {
        let verdict = self.truth.judge(&row.image_src, &row.question, answer)?;
        Ok(MmhalLine {
            id: index.to_string(),
            image: row.image_src.clone(),
            question_type: row.question_type.clone(),
            question: row.question.clone(),
            reference: row.gt_answer.clone(),
            answer: answer.to_owned(),
            score: verdict.score,
            hallucinated: verdict.score < HALLUCINATED_BELOW,
            standing: standing_name(verdict.standing).to_owned(),
            claims: ClaimLine::all(answer, &verdict.claims),
        })
    }
}

impl Task for MmhalTask {
    type Verdict = MmhalLine;
    type Scores = Scores;

    const BENCHMARK: Benchmark = Benchmark::Mmhal;

    fn asks(&self) -> Vec<Ask> {
        let rows = self.questions.iter().enumerate();
        rows.map(|(index, row)| Ask {
            id: index.to_string(),
            image: row.image_src.clone(),
            text: row.question.clone(),
        })
        .collect()
    }

    fn judge(&self, answers: &[Answer], seed: u64) -> Result<(Vec<MmhalLine>, Scores), EvalError> {
        let rows = self.questions.iter().enumerate().zip(answers);
        let lines: Result<Vec<MmhalLine>, EvalError> = rows
            .map(|((index, row), answer)| self.verdict(index, row, &answer.text))
            .collect();
        let lines = lines?;
        let rated = lines.iter().map(|line| Rated {
            image: line.image.clone(),
            question_type: line.question_type.clone(),
            score: Some(line.score),
        });
        let scores = mmhal::score(&rated.collect::<Vec<_>>(), seed);
        Ok((lines, scores))
    }
}
