//! What rows were made into, in a file, for sets that are larger than the memory: where each row ends is all that is held of it.
//!
//! The file is made anew by whoever reads the rows and has no name: no other process can meet rows that are not its own, none is
//! ever out of date, and of a process that is killed nothing is left, for the system frees the file when its last process ends.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Writes rows one after the other.
#[derive(Debug)]
pub struct KeptRowsWriter {
    out: BufWriter<File>,
    folder: PathBuf,
    ends: Vec<u64>,
}

impl KeptRowsWriter {
    /// A file without rows on the disk of `folder`, which is made where it is not there.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn on_disk_of(folder: &Path) -> Result<Self, DataError> {
        let file = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
        let file = file.map_err(|source| refused("make a file for rows", folder, source))?;
        Ok(Self {
            out: BufWriter::with_capacity(1 << 20, file),
            folder: folder.to_path_buf(),
            ends: Vec::new(),
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// The disk is full, or fails.
    pub fn add(&mut self, row: &[u8]) -> Result<(), DataError> {
        let written = self.out.write_all(row);
        written.map_err(|source| refused("write rows to a file", &self.folder, source))?;
        let start = self.ends.last().copied().unwrap_or(0);
        self.ends.push(start + row.len() as u64);
        Ok(())
    }

    /// All rows, to be read.
    ///
    /// # Errors
    /// The disk is full, or fails.
    pub fn finish(self) -> Result<KeptRows, DataError> {
        let Self {
            out,
            folder,
            mut ends,
        } = self;
        ends.shrink_to_fit();
        // A disk may say only when it must have everything that it has not: now, and not at some step of the training.
        let synced = match out.into_inner() {
            Ok(file) => file.sync_data().map(|()| file),
            Err(error) => Err(error.into_error()),
        };
        match synced {
            Ok(file) => Ok(KeptRows { file, folder, ends }),
            Err(source) => Err(refused("write rows to a file", &folder, source)),
        }
    }
}

/// Rows in a file, of which any can be read at any time, by several threads.
#[derive(Debug)]
pub struct KeptRows {
    file: File,
    folder: PathBuf,
    /// Where each row ends.
    ends: Vec<u64>,
}

impl KeptRows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of row `row`, as they were added.
    ///
    /// # Errors
    /// The disk fails, or somebody cut the file.
    ///
    /// # Panics
    /// There is no such row.
    pub fn read(&self, row: usize) -> Result<Vec<u8>, DataError> {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        let mut bytes = vec![0; (self.ends[row] - start) as usize];
        let read = self.file.read_exact_at(&mut bytes, start);
        read.map_err(|source| refused("read a row from a file", &self.folder, source))?;
        Ok(bytes)
    }

    /// That what was read of row `row` is not what was written.
    #[must_use]
    pub fn damaged(&self, row: usize) -> DataError {
        let found = format!("the bytes of row {row} are no row any more");
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, found);
        refused("read a row from a file", &self.folder, source)
    }
}

fn refused(action: &'static str, folder: &Path, source: std::io::Error) -> DataError {
    DataError::Io {
        action,
        path: folder.to_path_buf(),
        remedy: "check that you may write to this folder, that its disk has room and that it is sound, and start again".into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_off_is_no_row_and_what_is_before_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = KeptRowsWriter::on_disk_of(folder.path()).unwrap();
        for row in ["one", "two"] {
            writer.add(row.as_bytes()).unwrap();
        }
        let kept = writer.finish().unwrap();
        kept.file.set_len(5).unwrap();
        assert_eq!(kept.read(0).unwrap(), b"one");
        let message = kept.read(1).unwrap_err().to_string();
        assert!(message.contains("read a row from a file"), "{message}");
    }
}
