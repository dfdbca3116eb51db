//! Training sources become conversations: the paper's four, of which one is machine-written.
//!
//! | source | function | kept as |
//! |---|---|---|
//! | LLaVA descriptions (GPT-4 written) | [`descriptions`] | they are |
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
pub use self::vqa_v2::{PromptOn, VqaOptions, vqa_v2};

use crate::conversation::{Conversation, IMAGE_PLACEHOLDER, Speaker};
use crate::error::DataError;

/// What POPE and MMBench append to a question, and VQA-style training data with them.
pub const SHORT_ANSWER_PROMPT: &str = "Answer the question using a single word or phrase.";

/// LLaVA rows as they are, provided that each has an answer to learn.
///
/// # Errors
/// [`DataError::Sample`] for a row without a gpt turn.
pub fn descriptions(rows: Vec<Conversation>) -> Result<Vec<Conversation>, DataError> {
    let has_answer = |row: &Conversation| row.turns.iter().any(|turn| turn.from == Speaker::Gpt);
    match rows.iter().position(|row| !has_answer(row)) {
        None => Ok(rows),
        Some(row) => Err(DataError::Sample {
            name: "descriptions",
            row,
            field: "conversations",
            found: "no gpt turn, so there is nothing to learn".into(),
            remedy: "add the answer, or use the file as prompts instead".into(),
        }),
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
    fn a_description_without_an_answer_is_named() {
        let row = |turns| Conversation {
            id: "a".into(),
            image: None,
            turns,
        };
        let good = row(vec![Turn::human("q"), Turn::gpt("a")]);
        let bad = row(vec![Turn::human("q")]);
        assert_eq!(
            descriptions(vec![good.clone()]).unwrap(),
            std::slice::from_ref(&good)
        );
        let message = descriptions(vec![good, bad]).unwrap_err().to_string();
        assert!(
            message.contains("source descriptions, row 1, field `conversations`"),
            "{message}"
        );
    }
}
