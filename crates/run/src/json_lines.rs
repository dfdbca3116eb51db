//! Append-only files of one JSON object per line, cut back exactly on resume.
//!
//! `metrics.jsonl` is canonical: it holds nothing that depends on the clock, each checkpoint stores its
//! length, and a resume cuts it to that length. So the steps lost by a kill vanish and the finished file is
//! byte-identical to that of an uninterrupted run. `timings.jsonl` holds the clock and is only ever
//! appended to: steps done twice appear twice, because they were.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::RunError;

/// An open file of JSON lines.
#[derive(Debug)]
pub(crate) struct JsonLines {
    path: PathBuf,
    file: File,
    n_bytes: u64,
}

impl JsonLines {
    /// Opens `path` and cuts it to `n_bytes`, the length it had at the checkpoint that is resumed; 0 for a
    /// fresh start.
    ///
    /// # Errors
    /// The file is shorter than `n_bytes`, or no line ends there.
    pub(crate) fn open_at(path: &Path, n_bytes: u64) -> Result<Self, RunError> {
        let mut file = open(path)?;
        let length = length(path, &file)?;
        if length < n_bytes {
            let problem = format!("{length} bytes long, its checkpoint was taken at {n_bytes}");
            return Err(mismatch(path, problem));
        }
        if n_bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(n_bytes - 1))
                .and_then(|_| file.read_exact(&mut last))
                .map_err(RunError::io("read", path))?;
            if last != *b"\n" {
                return Err(mismatch(path, format!("no line ends at byte {n_bytes}")));
            }
        }
        file.set_len(n_bytes)
            .and_then(|()| file.sync_all())
            .map_err(RunError::io("truncate", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            n_bytes,
        })
    }

    /// Opens `path` to append, cutting only a last line that a kill left without its end.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub(crate) fn open_to_append(path: &Path) -> Result<Self, RunError> {
        let mut file = open(path)?;
        let mut n_bytes = length(path, &file)?;
        let mut last = [0];
        while n_bytes > 0 {
            file.seek(SeekFrom::Start(n_bytes - 1))
                .and_then(|_| file.read_exact(&mut last))
                .map_err(RunError::io("read", path))?;
            if last == *b"\n" {
                break;
            }
            n_bytes -= 1;
        }
        drop(file);
        Self::open_at(path, n_bytes)
    }

    /// Appends one line, at once visible to readers.
    ///
    /// # Errors
    /// The value is not representable as JSON, or the disk is full.
    pub(crate) fn push<T: Serialize>(&mut self, line: &T) -> Result<(), RunError> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| RunError::LinesFile {
            path: self.path.clone(),
            problem: format!("a line cannot be written as JSON: {error}"),
            remedy: "use string keys only",
        })?;
        bytes.push(b'\n');
        self.file
            .write_all(&bytes)
            .map_err(RunError::io("write", &self.path))?;
        self.n_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything so far durable and returns the file's length.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn sync(&self) -> Result<u64, RunError> {
        self.file
            .sync_data()
            .map_err(RunError::io("sync", &self.path))?;
        Ok(self.n_bytes)
    }
}

fn open(path: &Path) -> Result<File, RunError> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
        .map_err(RunError::io("open", path))
}

fn length(path: &Path, file: &File) -> Result<u64, RunError> {
    Ok(file
        .metadata()
        .map_err(RunError::io("inspect", path))?
        .len())
}

fn mismatch(path: &Path, problem: String) -> RunError {
    RunError::LinesFile {
        path: path.to_path_buf(),
        problem,
        remedy: "the file was changed by hand; restore it or start the run afresh in another folder",
    }
}
