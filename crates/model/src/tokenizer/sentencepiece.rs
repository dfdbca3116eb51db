//! `tokenizer.model`: what SentencePiece's protobuf says about pieces, training and normalisation.
//!
//! Only the fields that decide a LLaMA tokenizer are read; the others are passed over.

use std::path::Path;

use candor_data::bounded::{self, Bound};
use prost::Message;

use crate::ModelError;

/// LLaMA's file has 500 kB, the largest published ones 5 MB. What is decoded takes some thirty times as much memory at most.
const BOUND: Bound = Bound {
    max_bytes: 16 << 20,
    action: "read the SentencePiece model",
    unreadable: "check that the file exists and may be read",
    too_large: "is this the tokenizer.model of a language model?",
};
/// Longest piece, in bytes. LLaMA's longest have 48; the time to find the merges grows with the square.
const MAX_PIECE_BYTES: usize = 256;
const REMEDY: &str = "the file is damaged or no SentencePiece model; download it again";

/// A SentencePiece model, as far as it decides token ids.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SentencePiece {
    /// The vocabulary; a piece's id is its place.
    pub pieces: Vec<Piece>,
    /// How text is cut into pieces.
    pub algorithm: Algorithm,
    /// Whether text is changed before it is cut, other than by spaces becoming `▁`.
    pub rewrites_text: bool,
    /// Whether text gets a space before its first word.
    pub adds_prefix: bool,
}

/// An entry of the vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    /// The text, with `▁` for spaces.
    pub text: String,
    /// Which merge comes first: the highest score.
    pub score: f32,
    /// What it is there for.
    pub kind: Kind,
}

/// What a piece is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A part of text.
    Normal,
    /// Stands for what no piece covers.
    Unknown,
    /// `<s>`, `</s>`: never made from text.
    Control,
    /// Text that is always one token.
    UserDefined,
    /// A byte of a character that no piece covers.
    Byte,
}

/// How text is cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// Pairs are merged by score: LLaMA and its descendants.
    Bpe,
    /// The likeliest division.
    Unigram,
    /// Whole words, or single characters.
    Other,
}

impl SentencePiece {
    /// Reads a `tokenizer.model`.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 16 MiB, or is no SentencePiece model; the message says which field or
    /// piece.
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        let bytes = bounded::read(path, &BOUND)?;
        Self::parse(&bytes).map_err(|problem| ModelError::Tokenizer {
            path: path.to_owned(),
            problem,
            remedy: REMEDY,
        })
    }

    /// Reads the bytes of a `ModelProto`.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let model = ModelProto::decode(bytes).map_err(|error| error.to_string())?;
        let piece = |(index, piece): (usize, PieceProto)| {
            Piece::of(piece).map_err(|problem| format!("piece {index}: {problem}"))
        };
        let normalizer = model.normalizer_spec.unwrap_or_default();
        let model = Self {
            pieces: model
                .pieces
                .into_iter()
                .enumerate()
                .map(piece)
                .collect::<Result<_, _>>()?,
            algorithm: match model.trainer_spec.unwrap_or_default().model_type {
                1 => Algorithm::Unigram,
                2 => Algorithm::Bpe,
                _ => Algorithm::Other,
            },
            rewrites_text: !normalizer.precompiled_charsmap.is_empty()
                || normalizer.remove_extra_whitespaces
                || !normalizer.escape_whitespaces,
            adds_prefix: normalizer.add_dummy_prefix,
        };
        if model.pieces.is_empty() {
            return Err("it holds no pieces".to_owned());
        }
        Ok(model)
    }
}

impl Piece {
    fn of(piece: PieceProto) -> Result<Self, String> {
        let kind = Kind::of_number(piece.kind)?;
        match piece.text.len() {
            0 => Err("it is empty".to_owned()),
            n if n > MAX_PIECE_BYTES => {
                Err(format!("it has {n} bytes, more than {MAX_PIECE_BYTES}"))
            }
            _ if piece.score.is_nan() => Err("its score is not a number".to_owned()),
            _ => Ok(Self {
                text: piece.text,
                score: piece.score,
                kind,
            }),
        }
    }
}

impl Kind {
    fn of_number(number: i32) -> Result<Self, String> {
        Ok(match number {
            // An unused piece keeps its id and its merges, as in transformers.
            1 | 5 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            6 => Self::Byte,
            other => return Err(format!("there is no kind {other} of piece")),
        })
    }
}

// The fields of sentencepiece_model.proto that decide ids, with its defaults; all others are passed over.

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer_spec: Option<TrainerSpec>,
    #[prost(message, optional, tag = "3")]
    normalizer_spec: Option<NormalizerSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct PieceProto {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(float, tag = "2")]
    score: f32,
    #[prost(int32, tag = "3", default = "1")]
    kind: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerSpec {
    #[prost(int32, tag = "3", default = "1")]
    model_type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerSpec {
    #[prost(bytes = "vec", tag = "2")]
    precompiled_charsmap: Vec<u8>,
    #[prost(bool, tag = "3", default = "true")]
    add_dummy_prefix: bool,
    #[prost(bool, tag = "4", default = "true")]
    remove_extra_whitespaces: bool,
    #[prost(bool, tag = "5", default = "true")]
    escape_whitespaces: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `<unk>` of kind unknown, then `a` with a score, then a BPE trainer that only says so.
    const SMALL: &[u8] =
        b"\x0a\x09\x0a\x05<unk>\x18\x02\x0a\x08\x0a\x01a\x15\x00\x00\x80\xbf\x12\x02\x18\x02";

    #[test]
    fn pieces_scores_and_defaults_are_read() {
        let model = SentencePiece::parse(SMALL).unwrap();
        let a = Piece {
            text: "a".to_owned(),
            score: -1.0,
            kind: Kind::Normal,
        };
        assert_eq!(model.pieces[1], a);
        assert_eq!(model.pieces[0].kind, Kind::Unknown);
        assert_eq!(model.algorithm, Algorithm::Bpe);
        assert!(model.adds_prefix && model.rewrites_text);
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let problem = |bytes: &[u8]| SentencePiece::parse(bytes).unwrap_err();
        assert_eq!(problem(b""), "it holds no pieces");
        assert!(problem(&SMALL[..15]).contains("buffer underflow"));
        assert!(problem(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f").contains("ModelProto.pieces"));
        assert!(problem(&[0xff; 20]).contains("varint"));
        assert!(problem(b"\x0b").contains("ModelProto.pieces"));
        assert!(problem(b"\x0a\x03\x0a\x01\xff").contains("PieceProto.text"));
        assert!(problem(b"\x0a\x05\x0a\x01a\x18\x09").contains("no kind 9 of piece"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for end in 0..SMALL.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = SMALL.to_vec();
                bytes[end] = value;
                let _ = SentencePiece::parse(&bytes);
                let _ = SentencePiece::parse(&bytes[..end]);
            }
        }
    }
}
