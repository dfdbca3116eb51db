//! Who uses a store, and since when.
//!
//! A process holds a lock on a file whose time is the one at which it began; the system takes the lock back when the process
//! dies, and the next that looks removes the file. Whatever a process uses it marks after it began, so that nothing that was
//! marked before the first of the living began is used by any of them. A process sets both times by its own clock, and sets no
//! file's time back, so that clocks of several machines need not agree: what a process marked is no older than its beginning by
//! whatever clock. What is assumed is that the clock of a machine is not set back while a process runs there. Where clocks
//! differ, what was used longest ago is so by the clock of whoever used it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use candor_data::lock::Locked;

use crate::ModelError;

/// What the names of these files begin with.
const PREFIX: &str = "in-use-";

/// That this process uses a store, until it is dropped.
#[derive(Debug)]
pub(crate) struct InUse {
    root: PathBuf,
    path: PathBuf,
    since: SystemTime,
    _locked: Locked,
}

/// Another process.
#[derive(Debug)]
struct Other {
    path: PathBuf,
    since: SystemTime,
    /// Whether its file cannot be opened, so that nobody knows whether it lives.
    is_unasked: bool,
}

impl InUse {
    /// Says so from now on.
    ///
    /// # Errors
    /// The file cannot be made or locked.
    pub(super) fn begin(root: &Path) -> Result<Self, ModelError> {
        static N_BEGUN: AtomicU64 = AtomicU64::new(0);
        loop {
            let n = N_BEGUN.fetch_add(1, Ordering::Relaxed);
            let now = SystemTime::now();
            let clock = now.duration_since(SystemTime::UNIX_EPOCH);
            let clock = clock.unwrap_or_default().as_nanos();
            let path = root.join(format!("{PREFIX}{}-{n}-{clock}", process::id()));
            let file = File::create_new(&path).map_err(ModelError::io("create", &path))?;
            let locked = Locked::wait(file).map_err(ModelError::io("lock", &path))?;
            let since = locked.set_modified(now).and_then(|()| locked.metadata());
            let since = since.and_then(|found| found.modified());
            let since = since.map_err(ModelError::io("set the time of", &path))?;
            // It may have been taken for that of a dead process before it was locked.
            if path.exists() {
                return Ok(Self {
                    root: root.to_owned(),
                    path,
                    since,
                    _locked: locked,
                });
            }
        }
    }

    /// When the first of all living processes began.
    pub(super) fn since_first(&self) -> SystemTime {
        let others = self.others().into_iter().map(|other| other.since);
        others.fold(self.since, SystemTime::min)
    }

    /// A file of which nobody can tell whether its process lives, if there is one.
    pub(super) fn unasked(&self) -> Option<PathBuf> {
        let mut others = self.others().into_iter();
        others.find(|other| other.is_unasked).map(|of| of.path)
    }

    /// Whether nobody else uses the store.
    pub(super) fn is_alone(&self) -> bool {
        self.others().is_empty()
    }

    /// The other processes that live, or may. Files of dead ones are removed where that is allowed.
    fn others(&self) -> Vec<Other> {
        let entries = self.root.read_dir().into_iter().flatten().flatten();
        let names = entries.filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(PREFIX))
        });
        let others = names.map(|entry| entry.path());
        let others = others.filter(|path| *path != self.path);
        others
            .filter_map(|path| {
                let file = match File::options().write(true).open(&path) {
                    // Another user's can be locked all the same.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        File::open(&path)
                    }
                    opened => opened,
                };
                let file = match file {
                    Ok(file) => file,
                    // Its process has ended meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                    // It may be alive, and use whatever there is.
                    Err(_) => {
                        return Some(Other {
                            path,
                            since: SystemTime::UNIX_EPOCH,
                            is_unasked: true,
                        });
                    }
                };
                match Locked::now(file) {
                    Ok(_dead) => {
                        let _ = fs::remove_file(&path);
                        None
                    }
                    // What cannot be locked may be alive.
                    Err((file, _)) => {
                        let time = file.metadata().and_then(|found| found.modified());
                        Some(Other {
                            path,
                            since: time.unwrap_or(SystemTime::UNIX_EPOCH),
                            is_unasked: false,
                        })
                    }
                }
            })
            .collect()
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        // Where it fails, the next process that looks removes it.
        let _ = fs::remove_file(&self.path);
    }
}
