//! The text of an answer while its tokens are still coming.
//!
//! A token may hold a part of a character, and some tokenizers write a token differently at the beginning of a text.
//! So the tokens that have been shown last are decoded once without and once with the new ones: what the second text
//! has more is new, and it is held back while it ends in the middle of a character. Tokens of single bytes are decoded as
//! a run, and one byte of it that is no character spoils those that were shown; then the new tokens are decoded alone.

use crate::{ModelError, Tokenizer};

/// What stands for bytes that are no character, or not yet one.
const INCOMPLETE: char = '\u{FFFD}';

/// An answer that is being written.
#[derive(Debug)]
pub struct Detokenizer<'a> {
    tokenizer: &'a Tokenizer,
    ids: Vec<i64>,
    /// The tokens that the next ones are decoded with begin here.
    context: usize,
    /// Tokens whose text has been given out.
    n_shown: usize,
    text: String,
}

impl<'a> Detokenizer<'a> {
    /// Nothing said yet.
    #[must_use]
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            ids: Vec::new(),
            context: 0,
            n_shown: 0,
            text: String::new(),
        }
    }

    /// Adds a token; returns the text that is certain now, often one word, sometimes nothing. Space before the first
    /// word is left out.
    ///
    /// # Errors
    /// The library refuses an id.
    pub fn push(&mut self, id: i64) -> Result<String, ModelError> {
        self.ids.push(id);
        let new = self.undecided()?;
        if new.is_empty() || new.ends_with(INCOMPLETE) {
            return Ok(String::new());
        }
        self.context = self.n_shown;
        self.n_shown = self.ids.len();
        Ok(self.give(&new))
    }

    /// What a token would add, whole or a part of a character; of one that adds no text, what the vocabulary calls it.
    ///
    /// # Errors
    /// The library refuses an id.
    pub fn preview(&self, id: i64) -> Result<String, ModelError> {
        let text = self.added(&[id])?;
        Ok(match self.tokenizer.name_of(id) {
            Some(name) if text.is_empty() => name,
            _ => text,
        })
    }

    /// Ends the answer; returns what was held back.
    ///
    /// # Errors
    /// The library refuses an id.
    pub fn finish(&mut self) -> Result<String, ModelError> {
        let rest = self.undecided()?;
        self.n_shown = self.ids.len();
        Ok(self.give(&rest))
    }

    /// All text so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Number of tokens so far.
    #[must_use]
    pub fn n_tokens(&self) -> usize {
        self.ids.len()
    }

    /// What the tokens that have not been shown add to those before them.
    fn undecided(&self) -> Result<String, ModelError> {
        self.added(&self.ids[self.n_shown..])
    }

    /// What `new` tokens add to those that have been shown.
    fn added(&self, new: &[i64]) -> Result<String, ModelError> {
        let shown = &self.ids[self.context..self.n_shown];
        let before = self.tokenizer.decode(shown)?;
        let with = self.tokenizer.decode(&[shown, new].concat())?;
        match with.strip_prefix(&before) {
            Some(text) => Ok(text.to_owned()),
            None => self.tokenizer.decode(new),
        }
    }

    fn give(&mut self, new: &str) -> String {
        let new = if self.text.is_empty() {
            new.trim_start()
        } else {
            new
        };
        self.text.push_str(new);
        new.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Each token's text, and the whole.
    fn streamed(tokenizer: &Tokenizer, ids: &[i64]) -> (Vec<String>, String) {
        let mut detokenizer = Detokenizer::new(tokenizer);
        let mut pieces: Vec<String> = ids
            .iter()
            .map(|&id| detokenizer.push(id).unwrap())
            .collect();
        pieces.push(detokenizer.finish().unwrap());
        (pieces, detokenizer.text().to_owned())
    }

    fn byte_level() -> Tokenizer {
        let text = "There is a red dog. ";
        Tokenizer::train((0..50).map(|_| text.to_owned()), 300).unwrap()
    }

    /// The vocabulary of a LLaMA, with bytes for what it lacks.
    fn sentencepiece() -> Tokenizer {
        let dir = tempfile::tempdir().unwrap();
        let golden =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/text/tokenizer.model");
        std::fs::copy(golden, dir.path().join("tokenizer.model")).unwrap();
        Tokenizer::open_folder(dir.path()).unwrap()
    }

    #[test]
    fn pieces_add_up_to_the_text_and_no_character_is_broken() {
        for tokenizer in [byte_level(), sentencepiece()] {
            for text in [
                "There is a red dog.",
                "Ünïcode 🎈🐕 und 漢字, tabs\tand  spaces",
                "a",
            ] {
                let ids = tokenizer.encode(text).unwrap().ids;
                let (pieces, whole) = streamed(&tokenizer, &ids);
                assert_eq!(whole, text);
                assert_eq!(pieces.concat(), text);
                assert!(
                    pieces.iter().all(|piece| !piece.contains(INCOMPLETE)),
                    "{pieces:?}"
                );
            }
        }
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let tokenizer = byte_level();
        let ids = tokenizer.encode("a🎈b").unwrap().ids;
        assert_eq!(ids.len(), 6, "the balloon has four bytes, a token each");
        let (pieces, _) = streamed(&tokenizer, &ids);
        assert_eq!(pieces, ["a", "", "", "", "🎈", "b", ""]);
        // Cut short, the bytes that are there are shown as what they are.
        let (pieces, whole) = streamed(&tokenizer, &ids[..3]);
        assert_eq!(pieces[..3], ["a", "", ""]);
        assert!(
            whole.starts_with('a') && whole.ends_with(INCOMPLETE),
            "{whole}"
        );
    }

    #[test]
    fn a_byte_that_completes_no_character_takes_nothing_else_with_it() {
        let tokenizer = sentencepiece();
        let byte = |name: &str| tokenizer.id(name).unwrap();
        let mut ids = tokenizer.encode("A 漢").unwrap().ids;
        assert_eq!(
            ids[ids.len() - 3..],
            ["<0xE6>", "<0xBC>", "<0xA2>"].map(byte),
            "the character has three bytes, a token each"
        );
        ids.push(byte("<0xE5>"));
        let cut = ids.len();
        ids.extend(tokenizer.encode("dog runs away.").unwrap().ids);
        let (pieces, whole) = streamed(&tokenizer, &ids);
        assert_eq!(whole, "A 漢\u{FFFD} dog runs away.");
        assert_eq!(pieces.concat(), whole);
        assert_eq!(streamed(&tokenizer, &ids[..cut]).1, "A 漢\u{FFFD}");
    }

    #[test]
    fn a_part_of_a_character_after_another_is_no_text() {
        let tokenizer = sentencepiece();
        let mut detokenizer = Detokenizer::new(&tokenizer);
        for id in tokenizer.encode("🎈").unwrap().ids {
            detokenizer.push(id).unwrap();
        }
        assert_eq!(detokenizer.text(), "🎈");
        let first = tokenizer.id("<0xF0>").unwrap();
        assert_eq!(detokenizer.preview(first).unwrap(), "\u{FFFD}");
    }

    #[test]
    fn words_come_one_by_one_and_the_first_without_its_space() {
        let tokenizer = byte_level();
        let ids = tokenizer.encode(" is a red dog").unwrap().ids;
        let (pieces, _) = streamed(&tokenizer, &ids);
        assert_eq!(pieces, ["is", " a", " red", " dog", ""]);
    }
}
