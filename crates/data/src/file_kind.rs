//! What a file is, by its first bytes: so that a parquet file in the place of JSON is called one.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A kind of file that is told by how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Columns of a table, as the Hugging Face hub has data sets.
    Parquet,
    /// A compressed file or an archive, by its name.
    Compressed(&'static str),
    /// An image that candor reads, by its media type.
    Image(&'static str),
    /// Something else that is no text, by its name.
    Other(&'static str),
    /// A page of a website.
    Html,
    /// What Git keeps in the place of a large file that was not fetched.
    LfsPointer,
    /// Text in another encoding than UTF-8.
    Utf16,
}

/// How the kinds begin.
const BEGINNINGS: &[(&[u8], FileKind)] = &[
    (b"PAR1", FileKind::Parquet),
    (&[0x1F, 0x8B], FileKind::Compressed("gzip")),
    (b"PK\x03\x04", FileKind::Compressed("zip")),
    (&[0x28, 0xB5, 0x2F, 0xFD], FileKind::Compressed("Zstandard")),
    (
        &[0xFD, b'7', b'z', b'X', b'Z', 0],
        FileKind::Compressed("xz"),
    ),
    (b"7z\xBC\xAF\x27\x1C", FileKind::Compressed("7z")),
    (b"BZh", FileKind::Compressed("bzip2")),
    (&[0xFF, 0xD8, 0xFF], FileKind::Image("image/jpeg")),
    (b"\x89PNG", FileKind::Image("image/png")),
    (b"GIF8", FileKind::Other("a GIF image")),
    (b"ARROW1", FileKind::Other("an Arrow file")),
    (b"SQLite format 3\0", FileKind::Other("a SQLite database")),
    (b"%PDF-", FileKind::Other("a PDF")),
    (b"version https://git-lfs", FileKind::LfsPointer),
    (&[0xFF, 0xFE], FileKind::Utf16),
    (&[0xFE, 0xFF], FileKind::Utf16),
];

impl FileKind {
    /// The kind of a file with these first bytes (a hundred are enough); none for plain text and for what is not known.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            return Some(Self::Image("image/webp"));
        }
        let known = BEGINNINGS
            .iter()
            .find(|(beginning, _)| bytes.starts_with(beginning));
        known.map(|&(_, kind)| kind).or_else(|| {
            let start = bytes
                .strip_prefix(b"\xEF\xBB\xBF")
                .unwrap_or(bytes)
                .trim_ascii_start();
            let begins = |tag: &str| {
                let length = tag.len();
                start
                    .get(..length)
                    .is_some_and(|text| text.eq_ignore_ascii_case(tag.as_bytes()))
            };
            (begins("<!doctype html") || begins("<html")).then_some(Self::Html)
        })
    }

    /// The kind of the file at `path`; none where it cannot be read, which reading it will tell.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let mut bytes = Vec::new();
        File::open(path)
            .ok()?
            .take(512)
            .read_to_end(&mut bytes)
            .ok()?;
        Self::of(&bytes)
    }

    /// The media type of an image that candor reads.
    #[must_use]
    pub fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Image(media_type) => Some(media_type),
            _ => None,
        }
    }

    /// What to call it: "a parquet file".
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Parquet => "a parquet file".into(),
            Self::Compressed(how) => format!("a {how} file"),
            Self::Image("image/jpeg") => "a JPEG image".into(),
            Self::Image("image/png") => "a PNG image".into(),
            Self::Image(_) => "a WebP image".into(),
            Self::Other(name) => name.into(),
            Self::Html => "a page of a website (HTML)".into(),
            Self::LfsPointer => "a pointer of Git LFS".into(),
            Self::Utf16 => "text in UTF-16".into(),
        }
    }

    /// What to do where text was expected.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Parquet => {
                "write its rows as JSON; only TRL preferences and their like are read from parquet as well"
            }
            Self::Compressed(_) => "give the file that is inside, unpacked",
            Self::Image(_) | Self::Other(_) => "give the file that holds the rows",
            Self::Html => "give the file itself: what was saved is the page that offers it",
            Self::LfsPointer => "give the file itself: fetch it with `git lfs pull`",
            Self::Utf16 => "give the text in UTF-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_tell() {
        for (bytes, name) in [
            (b"PAR1\x15\x04".as_slice(), "a parquet file"),
            (b"\x1F\x8B\x08\x00", "a gzip file"),
            (b"PK\x03\x04\x14", "a zip file"),
            (b"\xFF\xD8\xFF\xE0", "a JPEG image"),
            (b"\x89PNG\r\n\x1A\n\0", "a PNG image"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "a WebP image"),
            (
                b"\xEF\xBB\xBF\n <!DOCTYPE html><html>",
                "a page of a website (HTML)",
            ),
            (
                b"version https://git-lfs.github.com/spec/v1\n",
                "a pointer of Git LFS",
            ),
            (b"\xFF\xFE[\0", "text in UTF-16"),
        ] {
            assert_eq!(
                FileKind::of(bytes).map(FileKind::name).as_deref(),
                Some(name)
            );
        }
        for text in [
            "",
            "[{\"id\": 1}]",
            "RIFF",
            "<image>",
            "{\"id\": \"<html>\"}",
            "PK",
        ] {
            assert_eq!(FileKind::of(text.as_bytes()), None, "{text}");
        }
    }
}
