//! How much room a disk has.

use std::path::{self, Path, PathBuf};

/// Bytes that this user may still write to the disk of a folder; of one that does not exist yet, to that of the nearest one
/// that does. None where the system does not say.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(nearest(folder)?).ok()?;
    Some(disk.f_bavail * disk.f_frsize)
}

/// Whether two folders, or those nearest to them that exist, are on one disk. Where the system does not say, they are.
pub fn are_on_one_disk(one: &Path, other: &Path) -> bool {
    let disk = |folder: &Path| {
        let found = rustix::fs::stat(nearest(folder)?).ok()?;
        Some(found.st_dev)
    };
    match (disk(one), disk(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    }
}

/// The folder, or the nearest one around it that exists.
fn nearest(folder: &Path) -> Option<PathBuf> {
    let folder = path::absolute(folder).ok()?;
    let mut around = folder.ancestors();
    around.find(|folder| folder.exists()).map(Path::to_path_buf)
}
