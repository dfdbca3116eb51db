//! What a template and a tokenizer make of a short conversation about an image.

use std::path::Path;

use candor_data::{Conversation, Turn};

use super::{Problem, Problems};
use crate::{Encoded, IMAGE, ModelError, Template, Tokenizer};

/// An example, as a template renders it and a tokenizer cuts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// Its tokens; the image's placeholder is one of them.
    pub tokens: Encoded,
    /// Which of the tokens the assistant says.
    pub said: Vec<bool>,
}

impl Example {
    /// A question about an image, its answer, and a second round without one.
    ///
    /// # Errors
    /// The template refuses it.
    pub fn of(template: &Template, tokenizer: &Tokenizer) -> Result<Self, ModelError> {
        let conversation = Conversation {
            id: "example".to_owned(),
            image: Some("example.jpg".to_owned()),
            turns: vec![
                Turn::human(format!("{IMAGE}\nWhat is in the picture?")),
                Turn::gpt("A red bus."),
                Turn::human("Is it moving?"),
                Turn::gpt("No."),
            ],
        };
        let rendered = template.render(&conversation)?;
        let tokens = tokenizer.encode(&rendered.text)?;
        let within = |&(start, end): &(usize, usize)| {
            let mut ranges = rendered.assistant.iter();
            ranges.any(|&(from, to)| start >= from && end <= to)
        };
        let said = tokens.spans.iter().map(within).collect();
        Ok(Self {
            text: rendered.text,
            tokens,
            said,
        })
    }

    /// Whether each answer ends with a token of its own, so that a model that learns from it learns to stop.
    #[must_use]
    pub fn answers_end(&self, tokenizer: &Tokenizer) -> bool {
        let specials = tokenizer.specials();
        let n = self.said.len();
        let mut ends = (0..n).filter(|&i| self.said[i] && (i + 1 == n || !self.said[i + 1]));
        ends.all(|i| {
            let (from, to) = self.tokens.spans[i];
            specials
                .iter()
                .any(|special| *special == self.text[from..to])
        })
    }
}

/// Whether a model that is trained on a folder's template learns to end its answers.
///
/// # Errors
/// It does not.
pub fn check_answers_end(
    folder: &Path,
    template: &Template,
    tokenizer: &Tokenizer,
) -> Result<(), ModelError> {
    if Example::of(template, tokenizer)?.answers_end(tokenizer) {
        return Ok(());
    }
    let problem = Problem {
        path: folder.to_owned(),
        found: "the template ends an answer without a token that says so, so a model trained on it would never stop"
            .to_owned(),
        remedy: "set model.template = \"vicuna_v1\" or \"qwen\" in the recipe of `candor sft`, or put a template.json such as {\"kind\": \"vicuna_v1\", \"system\": \"…\"} into the folder, which counts \
                 before the chat template",
    };
    Err(ModelError::Preflight(Problems {
        parts: vec![problem],
        weights: None,
    }))
}
