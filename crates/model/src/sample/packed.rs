//! A tokenised conversation as bytes, for sets that are larger than the memory: 4 bytes a token, and 8 for all tokens of an image.
//!
//! A word of 32 bits is a token's id, whether it is learned, and whether the next word says how often it comes. These bytes are
//! read by the process that wrote them, and are no format of files.

use candor_data::rows::packing::{add, add_text, number, text, text_of};
use candor_data::rows::{Reason, RowFault};

use super::{IGNORE, Sample};
use crate::ModelError;

/// Ids are below this: two bits of a word are for what is said of the token.
const END_OF_IDS: i64 = 1 << 30;
const LEARNED: u32 = 2;
const REPEATED: u32 = 1;
/// In the place of a length: there is no text.
const NONE: u32 = u32::MAX;

impl Sample {
    /// The sample as bytes.
    ///
    /// # Errors
    /// A token has an id that no vocabulary has.
    pub fn packed(&self) -> Result<Vec<u8>, ModelError> {
        let mut bytes = Vec::with_capacity(self.id.len() + 4 * self.ids.len());
        add_text(&mut bytes, &self.id);
        match &self.image {
            Some(image) => add_text(&mut bytes, image),
            None => add(&mut bytes, NONE),
        }
        let tokens: Vec<(i64, i64)> = (self.ids.iter().copied())
            .zip(self.labels.iter().copied())
            .collect();
        for run in tokens.chunk_by(|left, right| left == right) {
            let (id, label) = run[0];
            let is_known = (0..END_OF_IDS).contains(&id) && (label == id || label == IGNORE);
            if !is_known {
                return Err(self.unknown(id));
            }
            let learned = if label == id { LEARNED } else { 0 };
            let repeated = if run.len() > 1 { REPEATED } else { 0 };
            add(&mut bytes, ((id as u32) << 2) | learned | repeated);
            if run.len() > 1 {
                add(&mut bytes, run.len() as u32);
            }
        }
        Ok(bytes)
    }

    /// The sample of these bytes, which has so many tokens; none where they are not such a sample's.
    #[must_use]
    pub fn unpacked(bytes: &[u8], n_tokens: usize) -> Option<Self> {
        let mut rest = bytes;
        let id = text(&mut rest)?;
        let image = match number(&mut rest)? {
            NONE => None,
            n => Some(text_of(&mut rest, n)?),
        };
        let (mut ids, mut labels) = (Vec::with_capacity(n_tokens), Vec::with_capacity(n_tokens));
        while !rest.is_empty() {
            let word = number(&mut rest)?;
            let n = match word & REPEATED {
                0 => 1,
                _ => number(&mut rest)? as usize,
            };
            let id = i64::from(word >> 2);
            let label = if word & LEARNED == 0 { IGNORE } else { id };
            if n > n_tokens - ids.len() {
                return None;
            }
            ids.resize(ids.len() + n, id);
            labels.resize(ids.len(), label);
        }
        (ids.len() == n_tokens).then_some(Self {
            id,
            image,
            ids,
            labels,
        })
    }

    fn unknown(&self, token: i64) -> ModelError {
        ModelError::Row {
            sample: self.id.clone(),
            fault: Box::new(RowFault::new(
                Reason::Template,
                "conversations",
                format!("a token has the id {token}"),
                "use the tokenizer that belongs to the model",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        Sample {
            id: "ä".to_owned(),
            image: Some("a.png\nb.png".to_owned()),
            ids: vec![1, 7, 7, 7, 7, 9, 9, 2],
            labels: vec![IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, 9, 2],
        }
    }

    #[test]
    fn what_is_unpacked_is_what_was_packed() {
        let several = sample();
        let bytes = several.packed().unwrap();
        // Two texts with their lengths; 1, 7 four times, 9, 9 learned, 2 learned.
        assert_eq!(bytes.len(), (4 + 2) + (4 + 11) + 4 * (1 + 2 + 1 + 1 + 1));
        assert_eq!(Sample::unpacked(&bytes, 8), Some(several));
        let none = Sample {
            id: String::new(),
            image: None,
            ids: Vec::new(),
            labels: Vec::new(),
        };
        assert_eq!(Sample::unpacked(&none.packed().unwrap(), 0), Some(none));
    }

    #[test]
    fn what_is_cut_off_or_has_another_length_is_no_sample() {
        let bytes = sample().packed().unwrap();
        for n in 0..bytes.len() {
            assert_eq!(Sample::unpacked(&bytes[..n], 8), None, "{n}");
        }
        for n_tokens in [0, 4, 7, 9] {
            assert_eq!(Sample::unpacked(&bytes, n_tokens), None, "{n_tokens}");
        }
    }

    #[test]
    fn a_token_of_no_vocabulary_is_refused() {
        for (id, label) in [(-1, IGNORE), (1 << 30, IGNORE), (5, 6)] {
            let odd = Sample {
                ids: vec![id],
                labels: vec![label],
                ..sample()
            };
            let message = odd.packed().unwrap_err().to_string();
            assert!(message.contains(&format!("the id {id}")), "{message}");
        }
    }
}
