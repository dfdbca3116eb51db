//! Finding the files of a checkpoint, and reading their tensors by name.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::format::{self, Format};
use crate::quote::quote;
use crate::{CheckpointError, Entry, index, safetensors, torch_file};

/// What a model's weights are called in a folder; the first that exists counts. One file comes before an index, as in
/// transformers: who saves a model as one file where it was in shards takes these away there, and leaves their index.
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];
const RESHARD: &str =
    "index and shards must come from the same export; download or export them again";

/// A checkpoint whose headers have been read and checked. Its files stay open.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Placed>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    file: File,
}

#[derive(Debug)]
struct Placed {
    shard: usize,
    entry: Entry,
}

impl Checkpoint {
    /// Opens a file, an index of shards (`*.index.json`), or a folder with the weights of a model: in it
    /// `model.safetensors`, `model.safetensors.index.json`, `pytorch_model.bin` and
    /// `pytorch_model.bin.index.json` are looked for in this order. What a file is, is decided by its content.
    ///
    /// # Errors
    /// There is no such file, or it is damaged, contradicts its index, or is nothing that this crate reads.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        if path.is_dir() {
            return Self::open_first(path, &WEIGHTS);
        }
        let is_index = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().ends_with(index::SUFFIX));
        let mut checkpoint = Self {
            path: path.to_path_buf(),
            shards: Vec::new(),
            tensors: BTreeMap::new(),
        };
        if is_index {
            checkpoint.add_indexed(path)?;
        } else {
            checkpoint.add_shard(path)?;
        }
        if checkpoint.tensors.is_empty() {
            return Err(CheckpointError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(checkpoint)
    }

    /// Whether a folder has what the weights of a model are called.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        let mut paths = WEIGHTS.iter().map(|name| folder.join(name));
        paths.any(|path| path.symlink_metadata().is_ok())
    }

    /// Opens the first of `names` that exists in `folder`, for instance `adapter_model.safetensors` or else
    /// `adapter_model.bin`. An index is recognised by its name, `*.index.json`.
    ///
    /// # Errors
    /// None of them exists, or the first is unusable; see [`Checkpoint::open`].
    pub fn open_first(folder: &Path, names: &[&str]) -> Result<Self, CheckpointError> {
        let mut paths = names.iter().map(|name| folder.join(name));
        // A link that leads nowhere is an error of its own and not a reason to look on.
        match paths.find(|path| path.symlink_metadata().is_ok()) {
            Some(path) if path.is_dir() => {
                let problem = "a folder where a file was looked for";
                Err(CheckpointError::file(&path, problem, format::GIVE))
            }
            Some(path) => Self::open(path),
            None => Err(CheckpointError::NotFound {
                folder: folder.to_path_buf(),
                looked_for: names.join(", "),
            }),
        }
    }

    /// The file or index that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensor called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.tensors.get(name).map(|placed| &placed.entry)
    }

    /// The file in which the tensor called `name` is: a shard, or the only file.
    #[must_use]
    pub fn file_of(&self, name: &str) -> Option<&Path> {
        let placed = self.tensors.get(name)?;
        Some(&self.shards[placed.shard].path)
    }

    /// All tensors by name.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Entry)> {
        self.tensors
            .iter()
            .map(|(name, placed)| (name.as_str(), &placed.entry))
    }

    /// All tensors in the order in which they lie in the files, one file after the other: the fastest to read.
    #[must_use]
    pub fn in_file_order(&self) -> Vec<(&str, &Entry)> {
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|(_, placed)| (placed.shard, placed.entry.offset()));
        tensors
            .into_iter()
            .map(|(name, placed)| (name.as_str(), &placed.entry))
            .collect()
    }

    /// Replaces the content of `bytes` by the tensor `name`: its elements in row-major order, little-endian.
    /// One buffer for all tensors grows to the largest of them.
    ///
    /// # Errors
    /// There is no such tensor, no memory for it, or its file cannot be read.
    pub fn read(&self, name: &str, bytes: &mut Vec<u8>) -> Result<(), CheckpointError> {
        let (shard, entry) = self.find(name)?;
        bytes.clear();
        usize::try_from(entry.n_bytes())
            .ok()
            .filter(|&n| bytes.try_reserve_exact(n).is_ok())
            .ok_or_else(|| {
                let problem = format!("takes {} bytes, more than can be had", entry.n_bytes());
                CheckpointError::tensor(&shard.path, name, problem, "free memory")
            })?;
        bytes.resize(entry.n_bytes() as usize, 0);
        self.read_into(name, bytes)
    }

    /// Fills `bytes` with the tensor `name`, as [`Checkpoint::read`] does.
    ///
    /// # Errors
    /// There is no such tensor, it has another number of bytes, or its file cannot be read.
    pub fn read_into(&self, name: &str, bytes: &mut [u8]) -> Result<(), CheckpointError> {
        let (shard, entry) = self.find(name)?;
        if bytes.len() as u64 != entry.n_bytes() {
            let (n, room) = (entry.n_bytes(), bytes.len());
            let problem = format!("has {n} bytes, there is room for {room}");
            return Err(CheckpointError::tensor(
                &shard.path,
                name,
                problem,
                "give a buffer of its size",
            ));
        }
        entry
            .read_from(&shard.file, bytes)
            .map_err(CheckpointError::io("read", &shard.path))
    }

    fn find(&self, name: &str) -> Result<(&Shard, &Entry), CheckpointError> {
        match self.tensors.get(name) {
            Some(placed) => Ok((&self.shards[placed.shard], &placed.entry)),
            None => Err(CheckpointError::tensor(
                &self.path,
                name,
                "is missing",
                "check that the checkpoint is of the kind of model that is expected",
            )),
        }
    }

    /// Adds all shards of the index at `path`, which must hold exactly what it says.
    fn add_indexed(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let weight_map = index::read(path)?.weight_map;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut shards: Vec<_> = weight_map.values().collect();
        shards.sort_unstable();
        shards.dedup();
        for shard in shards {
            let shard_path = folder.join(shard);
            if !shard_path.exists() {
                let problem = format!("the index names {}, which does not exist", quote(shard));
                let remedy = "download or copy all shards into the folder of the index";
                return Err(CheckpointError::file(path, problem, remedy));
            }
            self.add_shard(&shard_path)?;
        }
        for (name, placed) in &self.tensors {
            let actual = &self.shards[placed.shard].path;
            let problem = match weight_map.get(name) {
                Some(shard) if folder.join(shard) == *actual => continue,
                Some(shard) => format!("should be in {} by the index", quote(shard)),
                None => "is in the shard and not in the index".to_owned(),
            };
            return Err(CheckpointError::tensor(actual, name, problem, RESHARD));
        }
        let missing = weight_map
            .iter()
            .find(|(name, _)| !self.tensors.contains_key(*name));
        if let Some((name, shard)) = missing {
            let problem = "is promised by the index and not in the shard";
            return Err(CheckpointError::tensor(
                &folder.join(shard),
                name,
                problem,
                RESHARD,
            ));
        }
        Ok(())
    }

    /// Adds all tensors of the file at `path`.
    fn add_shard(&mut self, path: &Path) -> Result<(), CheckpointError> {
        // Opening a pipe would wait for its other end.
        let facts = fs::metadata(path).map_err(CheckpointError::io("open", path))?;
        if !facts.is_file() {
            return Err(CheckpointError::file(path, "no regular file", format::GIVE));
        }
        let file = File::open(path).map_err(CheckpointError::io("open", path))?;
        let entries = match Format::of(path, &file, facts.len())? {
            Format::Safetensors => safetensors::entries(path, &file)?,
            Format::Torch => torch_file::entries(path, &file)?,
        };
        let shard = self.shards.len();
        for (name, entry) in entries {
            if let Some(first) = self.tensors.get(&name) {
                let problem = format!("is also in {}", self.shards[first.shard].path.display());
                return Err(CheckpointError::tensor(path, &name, problem, RESHARD));
            }
            self.tensors.insert(name, Placed { shard, entry });
        }
        self.shards.push(Shard {
            path: path.to_path_buf(),
            file,
        });
        Ok(())
    }
}
