//! A tokenizer's files: which of them count, how they are read without trust, and how they are written.

use std::panic::catch_unwind;
use std::path::Path;

use candor_data::bounded::{self, Bound};
use tokenizers::AddedToken;

use super::sentencepiece::SentencePiece;
use super::settings::Settings;
use super::{IMAGE, Names, PAD, PLACEHOLDERS, Tokenizer, llama, problem};
use crate::{ModelError, generation_config};

/// The largest published ones have 30 MB.
const BOUND: Bound = Bound {
    max_bytes: 256 << 20,
    action: "read the tokenizer",
    unreadable: "check that the file exists and may be read",
    too_large: "is this the tokenizer.json of a language model?",
};

impl Tokenizer {
    /// Reads a `tokenizer.json` that has `<s>`, `</s>` and `<image>`.
    ///
    /// # Errors
    /// The file is missing or damaged, or lacks a special token.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        Self::new(read_json(path)?, path, Names::default(), false)
    }

    /// Reads the tokenizer of a checkpoint: `tokenizer.json`, or where there is none `tokenizer.model`, with what
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` say of it, and with the tokens that
    /// `generation_config.json` says end an answer.
    ///
    /// # Errors
    /// There is neither, a file is damaged, the vocabulary lacks a token that the files say begins or ends a text, or
    /// the `tokenizer.model` is not of LLaMA's kind.
    pub fn open_folder(folder: &Path) -> Result<Self, ModelError> {
        let settings = Settings::read(folder)?;
        let (json, model) = (
            folder.join("tokenizer.json"),
            folder.join("tokenizer.model"),
        );
        let (path, mut inner) = if json.exists() {
            (&json, read_json(&json)?)
        } else if model.exists() {
            (&model, read_model(&model, &settings)?)
        } else {
            return Err(ModelError::Tokenizer {
                path: folder.to_owned(),
                problem: "there is neither a tokenizer.json nor a tokenizer.model".to_owned(),
                remedy: "copy the tokenizer of the model's base into the folder",
            });
        };
        let known = |token: &&str| inner.token_to_id(token).is_some();
        let placeholder = PLACEHOLDERS.into_iter().find(known);
        let lacks_image = placeholder.is_none();
        if lacks_image {
            inner.add_special_tokens(&[AddedToken::from(IMAGE, true)]);
        }
        let names = Names {
            bos: settings.bos().map(str::to_owned),
            eos: settings.eos().to_owned(),
            pad: settings.pad().unwrap_or(PAD).to_owned(),
            image: placeholder.unwrap_or(IMAGE),
        };
        let images_apart = lacks_image || settings.images_apart();
        let mut tokenizer = Self::new(inner, path, names, images_apart)?;
        tokenizer.ends = generation_config::ends(folder, tokenizer.eos)?;
        Ok(tokenizer)
    }

    /// Writes `tokenizer.json`, and into `tokenizer_config.json` what that leaves open.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save_folder(&self, folder: &Path) -> Result<(), ModelError> {
        self.save(&folder.join("tokenizer.json"))?;
        let Names { bos, eos, pad, .. } = &self.names;
        let pad = self.inner.token_to_id(pad).map(|_| pad.as_str());
        Settings::of_names(bos.as_deref(), eos, pad, self.images_apart).write(folder)
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

    /// Whether both give the same ids for every text: whether they are written as the same files.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let written = |tokenizer: &Self| tokenizer.inner.to_string(false).ok();
        self.names == other.names
            && self.images_apart == other.images_apart
            && self.image_marks == other.image_marks
            && written(self).is_some_and(|json| written(other) == Some(json))
    }
}

fn read_json(path: &Path) -> Result<tokenizers::Tokenizer, ModelError> {
    let bytes = bounded::read(path, &BOUND)?;
    let json = serde_json::from_slice(&bytes).map_err(|e| problem(path, e.to_string()))?;
    build(path, json)
}

/// The library panics at some of what a file may hold (a decoder that is no JSON object, a damaged map of
/// characters); that becomes an error like any other.
fn build(path: &Path, json: serde_json::Value) -> Result<tokenizers::Tokenizer, ModelError> {
    let built = catch_unwind(|| serde_json::from_value(json));
    built
        .unwrap_or_else(|_| Err(serde::de::Error::custom("a part of it cannot be read")))
        .map_err(|e| problem(path, e.to_string()))
}

fn read_model(path: &Path, settings: &Settings) -> Result<tokenizers::Tokenizer, ModelError> {
    let model = SentencePiece::read(path)?;
    let json = llama::tokenizer_json(&model, settings);
    let json = json.map_err(|problem| ModelError::Tokenizer {
        path: path.to_owned(),
        problem,
        remedy: "load the tokenizer with transformers and save it: that writes a tokenizer.json, which can be read",
    })?;
    build(path, json)
}

#[cfg(test)]
mod tests {
    use tokenizers::models::bpe::BPE;

    use super::super::tests::small;
    use super::*;

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

    /// The library panics at both.
    #[test]
    fn damage_at_which_the_library_panics_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        small().save(&path).unwrap();
        let whole: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut damaged = whole.clone();
        damaged["normalizer"] =
            serde_json::json!({"type": "Precompiled", "precompiled_charsmap": 5});
        let cut = whole
            .to_string()
            .replace("\"decoder\":{", "\"decoder\":\n{\u{1}");
        for content in [damaged.to_string(), cut] {
            std::fs::write(&path, content).unwrap();
            let message = Tokenizer::open(&path).unwrap_err().to_string();
            assert!(message.contains("tokenizer.json"), "{message}");
        }
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
