//! Features of images on disk: what a frozen tower gives of an image is computed once, for all runs and all their resumes.
//!
//! Below a root folder there is a folder for each tower, named by the hash of all that decides what the tower gives, and in it
//! files that are named by what is in them, keys and features ([`shard`]). An image is known by the SHA-256 of its file. Where
//! even the last bits must not depend on what else a run looks at, as on a CPU, the images that share its pass through the tower
//! are a part of its key: what else is in a product of matrices may decide how the product is rounded. A pass is then kept as a
//! whole, and found by whoever makes the same pass again: a resume, or another run on the same data.
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
    /// Keys of the known whose features this process has read or had itself, be the file with them its own or another process's
    /// whose name says that the same is in it.
    checked: RefCell<HashSet<String>>,
    /// Of images' files, by name.
    hashes: RefCell<HashMap<String, String>>,
    /// Files whose time says that they are used.
    marked: RefCell<HashSet<PathBuf>>,
    /// Files that this process found damaged and has not written anew.
    damaged: RefCell<HashSet<PathBuf>>,
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
            checked: RefCell::default(),
            hashes: RefCell::default(),
            marked: RefCell::default(),
            damaged: RefCell::default(),
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
                self.checked.borrow_mut().insert(key.to_owned());
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
        let all = keys.iter().map(String::as_str).zip(features);
        let new: BTreeMap<&str, &Features> = all.filter(|(key, of)| !self.holds(key, of)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let hashes = shard::hashes(&self.folder, &new)?;
        let named = hashes.iter().flat_map(|(key, hash)| [*key, hash.as_str()]);
        let name = sha256::of_bytes(named);
        let path = self.folder.join(name).with_extension(ENDING);
        let entries = if let Some(entries) = self.written(&path) {
            entries
        } else {
            self.make_room(shard::n_bytes(&new))?;
            shard::write(&path, &new, &hashes)?;
            self.damaged.borrow_mut().remove(&path);
            shard::open(&path)?
        };
        self.mark(&path);
        let new = new.into_keys().map(str::to_owned);
        self.checked.borrow_mut().extend(new);
        self.known.borrow_mut().extend(entries);
        Ok(())
    }

    /// Whether just these features are kept under a key, in a file that is then marked as used. Of files that this process has
    /// not read, what was noted when they were written is believed.
    fn holds(&self, key: &str, features: &Features) -> bool {
        let known = self.known.borrow();
        known.get(key).is_some_and(|entry| {
            let is_same = self.checked.borrow().contains(key) || entry.is_of(features);
            is_same && self.mark(entry.path())
        })
    }

    /// What is in a file that another process has written: its name says that it is the same. None if it was found damaged.
    fn written(&self, path: &Path) -> Option<BTreeMap<String, Entry>> {
        if self.damaged.borrow().contains(path) {
            return None;
        }
        shard::open(path).ok()
    }

    /// Says by the file's time that it is used; false if there is no such file any more.
    fn mark(&self, path: &Path) -> bool {
        if self.marked.borrow().contains(path) {
            return true;
        }
        match File::options().write(true).open(path) {
            Ok(file) => {
                let now = SystemTime::now();
                let time = file.metadata().and_then(|found| found.modified());
                // A machine whose clock is ahead may have marked it, and counts on that.
                if time.is_ok_and(|time| time < now) {
                    let _ = file.set_modified(now);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return false,
            // What cannot be opened so is another user's.
            Err(_) => {}
        }
        self.marked.borrow_mut().insert(path.to_owned());
        true
    }

    /// Says that a file is damaged, after which its images are encoded again, and the file is written anew if they give the same.
    fn forget(&self, path: &Path, error: &ModelError) {
        tracing::warn!("{error}; its images are encoded again");
        let mut known = self.known.borrow_mut();
        known.retain(|_, entry| entry.path() != path);
        let mut checked = self.checked.borrow_mut();
        checked.retain(|key| known.contains_key(key));
        self.marked.borrow_mut().remove(path);
        self.damaged.borrow_mut().insert(path.to_owned());
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
            unasked: self.in_use.unasked(),
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
