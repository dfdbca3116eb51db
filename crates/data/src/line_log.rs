//! Files of JSON lines that are only ever appended to: what was written stays, whenever the process is killed.
//!
//! A line is synced to the disk before it counts as there. A last line that was cut off in the middle is removed when
//! the file is opened again, so whole lines are all that there is. One process at a time: the file is locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{DataError, Place, Remedy, Spot};
use crate::lock::Locked;

/// A file of more bytes is refused before it is read.
const MAX_BYTES: u64 = 4 << 30;

/// A file of `T`s that is open for appending.
#[derive(Debug)]
pub struct LineLog<T> {
    path: PathBuf,
    file: Locked,
    lines: PhantomData<fn(&T)>,
}

impl<T: Serialize + DeserializeOwned> LineLog<T> {
    /// Opens a file, or begins one; returns it with its lines. Blank lines say nothing. `remedy` is what to do about a damaged
    /// line.
    ///
    /// # Errors
    /// It cannot be read or written, is too large or not UTF-8, a whole line is no `T`, or another process has it open.
    pub fn open(path: &Path, remedy: impl Into<Remedy>) -> Result<(Self, Vec<T>), DataError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| refused(path, source))?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path);
        let file = file.map_err(|source| refused(path, source))?;
        let mut file = Locked::now(file).map_err(|(_, error)| match error {
            TryLockError::WouldBlock => DataError::Io {
                action: "append to",
                path: path.to_owned(),
                remedy: "another process is at it: wait for that, or name another file".into(),
                source: io::ErrorKind::WouldBlock.into(),
            },
            TryLockError::Error(source) => refused(path, source),
        })?;
        let mut bytes = read(path, &mut file)?;
        let newline = bytes.iter().rposition(|&byte| byte == b'\n');
        let whole = newline.map_or(0, |end| end + 1);
        if whole < bytes.len() {
            let cut = file.set_len(whole as u64).and_then(|()| file.sync_all());
            cut.map_err(|source| refused(path, source))?;
            bytes.truncate(whole);
        }
        let text = String::from_utf8(bytes).map_err(|_| DataError::Io {
            action: "read the lines of",
            path: path.to_owned(),
            remedy: "name another file".into(),
            source: io::ErrorKind::InvalidData.into(),
        })?;
        let log = Self {
            path: path.to_owned(),
            file,
            lines: PhantomData,
        };
        let remedy = remedy.into();
        let read = |(index, line): (usize, &str)| {
            serde_json::from_str(line).map_err(|error| DataError::Syntax {
                spot: Spot::new(path, Place::Line(index + 1), ""),
                found: format!("damaged ({error})"),
                remedy: remedy.clone(),
            })
        };
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.is_empty());
        Ok((log, lines.map(read).collect::<Result<_, _>>()?))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line; it is on the disk when this returns. Where the disk refuses, nothing of it stays in the file.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn append(&mut self, line: &T) -> Result<(), DataError> {
        self.write(line)
            .map_err(|source| refused(&self.path, source))
    }

    fn write(&mut self, line: &T) -> io::Result<()> {
        // In one piece, so that a kill leaves at most the beginning of it.
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(&bytes);
        let written = written.and_then(|()| self.file.sync_data());
        if written.is_err() {
            // A full disk takes the beginning of a line, to which the next one would be glued.
            drop(self.file.set_len(before));
        }
        written
    }
}

fn read(path: &Path, file: &mut File) -> Result<Vec<u8>, DataError> {
    let at = |source| refused(path, source);
    let bytes = file.metadata().map_err(at)?.len();
    if bytes > MAX_BYTES {
        return Err(DataError::TooLarge {
            path: path.to_owned(),
            bytes,
            limit: MAX_BYTES,
            remedy: "name another file".into(),
        });
    }
    let mut content = Vec::with_capacity(bytes as usize);
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.take(MAX_BYTES).read_to_end(&mut content))
        .map_err(at)?;
    Ok(content)
}

fn refused(path: &Path, source: io::Error) -> DataError {
    DataError::Io {
        action: "append to",
        path: path.to_owned(),
        remedy: "check that the disk has room and that you may write there, or name another file"
            .into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMEDY: &str = "remove the line";

    fn open(path: &Path) -> Result<(LineLog<String>, Vec<String>), DataError> {
        LineLog::open(path, REMEDY)
    }

    #[test]
    fn a_file_cut_anywhere_keeps_its_whole_lines_and_can_be_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/log");
        let (mut log, lines) = open(&path).unwrap();
        assert!(lines.is_empty());
        for line in ["grün", "", "a\nb"] {
            log.append(&line.to_owned()).unwrap();
        }
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole, "\"grün\"\n\"\"\n\"a\\nb\"\n".as_bytes());
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            // By hand: the lines end behind bytes 8, 11 and 18.
            let expected = [8, 11, 18].iter().filter(|&&end| length >= end).count();
            let (mut log, lines) = open(&path).unwrap();
            assert_eq!(lines, ["grün", "", "a\nb"][..expected], "{length}");
            log.append(&"more".to_owned()).unwrap();
            drop(log);
            let (_, lines) = open(&path).unwrap();
            assert_eq!(
                (lines.len(), lines[expected].as_str()),
                (expected + 1, "more")
            );
        }
    }

    #[test]
    fn two_processes_are_kept_apart_and_other_files_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let held = open(&path).unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(message.contains("another process"), "{message}");
        drop(held);
        std::fs::write(&path, b"\xff\xfe\n").unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(message.contains("log; name another"), "{message}");
        std::fs::write(&path, b"\"a\"\n\nrubbish\n\"b\"\n").unwrap();
        let message = open(&path).unwrap_err().to_string();
        assert!(
            message.contains("line 3: damaged") && message.ends_with(REMEDY),
            "{message}"
        );
        let message = open(&path.join("x")).unwrap_err().to_string();
        assert!(message.contains("check that the disk"), "{message}");
    }
}
