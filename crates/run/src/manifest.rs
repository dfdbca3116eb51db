//! The list of a checkpoint's files with their sizes and SHA-256 hashes.
//!
//! A checkpoint is whole exactly if its manifest is. The manifest itself has no hash; instead its bytes must
//! be the canonical form of what they say, so that any single changed byte is either not canonical, or
//! changes a step, name, size or hash, which is then found to disagree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candor_data::sha256;
use serde::{Deserialize, Serialize};

use crate::durable;
use crate::error::{Damage, RunError};

/// The manifest's name inside a checkpoint.
pub const MANIFEST: &str = "manifest.json";
const FORMAT: &str = "candor-checkpoint-1";
/// A manifest lists files by name; even a sharded model has only thousands.
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// Size and hash of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Length in bytes.
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256 of the content.
    pub sha256: String,
}

/// What a checkpoint consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    /// The step after which the checkpoint was taken.
    pub step: u64,
    /// Every other file of the checkpoint, by its path inside with `/` between folders.
    pub files: BTreeMap<String, FileEntry>,
}

impl Manifest {
    /// Hashes every file below `dir`.
    ///
    /// # Errors
    /// A file cannot be read, or has a name that is not UTF-8.
    pub fn of_folder(dir: &Path, step: u64) -> Result<Self, RunError> {
        let mut files = BTreeMap::new();
        collect(dir, dir, &mut files)?;
        Ok(Self {
            format: FORMAT.to_owned(),
            step,
            files,
        })
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, integers and string keys: nothing in here can fail to serialise.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Reads the manifest of `dir` and checks every file it lists.
    ///
    /// # Errors
    /// The first damage found: which file, and how it differs.
    pub fn verify(dir: &Path, step: u64) -> Result<Self, Damage> {
        let manifest = Self::read(dir)?;
        let path = dir.join(MANIFEST);
        if manifest.format != FORMAT {
            let problem = format!("format `{}`, expected `{FORMAT}`", manifest.format);
            return Err(damage(&path, problem));
        }
        if manifest.step != step {
            let problem = format!("names step {}, the folder step {step}", manifest.step);
            return Err(damage(&path, problem));
        }
        for (name, expected) in &manifest.files {
            verify_file(&dir.join(name), expected)?;
        }
        Ok(manifest)
    }

    fn read(dir: &Path) -> Result<Self, Damage> {
        let path = dir.join(MANIFEST);
        let length = fs::metadata(&path).map_err(|error| damage(&path, error.to_string()))?;
        if length.len() > MAX_MANIFEST_BYTES {
            return Err(damage(&path, format!("{} bytes long", length.len())));
        }
        let bytes = fs::read(&path).map_err(|error| damage(&path, error.to_string()))?;
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|error| damage(&path, error.to_string()))?;
        if manifest.to_bytes() != bytes {
            return Err(damage(&path, "not in the form it was written in"));
        }
        Ok(manifest)
    }
}

fn verify_file(path: &Path, expected: &FileEntry) -> Result<(), Damage> {
    let bytes = fs::metadata(path)
        .map_err(|error| damage(path, error.to_string()))?
        .len();
    if bytes != expected.bytes {
        let problem = format!("{bytes} bytes, the manifest says {}", expected.bytes);
        return Err(damage(path, problem));
    }
    let sha256 = sha256::of_file(path).map_err(|error| damage(path, error.to_string()))?;
    if sha256 != expected.sha256 {
        let problem = format!("sha256 {sha256}, the manifest says {}", expected.sha256);
        return Err(damage(path, problem));
    }
    Ok(())
}

fn collect(
    root: &Path,
    dir: &Path,
    files: &mut BTreeMap<String, FileEntry>,
) -> Result<(), RunError> {
    for path in durable::entries(dir)? {
        if path.is_dir() {
            collect(root, &path, files)?;
            continue;
        }
        let bytes = fs::metadata(&path)
            .map_err(RunError::io("inspect", &path))?
            .len();
        let sha256 = sha256::of_file(&path)?;
        files.insert(relative_name(root, &path)?, FileEntry { bytes, sha256 });
    }
    Ok(())
}

fn relative_name(root: &Path, path: &Path) -> Result<String, RunError> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Option<Vec<&str>> = relative.iter().map(std::ffi::OsStr::to_str).collect();
    parts
        .map(|parts| parts.join("/"))
        .ok_or_else(|| RunError::Checkpoint {
            path: path.to_path_buf(),
            problem: "the file name is not UTF-8".to_owned(),
            remedy: "rename it",
        })
}

fn damage(file: &Path, problem: impl Into<String>) -> Damage {
    Damage {
        file: PathBuf::from(file),
        problem: problem.into(),
    }
}
