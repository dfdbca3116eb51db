//! Where the sentences of a response end, so that each can be paid for itself.
//!
//! The ends are those of [`candor_data::sentences`], by which the sentences that a reward model was trained on are labelled: a mark
//! inside a number or a row of dots ends none. A sentence is paid at the first token with which it is whole; what is left belongs to
//! the last one, which ends with the response. An abbreviation ends a sentence too early. That does no harm to the gain of a sentence,
//! the score of the text up to its end less that of the text up to the one before, since the gains add up to the score of the whole
//! whatever the cut (FGAIF's segments, arXiv 2404.05046, by differences); as a segment each
//! sentence earns a label of its own, and must be cut as it was in the training.

use candor_data::sentences::sentences;
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
    let mut cuts = sentences(whole);
    cuts.pop();
    let mut ends = Vec::with_capacity(cuts.len());
    let mut first = 0;
    for cut in cuts {
        let text = whole[..cut.end].trim();
        // The fewest tokens whose text holds all of it; more of them do so too.
        let (mut short, mut enough) = (first, ids.len());
        while short < enough {
            let n = usize::midpoint(short, enough);
            if tokenizer.decode(&ids[..n])?.trim_start().starts_with(text) {
                enough = n;
            } else {
                short = n + 1;
            }
        }
        first = enough;
        ends.push(SentenceEnd {
            place: enough.saturating_sub(1),
            text: text.to_owned(),
        });
    }
    Ok(ends)
}
