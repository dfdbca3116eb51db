//! A JSON list that is written row by row, with the SHA-256 of what was written.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::manifest::Written;
use crate::error::DataError;
use crate::formats::rows::ListWriter;
use crate::sha256;

/// Hashes what goes through it.
struct Hashed {
    file: BufWriter<File>,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file of rows below a folder; it is made with its first row.
pub(super) struct RowsFile {
    folder: PathBuf,
    name: &'static str,
    list: Option<ListWriter<Hashed>>,
}

impl RowsFile {
    pub(super) fn new(folder: &Path, name: &'static str) -> Self {
        Self {
            folder: folder.to_path_buf(),
            name,
            list: None,
        }
    }

    fn refused(&self, source: io::Error) -> DataError {
        unwritten(&self.folder.join(self.name), source)
    }

    /// Adds a row.
    pub(super) fn add<T: Serialize>(&mut self, row: &T) -> Result<(), DataError> {
        if self.list.is_none() {
            let file = create(&self.folder, self.name).map_err(|error| self.refused(error))?;
            self.list = Some(ListWriter::new(Hashed {
                file: BufWriter::with_capacity(1 << 20, file),
                hash: Sha256::new(),
            }));
        }
        let added = self.list.as_mut().map_or(Ok(()), |list| list.add(row));
        added.map_err(|error| self.refused(error))
    }

    /// Ends the file; none where it has no rows.
    pub(super) fn end(mut self) -> Result<Option<Written>, DataError> {
        let Some(list) = self.list.take() else {
            return Ok(None);
        };
        let rows = list.n_rows();
        let mut hashed = list.end().map_err(|error| self.refused(error))?;
        hashed.flush().map_err(|error| self.refused(error))?;
        Ok(Some(Written {
            file: self.name.to_owned(),
            rows,
            sha256: sha256::hexadecimal(&hashed.hash.finalize()),
        }))
    }
}

fn create(folder: &Path, name: &str) -> io::Result<File> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    File::create(path)
}

fn unwritten(path: &Path, source: io::Error) -> DataError {
    DataError::Io {
        action: "write",
        path: path.to_path_buf(),
        remedy: "check that the disk has room and that you may write there".into(),
        source,
    }
}

/// The SHA-256 and the size of a file.
pub(super) fn fingerprint(path: &Path) -> Result<(String, u64), DataError> {
    let hash = sha256::of_file(path)?;
    let about = path.metadata().map_err(|source| DataError::Io {
        action: "read",
        path: path.to_path_buf(),
        remedy: "check the path and that you may read it".into(),
        source,
    })?;
    Ok((hash, about.len()))
}
