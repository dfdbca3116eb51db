//! Hugging Face's hub: one client for models and sets, whose files arrive whole or not at all.

use std::path::{Path, PathBuf};
use std::{env, fs, io, iter};

use anyhow::{Context as _, bail, ensure};
use candor_data::sha256;
use candor_model::hub::{self, Named};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, CacheRepo, Repo, RepoType};
use serde::Deserialize;

/// What is tried before a connection that breaks is given up.
const RETRIES: usize = 5;

/// The list of the files of a repository may have this many bytes; those of a hundred thousand files have 20 MB.
const MAX_LISTING_BYTES: u64 = 64 << 20;

/// What a repository holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A model.
    Model,
    /// A set of data.
    Set,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Set => "set",
        }
    }

    fn repository(self, named: &Named) -> Repo {
        let kind = match self {
            Self::Model => RepoType::Model,
            Self::Set => RepoType::Dataset,
        };
        Repo::with_revision(named.repository.clone(), kind, named.revision.clone())
    }
}

/// What the hub says of a repository.
#[derive(Debug, Deserialize)]
pub struct Listing {
    /// The commit.
    pub sha: String,
    /// Its files.
    pub siblings: Vec<Listed>,
    /// Words about it, of which some say the licence.
    #[serde(default)]
    tags: Vec<String>,
}

/// A file of a repository.
#[derive(Debug, Deserialize)]
pub struct Listed {
    /// Its path in the repository.
    #[serde(rename = "rfilename")]
    pub name: String,
    /// Its size.
    #[serde(default)]
    pub size: Option<u64>,
    #[serde(default)]
    lfs: Option<Lfs>,
}

/// What is known of a file that Git keeps elsewhere.
#[derive(Debug, Deserialize)]
struct Lfs {
    sha256: String,
}

impl Listing {
    /// The licences that the hub says the repository is under.
    pub fn licences(&self) -> Vec<&str> {
        let said = self.tags.iter().map(String::as_str);
        said.filter_map(|tag| tag.strip_prefix("license:"))
            .collect()
    }
}

impl Listed {
    /// SHA-256 of a large file, which alone has one.
    pub fn sha256(&self) -> Option<&str> {
        self.lfs.as_ref().map(|lfs| lfs.sha256.as_str())
    }
}

/// Who asks for the files of one repository.
pub struct Client {
    kind: Kind,
    folder: PathBuf,
    revision: String,
    cached: CacheRepo,
    repository: ApiRepo,
}

impl Client {
    /// For a repository. `HF_ENDPOINT`, `HF_TOKEN` and `HF_HUB_OFFLINE` count, and what [`hub::cache_folder`] reads.
    ///
    /// # Errors
    /// There is no place for files, or the network is not to be asked.
    pub fn open(named: &Named, kind: Kind) -> anyhow::Result<Self> {
        let folder = hub::cache_folder()
            .context("HOME is not set; say in HF_HOME where models and sets are kept")?;
        ensure!(
            !is_offline(),
            "HF_HUB_OFFLINE is set, so nothing is downloaded; unset it"
        );
        let mut builder = ApiBuilder::from_env()
            .with_cache_dir(folder.clone())
            .with_retries(RETRIES);
        if let Some(token) = env::var("HF_TOKEN").ok().filter(|token| !token.is_empty()) {
            builder = builder.with_token(Some(token));
        }
        let repository = kind.repository(named);
        Ok(Self {
            kind,
            cached: Cache::new(folder.clone()).repo(repository.clone()),
            folder,
            revision: named.revision.clone(),
            repository: builder.build()?.repo(repository),
        })
    }

    /// The cache that files go to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the cache has a file, whichever tool put it there.
    pub fn has(&self, file: &Listed) -> bool {
        self.kept(&file.name).is_some() || self.blob(file).is_some()
    }

    /// Where the cache has a file of the revision. Of a commit Hugging Face's own tools write a snapshot and no reference.
    fn kept(&self, file: &str) -> Option<PathBuf> {
        let of_commit = || {
            let path = self.cached.pointer_path(&self.revision).join(file);
            path.is_file().then_some(path)
        };
        self.cached.get(file).or_else(of_commit)
    }

    /// What the cache has of a large file's content, under whatever revision and name.
    fn blob(&self, file: &Listed) -> Option<PathBuf> {
        let promised = file.sha256()?;
        let is_sha256 = promised.len() == 64 && promised.bytes().all(|b| b.is_ascii_hexdigit());
        let path = is_sha256.then(|| self.cached.blob_path(promised))?;
        path.is_file().then_some(path)
    }

    /// Gives a file of this client's commit its name where the cache has the content alone, of another revision.
    ///
    /// # Errors
    /// The cache cannot be written to.
    pub fn link(&self, file: &Listed) -> anyhow::Result<()> {
        let blob = self.blob(file);
        let Some(blob) = blob.filter(|_| self.kept(&file.name).is_none()) else {
            return Ok(());
        };
        let path = self.cached.pointer_path(&self.revision).join(&file.name);
        let linked = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            if path.is_symlink() {
                // It leads nowhere, or the file would have been found.
                fs::remove_file(&path)?;
            }
            symlink(&blob, Path::new(&file.name), &path)
        };
        linked().with_context(|| format!("cannot make {}", path.display()))
    }

    /// Writes down which commit the revision is, where Hugging Face's tools look for it.
    ///
    /// # Errors
    /// The cache cannot be written to.
    pub fn refer(&self, commit: &str) -> anyhow::Result<()> {
        if self.revision == commit {
            return Ok(());
        }
        let at = || {
            let folder = self.folder.display();
            format!("cannot write to {folder} which commit {} is", self.revision)
        };
        self.cached.create_ref(commit).with_context(at)
    }

    /// Asks for the list of files; `name` is what messages call the repository.
    ///
    /// # Errors
    /// The server refuses, or answers something else.
    pub fn listing(&self, name: &str) -> anyhow::Result<Listing> {
        let request = self.repository.info_request().query("blobs", "true");
        let mut response = request
            .call()
            .map_err(|error| self.explain(&ApiError::from(Box::new(error)), name))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(MAX_LISTING_BYTES)
            .read_to_string();
        let text = body.map_err(|error| self.explain(&ApiError::from(Box::new(error)), name))?;
        let listing: Listing = serde_json::from_str(&text)
            .with_context(|| format!("{name}: the server's list of files cannot be read"))?;
        // It becomes the name of a folder.
        let is_commit =
            !listing.sha.is_empty() && listing.sha.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(
            is_commit,
            "{name}: the server calls {:?} a commit, which is none; look at HF_ENDPOINT",
            listing.sha
        );
        Ok(listing)
    }

    /// Downloads one file unless the cache has it, and says where it is.
    ///
    /// # Errors
    /// The server refuses, or the file arrived damaged and was removed.
    pub fn fetch(&self, file: &str) -> anyhow::Result<PathBuf> {
        let path = match self.kept(file) {
            Some(path) => path,
            None => self
                .repository
                .get(file)
                .map_err(|error| self.explain(&error, file))?,
        };
        // Large files are named after their SHA-256, small ones after git's hash, which has 40 digits.
        let blob = fs::canonicalize(&path)?;
        let Some(promised) = blob
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|name| name.len() == 64)
        else {
            return Ok(path);
        };
        let found = sha256::of_file(&blob)?;
        if found != promised {
            fs::remove_file(&path)?;
            fs::remove_file(&blob)?;
            bail!(
                "it arrived damaged (SHA-256 {found} instead of {promised}) and {} was removed; download it again",
                blob.display()
            );
        }
        Ok(path)
    }

    /// What a refusal means and what to do about it.
    fn explain(&self, error: &ApiError, name: &str) -> anyhow::Error {
        let message = error.to_string();
        let remedy = if message.contains("status: 401") || message.contains("status: 403") {
            "it does not exist or may not be read without an account: accept its conditions on its page, and put your \
             token into HF_TOKEN"
                .to_owned()
        } else if message.contains("status: 404") {
            let kind = self.kind.name();
            format!("there is no such {kind} or revision; look at the spelling")
        } else if let ApiError::LockAcquisition(_) = error {
            "another program is downloading it; wait until it is done".to_owned()
        } else if message.contains("No space left") {
            let folder = self.folder.display();
            format!(
                "make room in {folder}, or name another place in HF_HOME: what has arrived is kept"
            )
        } else {
            "try again: what has arrived is kept".to_owned()
        };
        anyhow::anyhow!("{name} cannot be downloaded: {message}; {remedy}")
    }
}

/// Links a file of a snapshot, `name` in it, to its content, by a path that holds wherever the cache is moved to.
#[cfg(unix)]
fn symlink(blob: &Path, name: &Path, path: &Path) -> io::Result<()> {
    // Out of the folders of the name, of the commit and of `snapshots`.
    let up: PathBuf = iter::repeat_n("..", name.components().count() + 1).collect();
    let blob = blob.file_name().unwrap_or_default();
    std::os::unix::fs::symlink(up.join("blobs").join(blob), path)
}

/// Where links are for few, the content is copied.
#[cfg(not(unix))]
fn symlink(blob: &Path, _name: &Path, path: &Path) -> io::Result<()> {
    fs::copy(blob, path).map(drop)
}

/// Whether the network is not to be asked.
pub fn is_offline() -> bool {
    env::var("HF_HUB_OFFLINE").is_ok_and(|offline| !matches!(offline.as_str(), "" | "0"))
}
