//! Locks of files that are free the moment that they are let go.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::{Deref, DerefMut};

/// An open file that only this holder has locked, until it is dropped or the process ends.
///
/// The lock belongs to the open file, of which a process that is being started holds a copy until it becomes its program. Closing
/// the file would therefore leave it locked for a moment wherever another thread starts a process; this unlocks it first.
#[derive(Debug)]
pub struct Locked(File);

impl Locked {
    /// Locks a file without waiting.
    ///
    /// # Errors
    /// Another holder has it ([`TryLockError::WouldBlock`]), or its file system refuses.
    pub fn now(file: File) -> Result<Self, (File, TryLockError)> {
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(error) => Err((file, error)),
        }
    }

    /// Locks a file as soon as nobody else has it.
    ///
    /// # Errors
    /// Its file system refuses.
    pub fn wait(file: File) -> io::Result<Self> {
        file.lock()?;
        Ok(Self(file))
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Where it fails, closing the file is what is left.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_open_file_does_not_keep_it_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let held = Locked::now(File::create(&path).unwrap()).unwrap();
        // What a process that is being started has.
        let _copy = held.try_clone().unwrap();
        let (_, error) = Locked::now(File::open(&path).unwrap()).unwrap_err();
        assert!(matches!(error, TryLockError::WouldBlock), "{error}");
        drop(held);
        Locked::now(File::open(&path).unwrap()).unwrap();
    }
}
