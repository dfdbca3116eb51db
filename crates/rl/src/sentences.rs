//! Where the sentences of a response end, so that each can be paid what it changes in the reward model's score.
//!
//! A sentence ends with a token after which the text so far ends with `.`, `!`, `?` or a line break, quotes and brackets behind it
//! aside; what is left belongs to the last one, which ends with the response. An abbreviation ends a sentence too early, which does
//! no harm: the gain of a sentence is the score of the text up to its end less that of the text up to the one before, so the gains
//! add up to the score of the whole whatever the cut (FGAIF's segments, arXiv 2404.05046, by differences in the place of a second reward model).

use candor_data::sentences::ends_sentence;
use candor_model::{ModelError, Tokenizer};

/// An end of a sentence that is not the end of the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentenceEnd {
    /// The token after which it ends.
    pub place: usize,
    /// The response up to there, without surrounding white space.
    pub text: String,
}

/// The ends of all sentences but the last, in their order; `whole` is the text of all tokens.
///
/// # Errors
/// The tokenizer refuses a token.
pub fn sentence_ends(
    tokenizer: &Tokenizer,
    ids: &[i64],
    whole: &str,
) -> Result<Vec<SentenceEnd>, ModelError> {
    let mut ends: Vec<SentenceEnd> = Vec::new();
    for (place, id) in ids.iter().enumerate() {
        // The text so far is only looked at where the token itself may end a sentence.
        if !tokenizer.decode(&[*id])?.contains(['.', '!', '?', '\n']) {
            continue;
        }
        let text = tokenizer.decode(&ids[..=place])?;
        let is_new = |text: &str| {
            let before = ends.last().map_or("", |end| end.text.as_str());
            !text.is_empty() && text != before && text != whole
        };
        if ends_sentence(&text) && is_new(text.trim()) {
            ends.push(SentenceEnd {
                place,
                text: text.trim().to_owned(),
            });
        }
    }
    Ok(ends)
}
