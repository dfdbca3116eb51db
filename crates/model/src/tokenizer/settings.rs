//! What stands beside a vocabulary: names of special tokens, added tokens, and how old the tokenizer's ways are.
//!
//! transformers writes these into `tokenizer_config.json`; older exports have `special_tokens_map.json` and
//! `added_tokens.json` as well, which count where `tokenizer_config.json` has no `added_tokens_decoder`.

use std::collections::BTreeMap;
use std::path::Path;

use candor_data::bounded::{self, Bound};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use super::{BOS, EOS};
use crate::ModelError;

const BOUND: Bound = Bound {
    max_bytes: 16 << 20,
    action: "read the tokenizer's settings",
    unreadable: "check that the file may be read",
    too_large: "settings have a few kilobytes; download the file again",
};

/// What is known of a tokenizer besides its vocabulary; every part may be missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    config: ConfigFile,
    /// Tokens beyond the vocabulary, or special ones within it, by id.
    pub added: BTreeMap<u32, AddedToken>,
}

/// `tokenizer_config.json`, and with fewer fields `special_tokens_map.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ConfigFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokenizer_class: Option<String>,
    #[serde(
        default,
        deserialize_with = "told",
        skip_serializing_if = "Option::is_none"
    )]
    bos_token: Option<Spelling>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eos_token: Option<Spelling>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unk_token: Option<Spelling>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pad_token: Option<Spelling>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    additional_special_tokens: Option<Vec<Spelling>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add_bos_token: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add_prefix_space: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    legacy: Option<bool>,
    #[serde(default, skip_serializing_if = "is_false")]
    images_apart: bool,
    #[serde(default, skip_serializing)]
    added_tokens_decoder: Option<BTreeMap<u32, AddedToken>>,
}

/// A special token is written as its text or with its options; of one that there is not, `null` may tell so.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Spelling {
    Text(String),
    Token(AddedToken),
    Nothing,
}

/// A token that is looked for in the text before anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)] // The flags that transformers' class has in its files.
pub(crate) struct AddedToken {
    /// Its text.
    pub content: String,
    /// Only where it is a word of its own.
    #[serde(default)]
    pub single_word: bool,
    /// Takes the spaces before it.
    #[serde(default)]
    pub lstrip: bool,
    /// Takes the spaces after it.
    #[serde(default)]
    pub rstrip: bool,
    /// Not part of what a model says.
    #[serde(default)]
    pub special: bool,
}

/// What a file tells, be it `null`.
fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Spelling>, D::Error> {
    Spelling::deserialize(deserializer).map(Some)
}

#[allow(clippy::trivially_copy_pass_by_ref)] // Serde's `skip_serializing_if` asks for a reference.
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Settings {
    /// Reads what the folder has of `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`.
    ///
    /// # Errors
    /// A file is there and cannot be read, is too large, or is no JSON of this form.
    pub(crate) fn read(folder: &Path) -> Result<Self, ModelError> {
        let mut config: ConfigFile = read_if_there(&folder.join("tokenizer_config.json"))?;
        if let Some(added) = config.added_tokens_decoder.take() {
            return Ok(Self { config, added });
        }
        let map: ConfigFile = read_if_there(&folder.join("special_tokens_map.json"))?;
        config.fill(map);
        let ids: BTreeMap<String, u32> = read_if_there(&folder.join("added_tokens.json"))?;
        let mut settings = Self {
            config,
            added: BTreeMap::new(),
        };
        let named = settings.named();
        for (content, id) in ids {
            let special = named.iter().any(|token| token.content == content);
            let token = AddedToken::plain(content, special);
            settings.added.insert(id, token);
        }
        Ok(settings)
    }

    /// Settings that say what a written `tokenizer.json` leaves open.
    #[must_use]
    pub(crate) fn of_names(
        bos: Option<&str>,
        eos: &str,
        pad: Option<&str>,
        images_apart: bool,
    ) -> Self {
        let text = |name: &str| Some(Spelling::Text(name.to_owned()));
        let config = ConfigFile {
            // The class of transformers that takes a tokenizer.json as it is.
            tokenizer_class: Some("PreTrainedTokenizerFast".to_owned()),
            bos_token: bos.map_or(Some(Spelling::Nothing), text),
            eos_token: text(eos),
            pad_token: pad.and_then(text),
            images_apart,
            ..ConfigFile::default()
        };
        Self {
            config,
            added: BTreeMap::new(),
        }
    }

    /// Writes `tokenizer_config.json`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), ModelError> {
        let path = folder.join("tokenizer_config.json");
        let json = serde_json::to_vec_pretty(&self.config).map_err(|e| ModelError::Config {
            path: path.clone(),
            problem: e.to_string(),
            remedy: "names of tokens must be plain text",
        })?;
        Ok(candor_data::atomic::write(&path, &json)?)
    }

    /// Begins every sequence; nothing where the files say that nothing does.
    #[must_use]
    pub(crate) fn bos(&self) -> Option<&str> {
        match &self.config.bos_token {
            None => Some(BOS),
            told => text_of(told.as_ref()),
        }
    }

    /// Ends every assistant turn.
    #[must_use]
    pub(crate) fn eos(&self) -> &str {
        text_of(self.config.eos_token.as_ref()).unwrap_or(EOS)
    }

    /// Fills batches, where the files name a token for it.
    #[must_use]
    pub(crate) fn pad(&self) -> Option<&str> {
        text_of(self.config.pad_token.as_ref())
    }

    /// Special tokens as a chat template knows them, `bos_token` and so on.
    #[must_use]
    pub(crate) fn special_tokens(&self) -> BTreeMap<String, String> {
        let unk = text_of(self.config.unk_token.as_ref());
        let named = [
            ("bos_token", self.bos()),
            ("eos_token", Some(self.eos())),
            ("unk_token", unk),
            ("pad_token", self.pad()),
        ];
        let owned = |(name, text): (&str, Option<&str>)| Some((name.to_owned(), text?.to_owned()));
        named.into_iter().filter_map(owned).collect()
    }

    /// All tokens that the files call special, by name or in a list.
    pub(super) fn named(&self) -> Vec<AddedToken> {
        let c = &self.config;
        let names = [&c.bos_token, &c.eos_token, &c.unk_token, &c.pad_token];
        let all = names.into_iter().flatten();
        all.chain(c.additional_special_tokens.iter().flatten())
            .filter_map(|spelling| match spelling.clone() {
                Spelling::Text(text) => Some(AddedToken::plain(text, true)),
                Spelling::Token(token) => Some(AddedToken {
                    special: true,
                    ..token
                }),
                Spelling::Nothing => None,
            })
            .collect()
    }

    /// Whether the tokenizer begins a text with the token for it; LLaMA's does.
    #[must_use]
    pub(crate) fn adds_bos(&self) -> bool {
        self.config.add_bos_token.unwrap_or(true)
    }

    /// Whether a text gets a space before its first word, where the files say so.
    #[must_use]
    pub(crate) fn add_prefix_space(&self) -> Option<bool> {
        self.config.add_prefix_space
    }

    /// Whether text after a special token gets a space, too. The field came when that was first not so: a tokenizer
    /// without it was made, and its model trained, with these spaces.
    #[must_use]
    pub(crate) fn legacy(&self) -> bool {
        self.config.legacy.unwrap_or(true)
    }

    /// Whether text before and after an image is tokenised as a text of its own.
    #[must_use]
    pub(crate) fn images_apart(&self) -> bool {
        self.config.images_apart
    }
}

impl ConfigFile {
    fn fill(&mut self, map: Self) {
        self.bos_token = self.bos_token.take().or(map.bos_token);
        self.eos_token = self.eos_token.take().or(map.eos_token);
        self.unk_token = self.unk_token.take().or(map.unk_token);
        self.pad_token = self.pad_token.take().or(map.pad_token);
        let more = self.additional_special_tokens.take();
        self.additional_special_tokens = more.or(map.additional_special_tokens);
    }
}

impl AddedToken {
    /// A token without options.
    #[must_use]
    pub(crate) fn plain(content: String, special: bool) -> Self {
        Self {
            content,
            single_word: false,
            lstrip: false,
            rstrip: false,
            special,
        }
    }
}

fn text_of(spelling: Option<&Spelling>) -> Option<&str> {
    spelling.and_then(|spelling| match spelling {
        Spelling::Text(text) => Some(text.as_str()),
        Spelling::Token(token) => Some(token.content.as_str()),
        Spelling::Nothing => None,
    })
}

/// The JSON of a file, or the default where there is none.
pub(crate) fn read_if_there<T: DeserializeOwned + Default>(path: &Path) -> Result<T, ModelError> {
    if !path.exists() {
        return Ok(T::default());
    }
    let bytes = bounded::read(path, &BOUND)?;
    serde_json::from_slice(&bytes).map_err(|e| ModelError::Config {
        path: path.to_owned(),
        problem: e.to_string(),
        remedy: "expected the file as transformers writes it; download it again or remove it",
    })
}
