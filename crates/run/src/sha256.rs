//! SHA-256 of bytes and files, in lower-case hexadecimal.
//!
//! Byte strings are hashed with their borders: moving a byte from one to the next changes the hash. A file's is the
//! plain hash that `sha256sum` prints.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::error::RunError;

/// Of byte strings in this order.
#[must_use]
pub fn of_bytes(parts: impl IntoIterator<Item = Vec<u8>>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(&part);
    }
    hexadecimal(hash)
}

/// Of a file, read piece by piece.
///
/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> Result<String, RunError> {
    hash_file(path).map_err(RunError::io("read", path))
}

/// [`of_file`] with the system's own error.
pub(crate) fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hexadecimal(hash));
        }
        hash.update(&buffer[..n]);
    }
}

fn hexadecimal(hash: Sha256) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash.finalize() {
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
        let of = |parts: &[&str]| of_bytes(parts.iter().map(|part| part.as_bytes().to_vec()));
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ab", ""]));
    }

    #[test]
    fn a_file_has_the_hash_that_sha256sum_prints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // The test vector of FIPS 180-2.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_file(&path).unwrap(), expected);
        let message = of_file(&folder.path().join("none"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("none"), "{message}");
    }
}
