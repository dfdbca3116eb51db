//! Rows of JSON lines or of a JSON list, whichever the file is, one after the other, and how far reading has come.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{line_row, taken};
use crate::error::{DataError, Place};
use crate::formats::text::{self, Format, empty};

/// A file that notes which share of it has been read.
struct Counted<'s> {
    file: File,
    n_bytes: u64,
    n_read: u64,
    share: &'s Cell<f64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.n_read += n as u64;
        self.share
            .set(self.n_read as f64 / self.n_bytes.max(1) as f64);
        Ok(n)
    }
}

/// Hands out the rows of JSON lines or of one JSON list with their places, as they are read from the file: never more than one
/// is in memory. The first that `take` refuses ends it. `share` is that of the file that has been read.
pub(in crate::formats) fn each_of_any<T: DeserializeOwned>(
    path: &Path,
    format: &Format,
    share: &Cell<f64>,
    mut take: impl FnMut(Place, T) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let unread = |source| text::unread(path, source);
    let file = text::open(path, format)?;
    let n_bytes = file.metadata().map_err(unread)?.len();
    let counted = Counted {
        file,
        n_bytes,
        n_read: 0,
        share,
    };
    let mut file = BufReader::with_capacity(1 << 20, counted);
    let begins = file.fill_buf().map_err(unread)?;
    let text = begins.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(begins);
    let n_before = begins.len() - text.len();
    let is_list = text.trim_ascii_start().starts_with(b"[");
    file.consume(n_before);
    if is_list {
        let mut row = 0;
        let json = serde_json::Deserializer::from_reader(file);
        let read = taken(path, json, format, None, |value| {
            row += 1;
            let place = Place::Row {
                list: None,
                row: row - 1,
                line: None,
            };
            take(place, value)
        });
        return read.map_err(|error| {
            // The parser does not say which byte it is.
            let is_syntax = matches!(error, DataError::Syntax { .. });
            let no_text = is_syntax.then(|| text::first_not_utf8(path)).flatten();
            no_text.unwrap_or(error)
        });
    }
    let (mut line, mut number, mut offset, mut n_rows) = (Vec::new(), 0, n_before, 0);
    loop {
        line.clear();
        number += 1;
        if file.read_until(b'\n', &mut line).map_err(unread)? == 0 {
            break;
        }
        let text = std::str::from_utf8(&line)
            .map_err(|error| text::not_utf8(path, number, offset + error.valid_up_to()))?;
        offset += line.len();
        if text.trim().is_empty() {
            continue;
        }
        n_rows += 1;
        take(Place::Line(number), line_row(path, number, text, format)?)?;
    }
    if n_rows == 0 {
        return Err(empty(path, Place::File, "", format));
    }
    Ok(())
}
