//! One demo at a time in a folder: two would write the same files.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::Context as _;

/// Takes a folder, which is made if there is none, until what is returned is dropped or this process ends.
pub fn take(out: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let path = out.join(".lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            // Who holds it is a courtesy; without it the message still says what to do.
            let _ = file.take(20).read_to_string(&mut process);
            anyhow::bail!(
                "{} is in use by {}; wait until that ends, or give another --out",
                out.display(),
                if process.is_empty() {
                    "another demo".to_owned()
                } else {
                    format!("the demo of process {process}")
                }
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    let process = std::process::id().to_string();
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(process.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_is_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("demo");
        let first = take(&out).unwrap();
        let error = take(&out).unwrap_err().to_string();
        let process = std::process::id();
        let expected = format!(
            "{} is in use by the demo of process {process}; wait until that ends, or give another --out",
            out.display()
        );
        assert_eq!(error, expected);
        drop(first);
        take(&out).unwrap();
    }
}
