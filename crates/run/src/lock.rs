//! One process at a time in a folder.

use std::fs::{OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use candor_data::Locked;

use crate::error::RunError;

/// Takes a folder by the file `.lock` in it, which says who holds it, until what is returned is dropped or this process ends.
///
/// # Errors
/// Another process holds it ([`RunError::RunLocked`]), or the file cannot be written.
pub fn lock(dir: &Path) -> Result<Locked, RunError> {
    let path = dir.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(RunError::io("open", &path))?;
    let mut file = match Locked::now(file) {
        Ok(file) => file,
        Err((file, TryLockError::WouldBlock)) => {
            let mut process = String::new();
            // The name of the holder is a courtesy; without it the message still says what to do.
            let _ = file.take(20).read_to_string(&mut process);
            return Err(RunError::RunLocked {
                dir: dir.to_path_buf(),
                holder: if process.is_empty() {
                    "another process".to_owned()
                } else {
                    format!("process {process}")
                },
            });
        }
        Err((_, TryLockError::Error(error))) => return Err(RunError::io("lock", &path)(error)),
    };
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(std::process::id().to_string().as_bytes()))
        .map_err(RunError::io("write", &path))?;
    Ok(file)
}
