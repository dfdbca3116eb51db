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

/// Reads a whole file.
///
/// # Errors
/// [`DataError::Missing`] if it is not there, [`DataError::Io`] if it cannot be read, [`DataError::TooLarge`] if it has
/// more bytes than allowed.
pub fn read(path: &Path, bound: &Bound) -> Result<Vec<u8>, DataError> {
    let io = |source| DataError::Io {
        action: bound.action,
        path: path.to_path_buf(),
        remedy: bound.unreadable.into(),
        source,
    };
    let within = |bytes: u64| {
        if bytes <= bound.max_bytes {
            return Ok(());
        }
        Err(DataError::TooLarge {
            path: path.to_path_buf(),
            bytes,
            limit: bound.max_bytes,
            remedy: bound.too_large.into(),
        })
    };
    missing::check(path, bound.action, bound.unreadable)?;
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    within(bytes)?;
    // Sizes can lie (pipes, growing files), so the read is bounded as well.
    let mut content = Vec::with_capacity(bytes as usize);
    file.take(bound.max_bytes.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(io)?;
    within(content.len() as u64)?;
    Ok(content)
}
