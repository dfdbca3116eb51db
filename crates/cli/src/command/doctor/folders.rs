//! The folders that candor keeps things in, and the memory of the host.

use std::fs;
use std::path::Path;

use candor_model::hub;
use candor_train::{cache_folder, features_folder};
use serde::Serialize;

use super::Advice;
use crate::command::disk::free_bytes;

/// A folder of downloads.
#[derive(Debug, Serialize)]
pub struct Folder {
    /// What is in it.
    pub what: &'static str,
    /// Where it is.
    pub path: String,
    /// Bytes of the files in it; none where it does not exist.
    pub used_bytes: Option<u64>,
    /// Bytes that its disk has free for this user.
    pub free_bytes: Option<u64>,
}

/// The folders, and what is missing for there to be all of them.
pub fn folders() -> (Vec<Folder>, Option<Advice>) {
    let both = [
        ("libtorch and tools", cache_folder()),
        ("models", hub::cache_folder()),
    ];
    let n = both.len();
    let mut found: Vec<Folder> = both
        .into_iter()
        .filter_map(|(what, path)| Some(Folder::of(what, &path?)))
        .collect();
    let is_missing = found.len() < n;
    // Where features are not kept on disk, nothing is missing.
    found.extend(features_folder().map(|path| Folder::of("image features", &path)));
    let missing = is_missing.then(|| Advice {
        what: "neither HOME nor XDG_CACHE_HOME is set, so nothing can be downloaded".to_owned(),
        remedy: "set HOME, or HF_HOME for models".to_owned(),
    });
    (found, missing)
}

impl Folder {
    fn of(what: &'static str, path: &Path) -> Self {
        Self {
            what,
            path: path.display().to_string(),
            used_bytes: path.exists().then(|| used(path)),
            free_bytes: free_bytes(path),
        }
    }
}

/// Bytes of the files in a folder and below; links count nothing, for the cache of models holds each file once and links to
/// it. What cannot be read is passed over.
fn used(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => used(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |found| found.len()),
            _ => 0,
        })
        .sum()
}

/// Bytes of the host's memory, and how many of them are free for programs, as Linux says.
pub fn host_memory() -> [Option<u64>; 2] {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    ["MemTotal", "MemAvailable"].map(|field| kilobytes(&text, field).map(|n| n * 1024))
}

fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_account() {
        let text =
            "MemTotal:       16303412 kB\nMemFree:          512 kB\nMemAvailable:    8000000 kB\n";
        assert_eq!(kilobytes(text, "MemTotal"), Some(16_303_412));
        assert_eq!(kilobytes(text, "MemAvailable"), Some(8_000_000));
        assert_eq!(kilobytes(text, "Mem"), None);
    }

    #[test]
    fn a_folders_files_count_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), [0; 1000]).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(dir.path().join("a/b/file"), dir.path().join("a/link")).unwrap();
        let found = Folder::of("things", dir.path());
        assert_eq!(found.used_bytes, Some(1000));
        assert!(found.free_bytes.is_some());
        let absent = Folder::of("things", &dir.path().join("not/there"));
        assert_eq!(absent.used_bytes, None);
        assert!(absent.free_bytes.is_some());
    }
}
