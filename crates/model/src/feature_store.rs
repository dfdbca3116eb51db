//! Features of images on disk: what a frozen tower gives of an image is computed once, for all runs and all their resumes.
//!
//! Below a root folder there is a folder for each tower, named by the hash of all that decides what the tower gives, and in it
//! files that are named by what is in them ([`shard`]). An image is known by the SHA-256 of its file. Where even the last bits
//! must not depend on what else a run looks at, as on a CPU, the images that share its pass through the tower are a part of its
//! key: what else is in a product of matrices may decide how the product is rounded. A pass is then kept as a whole, and found
//! by whoever makes the same pass again: a resume, or another run on the same data.
//!
//! Any number of processes may share a root. Files are written beside and renamed, and checked by their hash whenever they
//! are read. When there is no room, those go first whose last use is longest ago, but none that a living process may be using:
//! each marks what it uses by the file's time, and says by a locked file since when it runs ([`in_use`]).

mod in_use;
mod shard;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use candor_data::sha256;

pub(crate) use self::in_use::InUse;
pub(crate) use self::shard::Entry;
use crate::image_features::path_in;
use crate::{Features, ModelError};

/// What files of features end with.
const ENDING: &str = "safetensors";

/// The features that one tower gave, as a process sees them.
#[derive(Debug)]
pub struct FeatureStore {
    root: PathBuf,
    /// Of the tower.
    folder: PathBuf,
    /// That all files below the root may have together.
    max_bytes: u64,
    /// Whether images that share a pass are a part of each other's keys.
    of_passes: bool,
    in_use: InUse,
    known: RefCell<HashMap<String, Entry>>,
    /// Of images' files, by name.
    hashes: RefCell<HashMap<String, String>>,
    /// Files whose time says that they are used.
    marked: RefCell<HashSet<PathBuf>>,
}

impl FeatureStore {
    /// Opens what there is below `root` of the tower that `seen_by` is the fingerprint of, in lower-case hexadecimal; nothing
    /// need be there. All files below the root may take `max_bytes`. With `of_passes` the features of an image are found by
    /// those alone who look at it together with the same other images.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(
        root: &Path,
        seen_by: &str,
        max_bytes: u64,
        of_passes: bool,
    ) -> Result<Self, ModelError> {
        let folder = root.join(seen_by);
        fs::create_dir_all(&folder).map_err(ModelError::io("create", &folder))?;
        let store = Self {
            in_use: InUse::begin(root)?,
            root: root.to_owned(),
            folder,
            max_bytes,
            of_passes,
            known: RefCell::default(),
            hashes: RefCell::default(),
            marked: RefCell::default(),
        };
        for path in files(&store.folder)? {
            match shard::open(&path) {
                Ok(entries) => store.known.borrow_mut().extend(entries),
                // Another process may have taken it away meanwhile.
                Err(_) if !path.exists() => {}
                Err(error) => store.forget(&path, &error),
            }
        }
        Ok(store)
    }

    /// What keeps others from taking away what this process uses.
    pub(crate) fn into_in_use(self) -> InUse {
        self.in_use
    }

    /// The features of the images of a pass, in their order: those that are kept are read, and what `encode` makes of the
    /// others is kept.
    ///
    /// # Errors
    /// An image cannot be read, or `encode` failed; or there is no room.
    pub(crate) fn features(
        &self,
        images: &Path,
        pass: &[String],
        encode: impl FnOnce(&[String]) -> Result<Vec<Features>, ModelError>,
    ) -> Result<Vec<Features>, ModelError> {
        let keys = self.keys(images, pass)?;
        let mut found: Vec<Option<Features>> = keys.iter().map(|key| self.read(key)).collect();
        let mut places: Vec<usize> = (0..pass.len()).collect();
        if found.iter().all(Option::is_some) {
            return Ok(found.into_iter().flatten().collect());
        }
        if !self.of_passes {
            places.retain(|&at| found[at].is_none());
        }
        let names: Vec<String> = places.iter().map(|&at| pass[at].clone()).collect();
        for (at, features) in places.into_iter().zip(encode(&names)?) {
            found[at] = Some(features);
        }
        let found: Vec<Features> = found.into_iter().flatten().collect();
        self.add(&keys, &found)?;
        Ok(found)
    }

    /// Where the features of the images of a pass are kept, in their order; those that are not yet are kept now.
    ///
    /// # Errors
    /// An image cannot be read, or there is no room.
    pub(crate) fn keep(
        &self,
        images: &Path,
        pass: &[String],
        features: &[Features],
    ) -> Result<Vec<Entry>, ModelError> {
        let keys = self.keys(images, pass)?;
        self.add(&keys, features)?;
        let known = self.known.borrow();
        Ok(keys.iter().map(|key| known[key].clone()).collect())
    }

    /// What the features of the images of a pass are known by.
    fn keys(&self, images: &Path, pass: &[String]) -> Result<Vec<String>, ModelError> {
        let hashes = pass.iter().map(|name| self.hash(images, name));
        let hashes = hashes.collect::<Result<Vec<String>, _>>()?;
        if !self.of_passes {
            return Ok(hashes);
        }
        let of_pass = sha256::of_bytes(&hashes);
        let places = 0..hashes.len();
        Ok(places
            .map(|at| sha256::of(format!("{of_pass} {at}")))
            .collect())
    }

    fn hash(&self, images: &Path, name: &str) -> Result<String, ModelError> {
        if let Some(hash) = self.hashes.borrow().get(name) {
            return Ok(hash.clone());
        }
        let hash = sha256::of_file(&path_in(images, name)?)?;
        self.hashes
            .borrow_mut()
            .insert(name.to_owned(), hash.clone());
        Ok(hash)
    }

    /// What is kept under a key; none if nothing is, or what is there is damaged.
    fn read(&self, key: &str) -> Option<Features> {
        let entry = self.known.borrow().get(key).cloned()?;
        match entry.read() {
            Ok(features) => {
                self.mark(entry.path());
                Some(features)
            }
            Err(error) => {
                self.forget(entry.path(), &error);
                None
            }
        }
    }

    /// Keeps what is not kept yet.
    fn add(&self, keys: &[String], features: &[Features]) -> Result<(), ModelError> {
        let new: BTreeMap<&str, &Features> = {
            let known = self.known.borrow();
            let all = keys.iter().map(String::as_str).zip(features);
            all.filter(|(key, _)| !known.contains_key(*key)).collect()
        };
        if new.is_empty() {
            return Ok(());
        }
        let name = sha256::of_bytes(new.keys());
        let path = self.folder.join(name).with_extension(ENDING);
        let entries = if let Some(entries) = self.just_written(&path) {
            entries
        } else {
            self.make_room(shard::n_bytes(&new))?;
            shard::write(&path, &new)?;
            shard::open(&path)?
        };
        self.mark(&path);
        self.known.borrow_mut().extend(entries);
        Ok(())
    }

    /// What is in a file that another rank has written since this process began.
    fn just_written(&self, path: &Path) -> Option<BTreeMap<String, Entry>> {
        let time = fs::metadata(path).and_then(|found| found.modified()).ok()?;
        if time < self.in_use.since() {
            return None;
        }
        shard::open(path).ok()
    }

    /// Says by the file's time that it is used.
    fn mark(&self, path: &Path) {
        if self.marked.borrow_mut().insert(path.to_owned()) {
            // Where it cannot be changed nobody else can take it away either.
            let file = File::options().write(true).open(path);
            let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
        }
    }

    /// Says that a file is damaged, after which its images are encoded again.
    fn forget(&self, path: &Path, error: &ModelError) {
        tracing::warn!("{error}; its images are encoded again");
        self.known
            .borrow_mut()
            .retain(|_, entry| entry.path() != path);
        self.marked.borrow_mut().remove(path);
        // Others may read what is whole of it.
        if self.in_use.is_alone() {
            let _ = fs::remove_file(path);
        }
    }

    /// Takes away what was used longest ago, until there is room for so many bytes more.
    fn make_room(&self, n_bytes: u64) -> Result<(), ModelError> {
        let mut all = Vec::new();
        for folder in entries(&self.root)?
            .into_iter()
            .filter(|path| path.is_dir())
        {
            for path in files(&folder)? {
                // What is gone takes no room.
                if let Ok(found) = fs::metadata(&path) {
                    let used = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    all.push((used, found.len(), path));
                }
            }
        }
        all.sort();
        let mut total: u64 = all.iter().map(|(_, size, _)| size).sum();
        let since = self.in_use.since_first();
        for (used, size, path) in all {
            if total + n_bytes <= self.max_bytes || used >= since {
                break;
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ModelError::io("remove", &path)(error));
                }
                _ => {}
            }
            total -= size;
        }
        if total + n_bytes <= self.max_bytes {
            return Ok(());
        }
        Err(ModelError::NoRoomForFeatures {
            folder: self.root.clone(),
            in_use: total,
            max_bytes: self.max_bytes,
        })
    }
}

/// The paths in a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let entries = folder
        .read_dir()
        .map_err(ModelError::io("list", folder))?
        .flatten();
    Ok(entries.map(|entry| entry.path()).collect())
}

/// The files of features in a tower's folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let mut paths = entries(folder)?;
    // Those that are being written have other names.
    paths.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
