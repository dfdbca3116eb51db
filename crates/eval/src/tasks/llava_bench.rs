//! LLaVA-Bench on the micro-world: the exact judge scores reference and answer alike.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use candor_data::formats::llava_bench::{self as format, Category, Question};

use super::Task;
use crate::answer::{Answer, Ask};
use crate::llava_bench::{self, Compared, Scores, mark};
use crate::truth::Truth;
use crate::verdicts::{ClaimLine, LlavaBenchLine};
use crate::{Benchmark, EvalError};

/// Questions, each with its reference answer, and the truth behind them.
#[derive(Debug)]
pub struct LlavaBenchTask {
    questions: Vec<(Question, String)>,
    truth: Rc<Truth>,
}

impl LlavaBenchTask {
    /// Reads `llava_bench/questions.jsonl` and `answers.jsonl` of an evaluation folder.
    ///
    /// # Errors
    /// A file is missing or damaged, or a question has no reference answer.
    pub fn read(folder: &Path, truth: Rc<Truth>) -> Result<Self, EvalError> {
        let folder = folder.join("llava_bench");
        let path = folder.join("answers.jsonl");
        let answers = format::read_answers(&path)?.into_iter();
        let mut references: HashMap<u64, String> = answers
            .map(|answer| (answer.question_id, answer.text))
            .collect();
        let mut questions = Vec::new();
        for question in format::read_questions(&folder.join("questions.jsonl"))? {
            let reference = references.remove(&question.question_id);
            let reference = reference.ok_or_else(|| EvalError::Unfit {
                path: path.clone(),
                problem: format!("no answer to question {}", question.question_id),
                remedy: "use questions and answers of the same set",
            })?;
            questions.push((question, reference));
        }
        Ok(Self { questions, truth })
    }

    fn verdict(
        &self,
        row: &Question,
        reference: &str,
        answer: &str,
    ) -> Result<LlavaBenchLine, EvalError> {
        let of_reference = self.truth.judge(&row.image, &row.text, reference)?;
        let of_answer = self.truth.judge(&row.image, &row.text, answer)?;
        Ok(LlavaBenchLine {
            id: row.question_id.to_string(),
            image: row.image.clone(),
            category: category_name(row.category).to_owned(),
            question: row.text.clone(),
            reference: reference.to_owned(),
            answer: answer.to_owned(),
            reference_score: of_reference.score,
            score: of_answer.score,
            reference_mark: mark(of_reference.score),
            mark: mark(of_answer.score),
            claims: ClaimLine::all(answer, &of_answer.claims),
        })
    }
}

fn category_name(category: Category) -> &'static str {
    match category {
        Category::Conv => "conv",
        Category::Detail => "detail",
        Category::Complex => "complex",
    }
}

impl Task for LlavaBenchTask {
    type Verdict = LlavaBenchLine;
    type Scores = Scores;

    const BENCHMARK: Benchmark = Benchmark::LlavaBench;

    fn asks(&self) -> Vec<Ask> {
        let rows = self.questions.iter();
        rows.map(|(row, _)| Ask {
            id: row.question_id.to_string(),
            image: row.image.clone(),
            text: row.text.clone(),
        })
        .collect()
    }

    fn judge(
        &self,
        answers: &[Answer],
        seed: u64,
    ) -> Result<(Vec<LlavaBenchLine>, Scores), EvalError> {
        let rows = self.questions.iter().zip(answers);
        let lines: Result<Vec<LlavaBenchLine>, EvalError> = rows
            .map(|((row, reference), answer)| self.verdict(row, reference, &answer.text))
            .collect();
        let lines = lines?;
        let compared = lines.iter().map(|line| Compared {
            image: line.image.clone(),
            category: line.category.clone(),
            marks: Some([line.reference_mark, line.mark]),
        });
        let scores = llava_bench::score(&compared.collect::<Vec<_>>(), seed);
        Ok((lines, scores))
    }
}
