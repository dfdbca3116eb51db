//! Token ids of text, by Hugging Face's `tokenizers`; and the training of a small BPE for a small world ([`fresh`]).
//!
//! A checkpoint brings a `tokenizer.json`, or as the original LLaVA does a `tokenizer.model`, which becomes the
//! tokenizer that transformers makes of it ([`llama`]).
//!
//! What stands for an image in the rendered text is [`IMAGE`], or the placeholder of another family
//! ([`Tokenizer::placeholder`]): whichever the vocabulary has. In conversations it is always [`IMAGE`].
//!
//! The original LLaVA has no token for an image: its code cuts the prompt at `<image>`, tokenises every part as a text
//! of its own and puts −200 between their ids. Where the vocabulary lacks a placeholder, [`Tokenizer::open_folder`] does the
//! same with an id of its own past the vocabulary. It marks where the features go and is never embedded, so the
//! embedding needs no row for it, and the model's `image_token_index` is to be [`Tokenizer::image`].

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::ModelError;
use crate::generate::Ends;
pub use fresh::SpecialTokens;
pub(crate) use settings::{Settings, read_if_there};

mod files;
mod fresh;
mod llama;
mod longest;
mod sentencepiece;
mod settings;

/// Begins every sequence.
pub const BOS: &str = "<s>";
/// Ends every assistant turn.
pub const EOS: &str = "</s>";
/// Fills batches.
pub const PAD: &str = "<pad>";
/// Stands for one image in text, and for one image patch in token ids.
pub const IMAGE: &str = "<image>";
/// What stands for one image in the text that a template renders, by families: LLaVA's, and Qwen-VL's.
pub(crate) const PLACEHOLDERS: [&str; 2] = [IMAGE, "<|image_pad|>"];
/// What stands for a video, of which candor has no features.
const VIDEOS: [&str; 2] = ["<video>", "<|video_pad|>"];
/// What stands around an image in the first version of LLaVA.
const IMAGE_MARKS: [&str; 2] = ["<im_start>", "<im_end>"];

const REMEDY: &str = "is this the tokenizer of the same model?";

/// A tokenizer and the ids of the special tokens that candor needs by name.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    path: PathBuf,
    names: Names,
    /// [`Tokenizer::specials`], which every row is looked through for.
    pub(crate) special_texts: Vec<String>,
    /// Whether the text between images is tokenised part by part.
    images_apart: bool,
    /// Bytes of a text that one token stands for at most, where that is bounded; counted when it is asked for.
    longest: OnceLock<Option<usize>>,
    /// Ids of [`IMAGE_MARKS`], where images are marked.
    image_marks: Option<[i64; 2]>,
    /// Id of the token that begins every sequence, where there is one.
    pub bos: Option<i64>,
    /// Id of the token that ends every assistant turn.
    pub eos: i64,
    /// The tokens that end an answer: [`Tokenizer::eos`], and what else the model's makers name.
    pub ends: Ends,
    /// Id of the token that fills batches; where the vocabulary has none, the id of `eos`.
    pub pad: i64,
    /// Id of [`Tokenizer::placeholder`].
    pub image: i64,
}

/// How a vocabulary spells the special tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Names {
    bos: Option<String>,
    eos: String,
    pad: String,
    image: &'static str,
}

/// Token ids and where in the text each came from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// The ids.
    pub ids: Vec<i64>,
    /// Byte ranges in the text.
    pub spans: Vec<(usize, usize)>,
}

impl Tokenizer {
    fn new(
        mut inner: tokenizers::Tokenizer,
        path: &Path,
        names: Names,
        images_apart: bool,
    ) -> Result<Self, ModelError> {
        // A file may carry how its maker last cut and padded texts; here a text is what it is.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| problem(path, e.to_string()))?;
        let id = |token: &str| {
            let found = inner.token_to_id(token).map(i64::from);
            found.ok_or_else(|| problem(path, format!("the vocabulary lacks `{token}`")))
        };
        let bos = names.bos.as_deref().map(id).transpose()?;
        let (eos, image) = (id(&names.eos)?, id(names.image)?);
        let pad = id(&names.pad).unwrap_or(eos);
        let special_texts = special_texts(&inner);
        Ok(Self {
            inner,
            path: path.to_owned(),
            names,
            special_texts,
            images_apart,
            longest: OnceLock::new(),
            image_marks: None,
            bos,
            eos,
            ends: eos.into(),
            pad,
            image,
        })
    }

    /// From now on an image stands between `<im_start>` and `<im_end>`, as `mm_use_im_start_end` of a configuration
    /// asks.
    ///
    /// # Errors
    /// The vocabulary lacks one of them.
    pub(crate) fn mark_images(&mut self) -> Result<(), ModelError> {
        let id = |token: &str| {
            let found = self.inner.token_to_id(token).map(i64::from);
            let lacks = || {
                format!("config.json asks for `{token}` beside images, and the vocabulary lacks it")
            };
            found.ok_or_else(|| problem(&self.path, lacks()))
        };
        self.image_marks = Some([id(IMAGE_MARKS[0])?, id(IMAGE_MARKS[1])?]);
        Ok(())
    }

    /// The ids that stand before and after every image, where the model was trained with such.
    #[must_use]
    pub fn image_marks(&self) -> Option<[i64; 2]> {
        self.image_marks
    }

    /// What stands for one image in the text that the model's template renders. In a conversation that is [`IMAGE`],
    /// whatever the model.
    #[must_use]
    pub fn placeholder(&self) -> &'static str {
        self.names.image
    }

    /// What stands for a video in a text, if the vocabulary knows such a token. It would be read without a video.
    pub(crate) fn video_in(&self, text: &str) -> Option<&'static str> {
        let shown = |token: &&str| text.contains(*token) && self.inner.token_to_id(token).is_some();
        VIDEOS.into_iter().find(shown)
    }

    /// Whether the text between images is tokenised part by part, as the original LLaVA does it.
    pub(crate) fn images_apart(&self) -> bool {
        self.images_apart
    }

    /// Whether the text after the token at the beginning and after an image is tokenised as if a space stood before it,
    /// and would not be by tools that tokenise the text as a whole.
    pub(crate) fn spaces_before_parts(&self) -> bool {
        let ids = |text: &str| {
            let encoding = self.inner.encode(text, false).ok()?;
            Some(encoding.get_ids().to_vec())
        };
        let (alone, after) = (ids("x"), ids(&format!("{IMAGE}x")));
        self.images_apart && after.as_deref().and_then(|ids| ids.get(1..)) != alone.as_deref()
    }

    /// The id of a token that is written so, if the vocabulary has it.
    pub(crate) fn id(&self, token: &str) -> Option<i64> {
        self.inner.token_to_id(token).map(i64::from)
    }

    /// Number of ids.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Number of ids that a model must have embeddings for: all, but not [`Self::image`] where it is the last, since
    /// the features of an image stand in its place.
    #[must_use]
    pub fn n_embedded(&self) -> usize {
        let n_ids = self.vocab_size();
        n_ids - usize::from(self.image + 1 == n_ids as i64)
    }

    /// The texts that are more than words wherever they stand: the special tokens in the order of their ids, and
    /// [`IMAGE`], for which a template puts the model's own placeholder.
    #[must_use]
    pub fn specials(&self) -> Vec<String> {
        self.special_texts.clone()
    }

    /// Token ids of `text`; special tokens written in it are recognised, none is added.
    ///
    /// # Errors
    /// The library refuses the text.
    pub fn encode(&self, text: &str) -> Result<Encoded, ModelError> {
        let mut encoded = Encoded::default();
        for (start, part) in self.parts(text) {
            let encoding = self
                .inner
                .encode(part, false)
                .map_err(|e| problem(&self.path, e.to_string()))?;
            let ids = encoding.get_ids().iter();
            encoded.ids.extend(ids.map(|&id| i64::from(id)));
            let spans = encoding.get_offsets().iter();
            let in_text = |&(from, to): &(usize, usize)| (start + from, start + to);
            encoded.spans.extend(spans.map(in_text));
        }
        Ok(encoded)
    }

    /// What is tokenised as a text of its own, and where it starts: all of it; or the token at the beginning, every
    /// image, and what is between them.
    fn parts<'t>(&self, text: &'t str) -> Vec<(usize, &'t str)> {
        if !self.images_apart {
            return vec![(0, text)];
        }
        let mut parts = Vec::new();
        let mut from = 0;
        let bos = self.names.bos.as_deref();
        if let Some(bos) = bos.filter(|bos| text.starts_with(bos)) {
            from = bos.len();
            parts.push((0, &text[..from]));
        }
        for (at, image) in text.match_indices(IMAGE) {
            parts.push((from, &text[from..at]));
            parts.push((at, image));
            from = at + image.len();
        }
        parts.push((from, &text[from..]));
        parts
    }

    /// What the vocabulary calls a token.
    #[must_use]
    pub(crate) fn name_of(&self, id: i64) -> Option<String> {
        self.inner.id_to_token(u32::try_from(id).ok()?)
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

impl Default for Names {
    fn default() -> Self {
        Self {
            bos: Some(BOS.to_owned()),
            eos: EOS.to_owned(),
            pad: PAD.to_owned(),
            image: IMAGE,
        }
    }
}

/// What [`Tokenizer::specials`] says of a vocabulary.
fn special_texts(inner: &tokenizers::Tokenizer) -> Vec<String> {
    let added = inner.get_added_tokens_decoder();
    let mut specials: Vec<_> = added.iter().filter(|(_, token)| token.special).collect();
    specials.sort_by_key(|&(&id, _)| id);
    let texts = specials.into_iter().map(|(_, token)| token.content.clone());
    let mut texts: Vec<String> = texts.collect();
    if !texts.iter().any(|text| text == IMAGE) {
        texts.push(IMAGE.to_owned());
    }
    texts
}

fn problem(path: &Path, problem: String) -> ModelError {
    ModelError::Tokenizer {
        path: path.to_owned(),
        problem,
        remedy: REMEDY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn small() -> Tokenizer {
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
}
