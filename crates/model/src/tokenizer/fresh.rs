//! A tokenizer that starts from nothing: a byte-level BPE that is trained on texts, with the special tokens of a family.

use std::path::Path;

use tokenizers::AddedToken;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::{BOS, EOS, IMAGE, Names, PAD, PLACEHOLDERS, Tokenizer, problem};
use crate::ModelError;

/// The special tokens of a fresh vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTokens {
    /// [`PAD`], [`BOS`], [`EOS`] and [`IMAGE`].
    Llava,
    /// ChatML's, and those that Qwen-VL has for images and videos and around them. No token begins a text.
    QwenVl,
}

/// Qwen-VL's, in the order of its vocabularies.
const QWEN_VL: [&str; 7] = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
];

impl SpecialTokens {
    fn all(self) -> Vec<AddedToken> {
        let texts: &[&str] = match self {
            Self::Llava => &[PAD, BOS, EOS, IMAGE],
            Self::QwenVl => &QWEN_VL,
        };
        texts.iter().map(|&t| AddedToken::from(t, true)).collect()
    }

    fn names(self) -> Names {
        match self {
            Self::Llava => Names::default(),
            Self::QwenVl => Names {
                bos: None,
                eos: "<|im_end|>".to_owned(),
                pad: "<|endoftext|>".to_owned(),
                image: PLACEHOLDERS[1],
            },
        }
    }
}

impl Tokenizer {
    /// Trains a byte-level BPE on the given texts, with LLaVA's special tokens. Words that the pre-tokenizer splits off never
    /// merge with their neighbours, so a small world's words become one token each.
    ///
    /// # Errors
    /// The texts are too few to train on.
    pub fn train(
        texts: impl Iterator<Item = String> + Send,
        vocab_size: usize,
    ) -> Result<Self, ModelError> {
        Self::train_with(SpecialTokens::Llava, texts, vocab_size)
    }

    /// The same with the special tokens of a family.
    ///
    /// # Errors
    /// As [`Tokenizer::train`].
    pub fn train_with(
        specials: SpecialTokens,
        texts: impl Iterator<Item = String> + Send,
        vocab_size: usize,
    ) -> Result<Self, ModelError> {
        let path = Path::new("trained tokenizer");
        let tokens = specials.all();
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab_size)
            .special_tokens(tokens.clone())
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
        inner.add_special_tokens(&tokens);
        Self::new(inner, path, specials.names(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qwens_special_tokens_are_one_token_each_and_come_back_from_a_folder() {
        let text = "user Is there a dog? assistant There is a red dog. ";
        let texts = (0..50).map(|_| text.to_owned());
        let tokenizer = Tokenizer::train_with(SpecialTokens::QwenVl, texts, 400).unwrap();
        let asked =
            "<|im_start|>user<|vision_start|><|image_pad|><|vision_end|>Is there a dog?<|im_end|>";
        let ids = tokenizer.encode(asked).unwrap().ids;
        // The special tokens have the first ids, and no two of them are words: 1, word, 3, 5, 4, five words, 2.
        assert_eq!([ids[0], ids[2], ids[3], ids[4]], [1, 3, 5, 4]);
        assert_eq!(ids.len(), 11, "{ids:?}");
        assert_eq!(ids[10], 2);
        assert_eq!(
            (tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.image),
            (None, 2, 0, 5)
        );
        assert_eq!(tokenizer.placeholder(), "<|image_pad|>");
        let dir = tempfile::tempdir().unwrap();
        tokenizer.save_folder(dir.path()).unwrap();
        assert!(tokenizer.same_as(&Tokenizer::open_folder(dir.path()).unwrap()));
    }
}
