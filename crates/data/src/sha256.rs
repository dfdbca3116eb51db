//! SHA-256 of bytes and files, in lower-case hexadecimal.
//!
//! Byte strings are hashed with their borders: moving a byte from one to the next changes the hash. A text's and a file's is the
//! plain hash that `sha256sum` prints.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::DataError;

/// Of one byte string, without borders.
#[must_use]
pub fn of(bytes: impl AsRef<[u8]>) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Of byte strings in this order.
#[must_use]
pub fn of_bytes(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
    let mut hash = Parts::default();
    for part in parts {
        hash.add(part);
    }
    hash.finish()
}

/// [`of_bytes`] of byte strings that come one after the other.
#[derive(Debug, Default)]
pub struct Parts(Sha256);

impl Parts {
    /// The next byte string.
    pub fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The hash of all of them.
    #[must_use]
    pub fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// Of a file, which is never in memory at once.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> Result<String, DataError> {
    hash_file(path).map_err(|source| DataError::Io {
        action: "read",
        path: path.to_owned(),
        remedy: "check the path and that you may read it".into(),
        source,
    })
}

fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            n => hash.update(&piece[..n]),
        }
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(hash: &[u8]) -> String {
    let mut text = String::with_capacity(2 * hash.len());
    for byte in hash {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_borders_of_byte_strings_count() {
        assert_eq!(of_bytes(["ab", "c"]), of_bytes(["ab", "c"]));
        assert_ne!(of_bytes(["ab", "c"]), of_bytes(["a", "bc"]));
        assert_ne!(of_bytes(["ab"]), of_bytes(["ab", ""]));
    }

    #[test]
    fn a_file_has_the_hash_that_sha256sum_prints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // The test vector of FIPS 180-2.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_file(&path).unwrap(), expected);
        assert_eq!(of("abc"), expected);
        let message = of_file(&folder.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("none"), "{message}");
    }
}
