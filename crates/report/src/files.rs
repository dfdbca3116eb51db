//! Reading what the stages wrote: a missing file is something to say, a damaged one an error.

use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::ReportError;

/// The text of a file, `None` if there is no such file.
pub(crate) fn text_if_there(path: &Path) -> Result<Option<String>, ReportError> {
    match bytes_if_there(path)? {
        None => Ok(None),
        Some(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|error| ReportError::damaged(path, None, &error.utf8_error())),
    }
}

/// The text of a file that must be there.
pub(crate) fn text(path: &Path) -> Result<String, ReportError> {
    text_if_there(path)?.ok_or_else(|| unreadable(path, ErrorKind::NotFound.into()))
}

/// The bytes of a file, `None` if there is no such file.
pub(crate) fn bytes_if_there(path: &Path) -> Result<Option<Vec<u8>>, ReportError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(unreadable(path, source)),
    }
}

/// A value from a JSON file, `None` if there is no such file.
pub(crate) fn json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReportError> {
    let Some(text) = text_if_there(path)? else {
        return Ok(None);
    };
    let value = serde_json::from_str(&text);
    value
        .map(Some)
        .map_err(|error| ReportError::damaged(path, None, &error))
}

/// A value from a JSON file that must be there.
pub(crate) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, ReportError> {
    let value = serde_json::from_str(&text(path)?);
    value.map_err(|error| ReportError::damaged(path, None, &error))
}

/// The values of a file of JSON lines, `None` if there is no such file.
pub(crate) fn json_lines_if_there<T: DeserializeOwned>(
    path: &Path,
) -> Result<Option<Vec<T>>, ReportError> {
    let Some(text) = text_if_there(path)? else {
        return Ok(None);
    };
    let lines = text.lines().enumerate();
    let rows = lines.filter(|(_, line)| !line.trim().is_empty());
    let rows: Result<Vec<T>, ReportError> = rows
        .map(|(index, line)| {
            serde_json::from_str(line)
                .map_err(|error| ReportError::damaged(path, Some(index + 1), &error))
        })
        .collect();
    rows.map(Some)
}

fn unreadable(path: &Path, source: std::io::Error) -> ReportError {
    ReportError::Io {
        path: path.to_owned(),
        source,
    }
}
