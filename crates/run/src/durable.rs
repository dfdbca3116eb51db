//! Steps that survive a power cut: synced files, synced folders, renames.
//!
//! A rename is durable only once the folder that holds the name is synced, and it must not come before the
//! data it names: hence the order file, folder, rename, parent folder everywhere in this crate. Single files
//! are `candor_data::atomic`'s; this is for folders.

use std::error::Error as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::RunError;

/// Syncs a folder's own entries.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), RunError> {
    File::open(dir)
        .and_then(|folder| folder.sync_all())
        .map_err(RunError::io("sync", dir))
}

/// Renames and makes the new name durable.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), RunError> {
    fs::rename(from, to).map_err(RunError::io("rename", from))?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Syncs every file and folder below `dir`, and `dir` itself.
pub(crate) fn sync_tree(dir: &Path) -> Result<(), RunError> {
    for path in entries(dir)? {
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(RunError::io("sync", &path))?;
        }
    }
    sync_dir(dir)
}

/// The paths directly inside `dir`, sorted.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>, RunError> {
    let mut paths = fs::read_dir(dir)
        .map_err(RunError::io("read", dir))?
        .map(|entry| entry.map(|e| e.path()).map_err(RunError::io("read", dir)))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

/// Removes a folder and all in it, if it is there.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), RunError> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(RunError::io("remove", dir))?;
    }
    Ok(())
}

/// Removes a folder that nothing needs any more. Where that fails, it stays and is told: on NFS a folder cannot go while somebody reads
/// a file in it, and no run should end because of that.
pub(crate) fn discard_dir(dir: &Path) {
    if let Err(error) = remove_dir(dir) {
        let why = error.source().map(ToString::to_string);
        tracing::warn!(
            "{} stays where it is, although nothing needs it any more: {}",
            dir.display(),
            why.unwrap_or_default()
        );
    }
}

/// Creates a folder with its parents.
pub(crate) fn create_dir(dir: &Path) -> Result<(), RunError> {
    fs::create_dir_all(dir).map_err(RunError::io("create", dir))
}
