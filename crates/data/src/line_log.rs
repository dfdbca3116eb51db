//! Files of lines that are only ever appended to: what was written stays, whenever the process is killed.
//!
//! A line is synced to the disk before it counts as there. A last line that was cut off in the middle is removed when
//! the file is opened again, so whole lines are all that there is. One process at a time: the file is locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// A file of more bytes is refused before it is read.
const MAX_BYTES: u64 = 4 << 30;

/// A file that is open for appending.
#[derive(Debug)]
pub struct LineLog {
    path: PathBuf,
    file: File,
}

impl LineLog {
    /// Opens a file, or begins one; returns it with its lines.
    ///
    /// # Errors
    /// It cannot be read or written, is too large or not UTF-8, or another process has it open.
    pub fn open(path: &Path) -> Result<(Self, Vec<String>), DataError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| refused(path, source))?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path);
        let mut file = file.map_err(|source| refused(path, source))?;
        file.try_lock().map_err(|error| match error {
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
        };
        Ok((log, text.lines().map(str::to_owned).collect()))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line, which must not hold a line break itself; it is on the disk when this returns.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn append(&mut self, line: &str) -> Result<(), DataError> {
        // In one piece, so that a kill leaves at most the beginning of it.
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|source| refused(&self.path, source))
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

    #[test]
    fn a_file_cut_anywhere_keeps_its_whole_lines_and_can_be_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/log");
        let (mut log, lines) = LineLog::open(&path).unwrap();
        assert!(lines.is_empty());
        for line in ["grün", "", "third"] {
            log.append(line).unwrap();
        }
        drop(log);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole, "grün\n\nthird\n".as_bytes());
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            // By hand: the lines end behind bytes 6, 7 and 13.
            let expected = [6, 7, 13].iter().filter(|&&end| length >= end).count();
            let (mut log, lines) = LineLog::open(&path).unwrap();
            assert_eq!(lines, ["grün", "", "third"][..expected], "{length}");
            log.append("more").unwrap();
            drop(log);
            let (_, lines) = LineLog::open(&path).unwrap();
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
        let held = LineLog::open(&path).unwrap();
        let message = LineLog::open(&path).unwrap_err().to_string();
        assert!(message.contains("another process"), "{message}");
        drop(held);
        std::fs::write(&path, b"\xff\xfe\n").unwrap();
        let message = LineLog::open(&path).unwrap_err().to_string();
        assert!(message.contains("log; name another"), "{message}");
        let message = LineLog::open(&path.join("x")).unwrap_err().to_string();
        assert!(message.contains("check that the disk"), "{message}");
    }
}
