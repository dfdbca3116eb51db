//! `tokenizer.model`: what SentencePiece's protobuf says about pieces, training and normalisation.
//!
//! Only the fields that decide a LLaMA tokenizer are read; the others are passed over. The wire format is four
//! kinds of field, so it is read here and not by a generated parser. A length is believed only where so many bytes
//! follow.

use std::path::Path;

use candor_data::bounded::{self, Bound};

use crate::ModelError;

/// LLaMA's file has 500 kB, the largest published ones 5 MB.
const BOUND: Bound = Bound {
    max_bytes: 32 << 20,
    action: "read the SentencePiece model",
    unreadable: "check that the file exists and may be read",
    too_large: "is this the tokenizer.model of a language model?",
};
/// Longest piece, in bytes. LLaMA's longest have 48; the time to find the merges grows with the square.
const MAX_PIECE_BYTES: usize = 256;
const REMEDY: &str = "the file is damaged or no SentencePiece model; download it again";

/// A SentencePiece model, as far as it decides token ids.
#[derive(Debug, Clone, PartialEq)]
pub struct SentencePiece {
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
pub struct Piece {
    /// The text, with `▁` for spaces.
    pub text: String,
    /// Which merge comes first: the highest score.
    pub score: f32,
    /// What it is there for.
    pub kind: Kind,
}

/// What a piece is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
pub enum Algorithm {
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
    /// The file cannot be read, is larger than 32 MiB, or is no SentencePiece model; the message says at which byte
    /// or piece.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let bytes = bounded::read(path, &BOUND)?;
        Self::parse(&bytes).map_err(|problem| ModelError::Tokenizer {
            path: path.to_owned(),
            problem,
            remedy: REMEDY,
        })
    }

    /// Reads the bytes of a `ModelProto`.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut model = Self {
            pieces: Vec::new(),
            // Proto2 leaves out what has its default value.
            algorithm: Algorithm::Unigram,
            rewrites_text: true,
            adds_prefix: true,
        };
        let mut whole = Message { bytes, start: 0 };
        while let Some((number, field)) = whole.next_field()? {
            match (number, field) {
                (1, Field::Bytes(piece)) => {
                    let index = model.pieces.len();
                    let piece = Piece::parse(piece).map_err(|p| format!("piece {index}: {p}"))?;
                    model.pieces.push(piece);
                }
                (2, Field::Bytes(trainer)) => model.read_trainer(trainer)?,
                (3, Field::Bytes(normalizer)) => model.read_normalizer(normalizer)?,
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err("it holds no pieces".to_owned());
        }
        Ok(model)
    }

    fn read_trainer(&mut self, mut message: Message) -> Result<(), String> {
        while let Some((number, field)) = message.next_field()? {
            if let (3, Field::Varint(algorithm)) = (number, field) {
                self.algorithm = match algorithm {
                    1 => Algorithm::Unigram,
                    2 => Algorithm::Bpe,
                    _ => Algorithm::Other,
                };
            }
        }
        Ok(())
    }

    fn read_normalizer(&mut self, mut message: Message) -> Result<(), String> {
        let (mut mapped, mut squeezed, mut escaped) = (false, true, true);
        while let Some((number, field)) = message.next_field()? {
            match (number, field) {
                (2, Field::Bytes(map)) => mapped = !map.bytes.is_empty(),
                (3, Field::Varint(prefix)) => self.adds_prefix = prefix != 0,
                (4, Field::Varint(remove)) => squeezed = remove != 0,
                (5, Field::Varint(escape)) => escaped = escape != 0,
                _ => {}
            }
        }
        self.rewrites_text = mapped || squeezed || !escaped;
        Ok(())
    }
}

impl Piece {
    fn parse(mut message: Message) -> Result<Self, String> {
        let mut piece = Self {
            text: String::new(),
            score: 0.0,
            kind: Kind::Normal,
        };
        while let Some((number, field)) = message.next_field()? {
            match (number, field) {
                (1, Field::Bytes(text)) => {
                    let text = std::str::from_utf8(text.bytes);
                    text.map_err(|_| "its text is not UTF-8".to_owned())?
                        .clone_into(&mut piece.text);
                }
                (2, Field::Fixed32(bits)) => piece.score = f32::from_bits(bits),
                (3, Field::Varint(kind)) => piece.kind = Kind::of_number(kind)?,
                _ => {}
            }
        }
        match piece.text.len() {
            0 => Err("it is empty".to_owned()),
            n if n > MAX_PIECE_BYTES => {
                Err(format!("it has {n} bytes, more than {MAX_PIECE_BYTES}"))
            }
            _ if piece.score.is_nan() => Err("its score is not a number".to_owned()),
            _ => Ok(piece),
        }
    }
}

impl Kind {
    fn of_number(number: u64) -> Result<Self, String> {
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

/// A message of the wire format, and where in the file it begins.
#[derive(Debug, Clone, Copy)]
struct Message<'a> {
    bytes: &'a [u8],
    start: usize,
}

/// The value of a field.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Varint(u64),
    Fixed64,
    Fixed32(u32),
    Bytes(Message<'a>),
}

impl<'a> Message<'a> {
    /// The next field's number and value; none at the end.
    fn next_field(&mut self) -> Result<Option<(u64, Field<'a>)>, String> {
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let at = self.start;
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Fixed64
            }
            2 => {
                let n = self.varint()?;
                Field::Bytes(self.take(n)?)
            }
            5 => {
                let mut bits = [0; 4];
                bits.copy_from_slice(self.take(4)?.bytes);
                Field::Fixed32(u32::from_le_bytes(bits))
            }
            other => return Err(format!("byte {at}: there is no kind {other} of field")),
        };
        Ok(Some((key >> 3, field)))
    }

    /// The next `n` bytes.
    fn take(&mut self, n: u64) -> Result<Self, String> {
        let left = self.bytes.len();
        let n = usize::try_from(n).ok().filter(|&n| n <= left);
        let Some(n) = n else {
            return Err(format!(
                "byte {}: a field is longer than what is left ({left} bytes)",
                self.start
            ));
        };
        let (bytes, rest) = self.bytes.split_at(n);
        let start = self.start;
        (self.bytes, self.start) = (rest, start + n);
        Ok(Self { bytes, start })
    }

    /// A number of seven bits a byte, the lowest first.
    fn varint(&mut self) -> Result<u64, String> {
        let at = self.start;
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?.bytes[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(format!("byte {at}: a number does not end"))
    }
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
        assert!(problem(&SMALL[..15]).contains("longer than what is left"));
        assert!(problem(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f").contains("byte 10"));
        assert!(problem(&[0xff; 20]).contains("byte 0: a number does not end"));
        assert!(problem(b"\x0b").contains("no kind 3 of field"));
        assert!(problem(b"\x0a\x03\x0a\x01\xff").contains("piece 0: its text is not UTF-8"));
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
