//! Training sources become conversations: the paper's four, of which one is machine-written.
//!
//! | source | function | kept as |
//! |---|---|---|
//! | LLaVA descriptions (GPT-4 written) | [`as_it_is`] | they are |
//! | VQA-v2 | [`vqa_v2()`] | several questions about one image, answered in a word or phrase |
//! | A-OKVQA | [`a_okvqa()`] | one multiple-choice question, letter and rationale |
//! | Flickr30k | [`flickr30k()`] | one short caption an image |
//!
//! # Reference
//! arXiv 2309.14525, section 3 ("high-quality instruction tuning"). Instructions are worded anew, but for
//! the prompts that benchmarks append to their questions ([`SHORT_ANSWER_PROMPT`]). Which rows of the public
//! sets the paper's 83k, 16k and 23k are is not known; taking a number of rows is the mixture's business.

mod a_okvqa;
mod flickr30k;
mod vqa_v2;

pub use self::a_okvqa::{Reasoning, a_okvqa};
pub use self::flickr30k::flickr30k;
pub(crate) use self::vqa_v2::vqa_fault;
pub use self::vqa_v2::{PromptOn, VqaOptions, vqa_v2};

use std::sync::Arc;

use crate::conversation::{Conversation, IMAGE_PLACEHOLDER, Speaker};
use crate::rows::{Reason, Row, RowFault, RowName, SourceFile};

/// What POPE and MMBench append to a question, and VQA-style training data with them.
pub const SHORT_ANSWER_PROMPT: &str = "Answer the question using a single word or phrase.";

/// The conversation of row `number` as it is, of LLaVA's rows or of messages.
#[must_use]
pub fn as_it_is(file: &Arc<SourceFile>, number: usize, row: Conversation) -> Row<Conversation> {
    Row {
        name: RowName::numbered(file, number, row.id.as_str()),
        made: Ok(row),
    }
}

/// The conversation, provided that there is an answer to learn, and none that is blank: a model that is trained on a
/// blank answer learns to say nothing.
///
/// # Errors
/// A fault of the field `conversations`.
pub fn learnable(row: Conversation) -> Result<Conversation, RowFault> {
    let fault = |found, remedy: &'static str| {
        RowFault::new(Reason::EmptyAnswer, "conversations", found, remedy)
    };
    let answers = row.turns.iter().enumerate();
    let answers: Vec<_> = answers
        .filter(|(_, turn)| turn.from == Speaker::Gpt)
        .collect();
    if answers.is_empty() {
        return Err(fault(
            "no gpt turn, so there is nothing to learn".to_owned(),
            "add the answer, or use the file as prompts instead",
        ));
    }
    let blank = answers
        .iter()
        .find(|(_, turn)| turn.value.trim().is_empty());
    match blank {
        None => Ok(row),
        Some((turn, _)) => Err(fault(
            format!("the answer in turn {turn} is blank, so that silence would be learned"),
            "write the answer, or remove the row",
        )),
    }
}

/// A first human turn: the image, then the text.
fn with_image(text: &str) -> String {
    format!("{IMAGE_PLACEHOLDER}\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Turn;

    #[test]
    fn an_answer_that_is_missing_or_blank_is_named() {
        let row = |turns| Conversation {
            id: "a".into(),
            image: None,
            turns,
        };
        let good = row(vec![Turn::human("q"), Turn::gpt("a")]);
        assert_eq!(learnable(good.clone()), Ok(good));
        let fault = learnable(row(vec![Turn::human("q")])).unwrap_err();
        assert_eq!(fault.reason, Reason::EmptyAnswer);
        assert!(fault.found.contains("no gpt turn"), "{}", fault.found);
        let turns = ["q", "a", "q", " \n"];
        let turns = turns.iter().enumerate().map(|(i, value)| match i % 2 {
            0 => Turn::human(*value),
            _ => Turn::gpt(*value),
        });
        let fault = learnable(row(turns.collect())).unwrap_err();
        assert_eq!(fault.reason, Reason::EmptyAnswer);
        assert!(fault.found.contains("turn 3 is blank"), "{}", fault.found);
    }
}
