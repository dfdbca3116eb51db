//! From bytes on disk to text, and from text to one typed value, with errors that say where.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::bounded::{self, Bound};
use crate::error::{DataError, Place, Spot};
use crate::file_kind::FileKind;

/// Larger files are refused before they are read. The largest public file (LLaVA's 665k mixture) has 1 GB.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// What a file is meant to be, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Its name: also a heading of `docs/formats.md`.
    pub name: &'static str,
    /// What its rows are.
    pub expected: &'static str,
}

impl Format {
    /// What to do about a row that is not of this format.
    pub(crate) fn remedy(&self) -> String {
        format!(
            "correct or remove it (docs/formats.md, \"{}\", shows a valid file)",
            self.name
        )
    }
}

/// The bound on a text file.
const BOUND: Bound = Bound {
    max_bytes: MAX_FILE_BYTES,
    action: "read",
    unreadable: "check the path and that you may read it",
    too_large: "split the file",
};

/// Opens a text file of bounded size that is to be read bit by bit.
///
/// # Errors
/// As of [`read`], but what is not UTF-8 or empty is found when it is read.
pub(crate) fn open(path: &Path, format: &Format) -> Result<File, DataError> {
    let file = bounded::open(path, &BOUND)?;
    FileKind::at(path).map_or(Ok(file), |kind| Err(other_kind(path, kind, format)))
}

/// That a file cannot be read on.
pub(crate) fn unread(path: &Path, source: io::Error) -> DataError {
    DataError::Io {
        action: BOUND.action,
        path: path.to_path_buf(),
        remedy: BOUND.unreadable.into(),
        source,
    }
}

fn other_kind(path: &Path, kind: FileKind, format: &Format) -> DataError {
    DataError::Syntax {
        spot: Spot::new(path, Place::File, ""),
        found: format!("this is {}, expected {}", kind.name(), format.expected),
        remedy: kind.remedy().into(),
    }
}

/// Reads a text file of bounded size.
///
/// # Errors
/// [`DataError::Io`], [`DataError::TooLarge`], [`DataError::Syntax`] if it is another kind of file or not UTF-8,
/// [`DataError::Empty`] if it holds nothing but blanks.
pub fn read(path: &Path, format: &Format) -> Result<String, DataError> {
    let content = bounded::read(path, &BOUND)?;
    if let Some(kind) = FileKind::of(&content) {
        return Err(other_kind(path, kind, format));
    }
    let mut text = String::from_utf8(content).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good]
            .split(|&byte| byte == b'\n')
            .count();
        not_utf8(path, line, good)
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    if text.trim().is_empty() {
        return Err(empty(path, Place::File, "", format));
    }
    Ok(text)
}

/// That a byte of a file is no text.
pub(crate) fn not_utf8(path: &Path, line: usize, offset: usize) -> DataError {
    DataError::Syntax {
        spot: Spot::new(path, Place::Line(line), ""),
        found: format!("the byte at offset {offset} is not UTF-8"),
        remedy: "convert the file to UTF-8".into(),
    }
}

/// Bytes of a file that are looked at together.
const PIECE: u64 = 1 << 20;

/// The refusal of a file for its first byte that is no text, if it has one; a character that is cut off at its end is none. It is read
/// once more, and never more than a piece of it is in memory.
pub(crate) fn first_not_utf8(path: &Path) -> Option<DataError> {
    let mut file = File::open(path).ok()?;
    let (mut line, mut offset) = (1, 0);
    let mut piece = Vec::new();
    while file.by_ref().take(PIECE).read_to_end(&mut piece).ok()? > 0 {
        let fault = std::str::from_utf8(&piece).err();
        let good = fault.map_or(piece.len(), |fault| fault.valid_up_to());
        line += piece[..good].split(|&byte| byte == b'\n').count() - 1;
        offset += good;
        // Of a character that goes on in the next piece no length is known.
        if fault.is_some_and(|fault| fault.error_len().is_some()) {
            return Some(not_utf8(path, line, offset));
        }
        piece.drain(..good);
    }
    None
}

pub(crate) fn empty(path: &Path, place: Place, list: &str, format: &Format) -> DataError {
    DataError::Empty {
        spot: Spot::new(path, place, list),
        expected: format.expected,
        remedy: format!(
            "write the file again, or leave it out of the recipe (docs/formats.md, \"{}\")",
            format.name
        )
        .into(),
    }
}

/// Parses one JSON object.
///
/// # Errors
/// [`DataError::Field`] naming the field, [`DataError::Syntax`] if it is not JSON.
pub fn object<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    format: &Format,
) -> Result<T, DataError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        fault(
            path,
            Place::Line(error.line().max(1)),
            &field,
            &error,
            format,
        )
    })?;
    json.end()
        .map_err(|error| fault(path, Place::Line(error.line().max(1)), "", &error, format))?;
    Ok(value)
}

/// Turns serde's error about the value at `field` into ours.
pub(crate) fn fault(
    path: &Path,
    place: Place,
    field: &str,
    error: &serde_json::Error,
    format: &Format,
) -> DataError {
    let message = error.to_string();
    // serde_json appends the position, which the place already tells.
    let message = message
        .rfind(" at line ")
        .map_or(message.as_str(), |end| &message[..end]);
    // How a type is called in the code tells nobody what to write.
    let message = message.split_once("expected struct ").map_or_else(
        || message.to_owned(),
        |(found, _)| format!("{found}expected an object"),
    );
    let message = message.as_str();
    let spot = Spot::new(path, place, field_named_in(field, message));
    let remedy = format.remedy().into();
    match error.classify() {
        serde_json::error::Category::Data => DataError::Field {
            spot,
            found: message.to_owned(),
            remedy,
        },
        serde_json::error::Category::Eof => DataError::Syntax {
            spot,
            found: format!("the text ends here, in the middle of it ({message})"),
            remedy: format!(
                "fetch or write the file again, it is cut off (docs/formats.md, \"{}\")",
                format.name
            )
            .into(),
        },
        _ => DataError::Syntax {
            spot,
            found: format!("not JSON: {message}"),
            remedy,
        },
    }
}

/// The path of the field at fault. serde reports a missing field at its parent and names it only in the
/// message, so the name is moved to where it belongs.
fn field_named_in(parent: &str, message: &str) -> String {
    // What could not be told any nearer ends in a question mark.
    let parent = parent.trim_end_matches(['.', '?']);
    let named = ["missing field `", "duplicate field `"]
        .into_iter()
        .find_map(|start| message.strip_prefix(start)?.split('`').next());
    match named {
        Some(field) if parent.is_empty() => field.to_owned(),
        Some(field) => format!("{parent}.{field}"),
        None => parent.to_owned(),
    }
}
