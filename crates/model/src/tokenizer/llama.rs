//! From a SentencePiece model and its settings to the `tokenizer.json` that gives the same ids.
//!
//! This is what transformers' converter for LLaMA does: SentencePiece merges the pair whose piece has the highest
//! score, so the merges are every division of a piece into two pieces, in the order of scores. Characters without a
//! piece become their bytes. Spaces become `▁`; whether one is put before a word is the tokenizer's age:
//!
//! - with `legacy`, before every stretch of text between special tokens, as SentencePiece itself does,
//! - without, only before the first word of the whole text.
//!
//! It departs from transformers in two things. Merges never lead to a control or byte piece, as in SentencePiece:
//! the words `<0x0A>` stay words. And where `tokenizer_config.json` does not say `legacy`, it is assumed; version 5 of
//! transformers assumes the contrary, but a tokenizer that does not say was made before there was a choice.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::sentencepiece::{Algorithm, Kind, Piece, SentencePiece};
use super::settings::{AddedToken, Settings};

/// SentencePiece's sign for a space.
const SPACE: &str = "▁";

/// The `tokenizer.json`.
///
/// # Errors
/// The model is of another kind than LLaMA's, or model and settings contradict each other.
pub(super) fn tokenizer_json(model: &SentencePiece, settings: &Settings) -> Result<Value, String> {
    refuse_other_kinds(model)?;
    let ids = ids(&model.pieces)?;
    let prefix = settings.add_prefix_space().unwrap_or(model.adds_prefix);
    let unknown = model.pieces.iter().find(|p| p.kind == Kind::Unknown);
    let vocab: serde_json::Map<String, Value> = model
        .pieces
        .iter()
        .enumerate()
        .map(|(id, piece)| (piece.text.clone(), json!(id)))
        .collect();
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(model, settings, &ids)?,
        "normalizer": normalizer(settings.legacy(), prefix),
        "pre_tokenizer": pre_tokenizer(settings.legacy(), prefix),
        "post_processor": null,
        "decoder": decoder(prefix),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown.map(|piece| &piece.text),
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": true,
            "ignore_merges": false,
            "vocab": vocab,
            "merges": merges(&model.pieces, &ids),
        },
    }))
}

fn refuse_other_kinds(model: &SentencePiece) -> Result<(), String> {
    match model.algorithm {
        Algorithm::Bpe if model.rewrites_text => Err(
            "it rewrites text before it cuts it (Unicode normalisation, or spaces that are removed), \
             which LLaMA's tokenizers do not"
                .to_owned(),
        ),
        Algorithm::Bpe => Ok(()),
        Algorithm::Unigram => {
            Err("it is a unigram model; LLaMA's tokenizers are BPE models".to_owned())
        }
        Algorithm::Other => Err("it is no BPE model, as LLaMA's tokenizers are".to_owned()),
    }
}

/// Each piece's id.
fn ids(pieces: &[Piece]) -> Result<HashMap<&str, usize>, String> {
    let mut ids = HashMap::with_capacity(pieces.len());
    for (id, piece) in pieces.iter().enumerate() {
        if let Some(before) = ids.insert(piece.text.as_str(), id) {
            let text = &piece.text;
            return Err(format!("pieces {before} and {id} are both `{text}`"));
        }
    }
    Ok(ids)
}

/// Every division of a piece into two pieces. The highest score comes first, among equals the lowest id, and of one
/// piece's divisions the one with the shortest beginning.
fn merges<'a>(pieces: &'a [Piece], ids: &HashMap<&'a str, usize>) -> Vec<(&'a str, &'a str)> {
    let is_text = |piece: &Piece| matches!(piece.kind, Kind::Normal | Kind::UserDefined);
    let mut results: Vec<&Piece> = pieces.iter().filter(|p| p.kind == Kind::Normal).collect();
    // A stable sort keeps the order of ids.
    results.sort_by(|a, b| b.score.total_cmp(&a.score));
    let known = |text: &str| ids.get(text).is_some_and(|&id| is_text(&pieces[id]));
    let mut merges = Vec::new();
    for piece in results {
        let text = piece.text.as_str();
        let divisions = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
        merges.extend(divisions.filter(|&(left, right)| known(left) && known(right)));
    }
    merges
}

/// The tokens that are looked for in the text before anything else.
fn added_tokens(
    model: &SentencePiece,
    settings: &Settings,
    ids: &HashMap<&str, usize>,
) -> Result<Vec<Value>, String> {
    let mut added = AddedTokens {
        n_ids: model.pieces.len(),
        known: HashSet::new(),
        tokens: Vec::new(),
    };
    // What the settings say of a token counts more than what the vocabulary says.
    for (&id, token) in &settings.added {
        let (id, text) = (id as usize, &token.content);
        let expected = ids.get(text.as_str()).copied().unwrap_or(added.n_ids);
        if id != expected {
            return Err(format!(
                "the settings give `{text}` the id {id}, but it would be {expected} (are \
                 added_tokens.json and tokenizer_config.json those of this model?)"
            ));
        }
        added.push(id, token);
    }
    for token in settings.named() {
        let id = ids.get(token.content.as_str()).copied();
        added.push(id.unwrap_or(added.n_ids), &token);
    }
    for (id, piece) in model.pieces.iter().enumerate() {
        if !matches!(piece.kind, Kind::Normal | Kind::Byte) {
            let special = piece.kind != Kind::UserDefined;
            added.push(id, &AddedToken::plain(piece.text.clone(), special));
        }
    }
    added.tokens.sort_by_key(|&(id, _)| id);
    Ok(added.tokens.into_iter().map(|(_, token)| token).collect())
}

struct AddedTokens {
    n_ids: usize,
    known: HashSet<String>,
    tokens: Vec<(usize, Value)>,
}

impl AddedTokens {
    fn push(&mut self, id: usize, token: &AddedToken) {
        if !self.known.insert(token.content.clone()) {
            return;
        }
        self.n_ids = self.n_ids.max(id + 1);
        // Never `normalized`: with a prefix for every word such a token would be found at word beginnings only.
        let json = json!({
            "id": id,
            "content": token.content,
            "single_word": token.single_word,
            "lstrip": token.lstrip,
            "rstrip": token.rstrip,
            "normalized": false,
            "special": token.special,
        });
        self.tokens.push((id, json));
    }
}

fn normalizer(legacy: bool, prefix: bool) -> Value {
    let prepend = json!({"type": "Prepend", "prepend": SPACE});
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
    match (legacy, prefix) {
        (false, _) => Value::Null,
        (true, true) => json!({"type": "Sequence", "normalizers": [prepend, replace]}),
        (true, false) => json!({"type": "Sequence", "normalizers": [replace]}),
    }
}

fn pre_tokenizer(legacy: bool, prefix: bool) -> Value {
    if legacy {
        return Value::Null;
    }
    json!({
        "type": "Metaspace",
        "replacement": SPACE,
        "prepend_scheme": if prefix { "first" } else { "never" },
        "split": false,
    })
}

fn decoder(prefix: bool) -> Value {
    let mut steps = vec![
        json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        steps.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": steps})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, score: f32, kind: Kind) -> Piece {
        Piece {
            text: text.to_owned(),
            score,
            kind,
        }
    }

    fn model(pieces: Vec<Piece>) -> SentencePiece {
        SentencePiece {
            pieces,
            algorithm: Algorithm::Bpe,
            rewrites_text: false,
            adds_prefix: true,
        }
    }

    fn abc() -> SentencePiece {
        model(vec![
            piece("<unk>", 0.0, Kind::Unknown),
            piece("ab", -1.0, Kind::Normal),
            piece("abc", -0.5, Kind::Normal),
            piece("bc", -1.0, Kind::Normal),
            piece("a", -9.0, Kind::Normal),
            piece("b", -9.0, Kind::Normal),
            piece("c", -9.0, Kind::Normal),
        ])
    }

    #[test]
    fn merges_go_by_score_then_id_then_the_length_of_the_beginning() {
        let json = tokenizer_json(&abc(), &Settings::default()).unwrap();
        let expected = json!([["a", "bc"], ["ab", "c"], ["a", "b"], ["b", "c"]]);
        assert_eq!(json["model"]["merges"], expected);
    }

    #[test]
    fn no_merge_leads_to_a_byte() {
        let mut pieces = abc().pieces;
        pieces[2].kind = Kind::Byte;
        let json = tokenizer_json(&model(pieces), &Settings::default()).unwrap();
        assert_eq!(json["model"]["merges"], json!([["a", "b"], ["b", "c"]]));
    }

    #[test]
    fn added_tokens_go_on_after_the_vocabulary() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name, text| std::fs::write(folder.path().join(name), text).unwrap();
        write("added_tokens.json", r#"{"<pad>": 7, "<image>": 8}"#);
        write("special_tokens_map.json", r#"{"pad_token": "<pad>"}"#);
        let settings = Settings::read(folder.path()).unwrap();
        let json = tokenizer_json(&abc(), &settings).unwrap();
        let listed: Vec<_> = json["added_tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| (t["id"].as_u64().unwrap(), t["content"].as_str().unwrap()))
            .collect();
        assert_eq!(listed, [(0, "<unk>"), (7, "<pad>"), (8, "<image>")]);
        write("added_tokens.json", r#"{"<pad>": 9}"#);
        let settings = Settings::read(folder.path()).unwrap();
        let problem = tokenizer_json(&abc(), &settings).unwrap_err();
        assert!(
            problem.contains("`<pad>` the id 9, but it would be 7"),
            "{problem}"
        );
    }

    #[test]
    fn other_models_are_refused_by_name() {
        let problem = |change: fn(&mut SentencePiece)| {
            let mut model = abc();
            change(&mut model);
            tokenizer_json(&model, &Settings::default()).unwrap_err()
        };
        assert!(problem(|m| m.algorithm = Algorithm::Unigram).contains("unigram"));
        assert!(problem(|m| m.algorithm = Algorithm::Other).contains("no BPE"));
        assert!(problem(|m| m.rewrites_text = true).contains("rewrites text"));
        assert!(problem(|m| m.pieces[1].text = "a".to_owned()).contains("pieces 1 and 4"));
    }
}
