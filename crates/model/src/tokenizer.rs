//! Token ids of text, by Hugging Face's `tokenizers`; and the training of a small BPE for a small world.

use std::path::{Path, PathBuf};

use tokenizers::AddedToken;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use crate::ModelError;

/// Begins every sequence.
pub const BOS: &str = "<s>";
/// Ends every assistant turn.
pub const EOS: &str = "</s>";
/// Fills batches.
pub const PAD: &str = "<pad>";
/// Stands for one image in text, and for one image patch in token ids.
pub const IMAGE: &str = "<image>";

/// A tokenizer and the ids of the special tokens that candor needs by name.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    /// Id of [`BOS`].
    pub bos: i64,
    /// Id of [`EOS`].
    pub eos: i64,
    /// Id of [`PAD`], or of [`EOS`] where the vocabulary has no pad token.
    pub pad: i64,
    /// Id of [`IMAGE`].
    pub image: i64,
}

/// Token ids and where in the text each came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The ids.
    pub ids: Vec<i64>,
    /// Byte ranges in the text.
    pub spans: Vec<(usize, usize)>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// The file is missing or damaged, or lacks a special token.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let inner =
            tokenizers::Tokenizer::from_file(path).map_err(|e| problem(path, e.to_string()))?;
        Self::new(inner, path)
    }

    /// Trains a byte-level BPE on the given texts. Words that the pre-tokenizer splits off never merge with
    /// their neighbours, so a small world's words become one token each.
    ///
    /// # Errors
    /// The texts are too few to train on.
    pub fn train(
        texts: impl Iterator<Item = String> + Send,
        vocab_size: usize,
    ) -> Result<Self, ModelError> {
        let path = Path::new("trained tokenizer");
        let specials = [PAD, BOS, EOS, IMAGE]
            .map(|t| AddedToken::from(t, true))
            .to_vec();
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab_size)
            .special_tokens(specials.clone())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        let mut inner = tokenizers::Tokenizer::new(BPE::default());
        let bytes = ByteLevel::default().add_prefix_space(false);
        inner
            .with_pre_tokenizer(Some(bytes))
            .with_decoder(Some(bytes));
        inner
            .train(&mut TrainerWrapper::from(trainer), texts)
            .map_err(|e| problem(path, e.to_string()))?;
        inner.add_special_tokens(&specials);
        Self::new(inner, path)
    }

    fn new(inner: tokenizers::Tokenizer, path: &Path) -> Result<Self, ModelError> {
        let id = |token: &str| {
            let found = inner.token_to_id(token).map(i64::from);
            found.ok_or_else(|| problem(path, format!("the vocabulary lacks `{token}`")))
        };
        let (bos, eos, image) = (id(BOS)?, id(EOS)?, id(IMAGE)?);
        let pad = id(PAD).unwrap_or(eos);
        Ok(Self {
            inner,
            path: path.to_owned(),
            bos,
            eos,
            pad,
            image,
        })
    }

    /// Writes `tokenizer.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let json = self
            .inner
            .to_string(true)
            .map_err(|e| problem(path, e.to_string()))?;
        Ok(candor_data::atomic::write(path, json.as_bytes())?)
    }

    /// Whether both give the same ids for every text: whether they are written as the same `tokenizer.json`.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let written = |tokenizer: &Self| tokenizer.inner.to_string(false).ok();
        written(self).is_some_and(|json| written(other) == Some(json))
    }

    /// Number of ids.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Token ids of `text`; special tokens written in it are recognised, none is added.
    ///
    /// # Errors
    /// The library refuses the text.
    pub fn encode(&self, text: &str) -> Result<Encoded, ModelError> {
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|e| problem(&self.path, e.to_string()))?;
        Ok(Encoded {
            ids: encoding.get_ids().iter().map(|&id| i64::from(id)).collect(),
            spans: encoding.get_offsets().to_vec(),
        })
    }

    /// Text of token ids, special tokens left out.
    ///
    /// # Errors
    /// The library refuses an id.
    pub fn decode(&self, ids: &[i64]) -> Result<String, ModelError> {
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        self.inner
            .decode(&ids, true)
            .map_err(|e| problem(&self.path, e.to_string()))
    }
}

fn problem(path: &Path, problem: String) -> ModelError {
    ModelError::Tokenizer {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Tokenizer {
        let text = "USER: Is there a dog in the image? ASSISTANT: There is a red dog. ";
        Tokenizer::train((0..50).map(|_| text.to_owned()), 400).unwrap()
    }

    #[test]
    fn words_become_single_tokens_and_text_survives() {
        let tokenizer = small();
        let encoded = tokenizer.encode("Is there a red dog?</s>").unwrap();
        assert_eq!(encoded.ids.len(), 7, "{encoded:?}");
        assert_eq!(*encoded.ids.last().unwrap(), tokenizer.eos);
        assert_eq!(
            tokenizer.decode(&encoded.ids).unwrap(),
            "Is there a red dog?"
        );
        let strange = "Ünïcode, tabs\tand emoji 🎈 survive";
        assert_eq!(
            tokenizer
                .decode(&tokenizer.encode(strange).unwrap().ids)
                .unwrap(),
            strange
        );
    }

    #[test]
    fn a_tokenizer_without_the_special_tokens_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        tokenizers::Tokenizer::new(BPE::default())
            .save(&path, false)
            .unwrap();
        let message = Tokenizer::open(&path).unwrap_err().to_string();
        assert!(
            message.contains("<s>") && message.contains("tokenizer.json"),
            "{message}"
        );
    }

    #[test]
    fn a_tokenizer_is_the_same_as_itself_saved_and_no_other() {
        let tokenizer = small();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        tokenizer.save(&path).unwrap();
        assert!(tokenizer.same_as(&Tokenizer::open(&path).unwrap()));
        // As many ids, in another order.
        let text = "USER: Is there a cat in the image? ASSISTANT: There is a red cat. ";
        let other = Tokenizer::train((0..50).map(|_| text.to_owned()), 400).unwrap();
        assert_eq!(other.vocab_size(), tokenizer.vocab_size());
        assert!(!tokenizer.same_as(&other));
    }
}
