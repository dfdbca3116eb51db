//! CHAIR: descriptions of the captioned images against their COCO instances.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use candor_data::formats::coco;

use super::Task;
use crate::answer::{Answer, Ask};
use crate::chair::{self, Described, Scores};
use crate::truth::{Truth, objects_mentioned};
use crate::verdicts::{ChairLine, ClaimLine};
use crate::{Benchmark, EvalError};

/// The images, what is in them, and the question.
#[derive(Debug)]
pub struct ChairTask {
    present: BTreeMap<String, BTreeSet<String>>,
    question: String,
    truth: Rc<Truth>,
}

impl ChairTask {
    /// Reads `chair_instances.json` of an evaluation folder.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn read(folder: &Path, question: &str, truth: Rc<Truth>) -> Result<Self, EvalError> {
        let instances = coco::read_instances(&folder.join("chair_instances.json"))?;
        let owned = |(image, names): (&str, Vec<&str>)| {
            let names = names.into_iter().map(str::to_owned).collect();
            (image.to_owned(), names)
        };
        Ok(Self {
            present: instances.objects_by_file().into_iter().map(owned).collect(),
            question: question.to_owned(),
            truth,
        })
    }

    fn verdict(&self, described: &Described, answer: &str) -> Result<ChairLine, EvalError> {
        let verdict = self.truth.judge(&described.image, &self.question, answer)?;
        Ok(ChairLine {
            image: described.image.clone(),
            question: self.question.clone(),
            answer: answer.to_owned(),
            mentioned: described.mentioned.iter().cloned().collect(),
            present: described.present.iter().cloned().collect(),
            hallucinated: described.hallucinated().cloned().collect(),
            score: verdict.score,
            claims: ClaimLine::all(answer, &verdict.claims),
        })
    }
}

impl Task for ChairTask {
    type Verdict = ChairLine;
    type Scores = Scores;

    const BENCHMARK: Benchmark = Benchmark::Chair;

    fn asks(&self) -> Vec<Ask> {
        let images = self.present.keys();
        images
            .map(|image| Ask {
                id: image.clone(),
                image: image.clone(),
                text: self.question.clone(),
            })
            .collect()
    }

    fn judge(&self, answers: &[Answer], seed: u64) -> Result<(Vec<ChairLine>, Scores), EvalError> {
        let rows = self.present.iter().zip(answers);
        let described: Vec<Described> = rows
            .map(|((image, present), answer)| {
                Described::new(image, &answer.text, present.clone(), objects_mentioned)
            })
            .collect();
        let rows = described.iter().zip(answers);
        let lines: Result<Vec<ChairLine>, EvalError> = rows
            .map(|(described, answer)| self.verdict(described, &answer.text))
            .collect();
        Ok((lines?, chair::score(&described, seed)))
    }
}
