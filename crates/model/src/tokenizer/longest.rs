//! How long a text may be that comes to so many tokens, known before it is tokenised.

use serde_json::Value;
use tokenizers::models::ModelWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::Tokenizer;

impl Tokenizer {
    /// Bytes of the longest text that may come to `n_tokens` tokens; nothing where a token may stand for any number of
    /// characters, or some come to no token.
    pub(crate) fn most_bytes(&self, n_tokens: usize) -> Option<usize> {
        let longest = *self.longest.get_or_init(|| self.longest());
        n_tokens.checked_mul(longest?)
    }

    /// Bytes of a text that one token stands for at most.
    fn longest(&self) -> Option<usize> {
        let ModelWrapper::BPE(bpe) = self.inner.get_model() else {
            return None;
        };
        let knows = |token: &str| self.inner.token_to_id(token).is_some();
        // What no piece stands for becomes bytes. An unknown token would take in whatever it stands beside.
        let mut bytes = (0..=u8::MAX).map(|byte| format!("<0x{byte:02X}>"));
        let has_bytes = bpe.byte_fallback && bytes.all(|byte| knows(&byte));
        let mut letters = ByteLevel::alphabet().into_iter();
        let before = serde_json::to_value(self.inner.get_pre_tokenizer()).ok()?;
        let is_byte_level = names_byte_level(&before) && letters.all(|c| knows(&c.to_string()));
        if !(has_bytes || is_byte_level) || !keeps_all(&before) {
            return None;
        }
        let added = self.inner.get_added_tokens_decoder();
        if added.values().any(|token| token.lstrip || token.rstrip) {
            return None;
        }
        let shrinks = shrinks(&serde_json::to_value(self.inner.get_normalizer()).ok()?)?;
        let vocabulary = self.inner.get_vocab(true);
        // As the vocabulary spells it, a token is at least as long as what it stands for.
        vocabulary.keys().map(|token| token.len() * shrinks).max()
    }
}

/// How many times shorter a normaliser makes a text at most; nothing where it may leave out any part of it.
fn shrinks(normalizer: &Value) -> Option<usize> {
    match normalizer["type"].as_str() {
        None if normalizer.is_null() => Some(1),
        // Three characters of three bytes become a syllable of three bytes.
        Some("NFC") => Some(3),
        Some("Prepend") => Some(1),
        Some("Replace") => {
            let replaced = normalizer["pattern"]["String"].as_str()?;
            let content = normalizer["content"].as_str()?;
            (content.len() >= replaced.len()).then_some(1)
        }
        Some("Sequence") => {
            let all = normalizer["normalizers"].as_array()?;
            all.iter()
                .try_fold(1_usize, |times, one| times.checked_mul(shrinks(one)?))
        }
        _ => None,
    }
}

/// Whether what a text is cut into is all of it.
fn keeps_all(pre_tokenizer: &Value) -> bool {
    match pre_tokenizer["type"].as_str() {
        None => pre_tokenizer.is_null(),
        Some("ByteLevel" | "Metaspace" | "Digits") => true,
        Some("Split") => pre_tokenizer["behavior"] != "Removed",
        Some("Sequence") => of_sequence(pre_tokenizer).all(keeps_all),
        Some(_) => false,
    }
}

/// Whether bytes become the letters that stand for them.
fn names_byte_level(pre_tokenizer: &Value) -> bool {
    pre_tokenizer["type"] == "ByteLevel" || of_sequence(pre_tokenizer).any(names_byte_level)
}

fn of_sequence(pre_tokenizer: &Value) -> impl Iterator<Item = &Value> {
    let parts = pre_tokenizer["pretokenizers"].as_array();
    parts.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::super::tests::small;
    use super::*;

    #[test]
    fn no_text_of_so_many_tokens_is_longer() {
        // `ASSISTANT` and `<image>` are tokens of the small world, and nothing is longer than the first with a space.
        let byte_level = small();
        let longest = byte_level.most_bytes(1).unwrap();
        assert!((9..=12).contains(&longest), "{longest}");
        assert_eq!(byte_level.most_bytes(100), Some(100 * longest));
        assert_eq!(byte_level.most_bytes(usize::MAX), None);

        let dir = tempfile::tempdir().unwrap();
        let golden =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/text/tokenizer.model");
        std::fs::copy(golden, dir.path().join("tokenizer.model")).unwrap();
        let llama = Tokenizer::open_folder(dir.path()).unwrap();
        for text in ["a red dog, 漢字 🎈", " ".repeat(500).as_str(), "\t\t"] {
            for tokenizer in [&byte_level, &llama] {
                let n = tokenizer.encode(text).unwrap().ids.len();
                assert!(text.len() <= tokenizer.most_bytes(n).unwrap(), "{text}");
            }
        }
    }

    #[test]
    fn rules_that_leave_characters_out_have_no_longest_text() {
        let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let nfc = json!({"type": "NFC"});
        let both = json!({"type": "Sequence", "normalizers": [spaces, nfc]});
        assert_eq!(shrinks(&both), Some(3));
        assert_eq!(shrinks(&Value::Null), Some(1));
        let regex = json!({"type": "Replace", "pattern": {"Regex": " +"}, "content": " "});
        for other in [json!({"type": "StripAccents"}), regex] {
            let sequence = json!({"type": "Sequence", "normalizers": [nfc, other]});
            assert_eq!(shrinks(&sequence), None);
        }
        let split = |behavior: &str| json!({"type": "Split", "behavior": behavior});
        assert!(keeps_all(&split("Isolated")) && !keeps_all(&split("Removed")));
        assert!(!keeps_all(&json!({"type": "Whitespace"})));
    }
}
