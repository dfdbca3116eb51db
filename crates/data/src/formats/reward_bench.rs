//! Benchmarks of reward models: a question about an image, two answers, and which one is better.
//!
//! Each row is a comparison with the group that the benchmark counts it under. They are there to measure with; a model that
//! was trained on them has no number on them.

pub mod multimodal;
pub mod vl;

use super::preference_log::context_fault;
use super::table::Fault;
use crate::comparison::{Comparison, Judgement};
use crate::conversation::{IMAGE_PLACEHOLDER, Turn};
use crate::preference::{Side, placeholder_fault};

/// A row of a benchmark, whatever it calls its fields.
struct Pair {
    id: String,
    image: Option<String>,
    question: String,
    outputs: [String; 2],
    models: Option<[String; 2]>,
    group: Option<String>,
    preferred: Option<Side>,
}

/// What a file calls the parts of a row, for messages.
struct Names {
    image: &'static str,
    question: &'static str,
    outputs: [&'static str; 2],
}

impl Pair {
    /// The comparison that it is. The image goes before the question where the question does not say where it goes.
    fn comparison(self, names: &Names) -> Result<Comparison, Fault> {
        let refuse = |field: &str, found: &str| Err((field.to_owned(), found.to_owned()));
        let Some(image) = self.image else {
            return refuse(names.image, "missing");
        };
        if self.question.trim().is_empty() {
            return refuse(names.question, "found nothing but blanks");
        }
        let asked = if self.question.contains(IMAGE_PLACEHOLDER) {
            self.question
        } else {
            format!("{IMAGE_PLACEHOLDER}\n{}", self.question)
        };
        let turns = vec![Turn::human(asked)];
        let [first, second] = &self.outputs;
        let fault = context_fault(&turns, Some(&image))
            .or_else(|| placeholder_fault(&turns, Some(&image), [first, second]));
        if let Some((field, found)) = fault {
            let part = match field.as_str() {
                "image" => names.image,
                "outputs[0]" => names.outputs[0],
                "outputs[1]" => names.outputs[1],
                _ => names.question,
            };
            return refuse(part, &found);
        }
        Ok(Comparison {
            id: self.id,
            image: Some(image),
            turns,
            original_answer: None,
            outputs: self.outputs,
            models: self.models,
            group: self.group,
            judgement: self.preferred.map(Judgement::for_side),
            severity: None,
        })
    }
}
