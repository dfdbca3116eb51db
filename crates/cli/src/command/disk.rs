//! How much room a disk has.

use std::path::Path;

/// Bytes that this user may still write to the disk of a folder; of one that does not exist yet, to that of the nearest one
/// that does. None where the system does not say.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let disk = rustix::fs::statvfs(there).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}
