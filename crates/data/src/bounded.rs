//! Reading a file of bounded size: nothing is allocated before the size is known to be allowed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::DataError;
use crate::missing;

/// A bound on a file's size, and what to say when the file cannot be read or is over it.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// Most bytes allowed.
    pub max_bytes: u64,
    /// What is done, as a verb: "read the image".
    pub action: &'static str,
    /// What to do when the file cannot be read.
    pub unreadable: &'static str,
    /// What to do when it is too large.
    pub too_large: &'static str,
}

impl Bound {
    fn io(&self, path: &Path, source: std::io::Error) -> DataError {
        DataError::Io {
            action: self.action,
            path: path.to_path_buf(),
            remedy: self.unreadable.into(),
            source,
        }
    }

    fn check(&self, path: &Path, bytes: u64) -> Result<(), DataError> {
        if bytes <= self.max_bytes {
            return Ok(());
        }
        Err(DataError::TooLarge {
            path: path.to_path_buf(),
            bytes,
            limit: self.max_bytes,
            remedy: self.too_large.into(),
        })
    }
}

/// Opens a file.
///
/// # Errors
/// [`DataError::Missing`] if it is not there, [`DataError::Io`] if it cannot be read, [`DataError::TooLarge`] if it has
/// more bytes than allowed.
pub fn open(path: &Path, bound: &Bound) -> Result<File, DataError> {
    missing::check(path, bound.action, bound.unreadable)?;
    let file = File::open(path).map_err(|error| bound.io(path, error))?;
    let metadata = file.metadata().map_err(|error| bound.io(path, error))?;
    bound.check(path, metadata.len())?;
    Ok(file)
}

/// Reads a whole file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path, bound: &Bound) -> Result<Vec<u8>, DataError> {
    // Sizes can lie (pipes, growing files), so the read is bounded as well.
    let mut file = open(path, bound)?.take(bound.max_bytes.saturating_add(1));
    let mut content = Vec::new();
    file.read_to_end(&mut content)
        .map_err(|error| bound.io(path, error))?;
    bound.check(path, content.len() as u64)?;
    Ok(content)
}
