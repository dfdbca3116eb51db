//! Files that are either the old ones or the new ones, never half of each; and folders that are whole or not there.
//!
//! A file is written beside its place, synced, and renamed over it; the folder is synced too, so that the
//! rename itself survives a power cut. After `kill -9` at any moment the path holds the old content or the
//! new one. What may be left is a nameless-looking `.candor-*` file or folder beside it, which nothing reads and which
//! the next process that writes there removes ([`sweep`]): whoever is at work holds a lock on his, and the system takes the
//! lock back when the process dies.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::DataError;
use crate::lock::Locked;

/// What temporary names begin with, and how many letters and digits follow.
const PREFIX: &str = ".candor-";
const N_RANDOM: usize = 6;

/// Writes `bytes` to `path`, creating the folders on the way.
///
/// # Errors
/// [`DataError::Io`] names the step that the operating system refused.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    write_with(path, |file| file.write_all(bytes))
}

/// [`write()`] for content that need not be in memory as a whole: `fill` writes it to the file that will be
/// renamed to `path`. If `fill` fails, `path` stays as it was.
///
/// # Errors
/// [`DataError::Io`] names the step that the operating system or `fill` refused.
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), DataError> {
    place(path, fill, |beside| {
        beside.persist(path).map(drop).map_err(|error| error.error)
    })
}

/// [`write()`], but never over something that is there; says whether nothing was, also where others write at the same time.
///
/// # Errors
/// As [`write()`].
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<bool, DataError> {
    let mut is_new = true;
    place(
        path,
        |file| file.write_all(bytes),
        |beside| match beside.persist_noclobber(path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                is_new = false;
                Ok(())
            }
            Err(error) => Err(error.error),
        },
    )?;
    Ok(is_new)
}

/// Lets `fill` write a file beside `path`, which `persist` puts there.
fn place(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
    persist: impl FnOnce(tempfile::NamedTempFile) -> io::Result<()>,
) -> Result<(), DataError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(|source| {
        refused(
            "create the folder",
            folder,
            "choose a folder that you may write to",
            source,
        )
    })?;
    write_beside_and_rename(folder, fill, persist).map_err(|source| {
        refused(
            "write",
            path,
            "check that the path is not a folder, that the disk has room and that you may write there",
            source,
        )
    })
}

/// Makes the folder `path`, which must not be there or be empty: `fill` writes into a folder beside it, which is synced
/// and renamed when all is there. If `fill` fails, nothing remains.
///
/// # Errors
/// `fill`'s own; or [`DataError::Io`] names the step that the operating system refused, as a `E`.
pub fn folder<T, E: From<DataError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let at = |action, remedy| move |source| E::from(refused(action, path, remedy, source));
    if path
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some())
    {
        let taken = io::Error::from(io::ErrorKind::DirectoryNotEmpty);
        return Err(at("make the folder", "name one that does not exist yet")(
            taken,
        ));
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let make = at("make the folder", "choose a place that you may write to");
    let held = std::fs::create_dir_all(parent).and_then(|()| {
        sweep_once(parent);
        held(
            || temporary(0o777).tempdir_in(parent),
            |beside| File::open(beside.path()).ok(),
            tempfile::TempDir::path,
        )
    });
    let (beside, _lock) = held.map_err(make)?;
    let filled = fill(beside.path())?;
    let finish = at("finish the folder", "check that the disk has room");
    sync_tree(beside.path())
        .and_then(|()| std::fs::rename(beside.path(), path))
        .and_then(|()| sync_folder(parent))
        .map_err(finish)?;
    Ok(filled)
}

/// Syncs all files and folders below `folder`, and itself.
fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    sync_folder(folder)
}

fn write_beside_and_rename(
    folder: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
    persist: impl FnOnce(tempfile::NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    sweep_once(folder);
    let (mut beside, _lock) = held(
        || temporary(0o666).tempfile_in(folder),
        |beside| beside.as_file().try_clone().ok(),
        tempfile::NamedTempFile::path,
    )?;
    fill(beside.as_file_mut())?;
    beside.as_file().sync_all()?;
    persist(beside)?;
    sync_folder(folder)
}

/// What makes temporary files and folders. They are private by default; what is renamed into place is an ordinary one,
/// and the umask decides who reads it.
fn temporary(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).rand_bytes(N_RANDOM);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// Makes something temporary and locks it, so that nobody sweeps it away. Where there are no locks, there is no sweeping.
fn held<T>(
    make: impl Fn() -> io::Result<T>,
    open: impl Fn(&T) -> Option<File>,
    path: impl Fn(&T) -> &Path,
) -> io::Result<(T, Option<Locked>)> {
    loop {
        let thing = make()?;
        let lock = open(&thing).and_then(|file| Locked::wait(file).ok());
        // It may have been swept away before it was locked.
        if path(&thing).exists() {
            return Ok((thing, lock));
        }
    }
}

/// [`sweep`], at the first call with this folder.
fn sweep_once(folder: &Path) {
    static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    let mut swept = SWEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if swept.insert(folder.to_owned()) {
        sweep(folder);
    }
}

/// Removes what processes that were killed left half written in `folder`; what is being written stays, be it by this
/// process or by another. All functions here do so by themselves with the first file that they write to a folder.
///
/// What cannot be removed stays: it is in nobody's way.
pub fn sweep(folder: &Path) {
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let ours = |random: &str| {
            random.len() == N_RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let (true, Ok(kind)) = (random.is_some_and(ours), entry.file_type()) else {
            continue;
        };
        let path = entry.path();
        let opened = if kind.is_file() {
            // For writing, because some file systems lock nothing else.
            OpenOptions::new().write(true).open(&path)
        } else if kind.is_dir() {
            File::open(&path)
        } else {
            continue;
        };
        // Held until it is gone: whoever made it a moment ago and waits for the lock will find it gone.
        if let Some(_lock) = opened.ok().and_then(|file| Locked::now(file).ok()) {
            let _ = if kind.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
        }
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be opened for syncing outside Unix.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

fn refused(
    action: &'static str,
    path: &Path,
    remedy: &'static str,
    source: io::Error,
) -> DataError {
    DataError::Io {
        action,
        path: path.to_path_buf(),
        remedy: remedy.into(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creates_folders_replaces_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/file.txt");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1);
    }

    #[test]
    fn what_is_new_takes_nobodys_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/file.txt");
        assert!(write_new(&path, b"first").unwrap());
        assert!(!write_new(&path, b"second").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        let names = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside it");
    }

    #[test]
    fn a_refusal_names_the_path_and_keeps_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write(&file, b"old").unwrap();
        let inside_a_file = file.join("x");
        let message = write(&inside_a_file, b"new").unwrap_err().to_string();
        assert!(message.contains(&file.display().to_string()), "{message}");
        assert!(message.contains("choose a folder"), "{message}");
        assert_eq!(std::fs::read(&file).unwrap(), b"old");
    }

    #[test]
    fn content_that_cannot_be_finished_leaves_the_old_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write(&path, b"old").unwrap();
        let half = |file: &mut File| {
            file.write_all(b"ne")?;
            Err(io::Error::other("out of words"))
        };
        let error = write_with(&path, half).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "out of words");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/folder");
        let fill = |folder: &Path| write(&folder.join("inner/file"), b"x");
        let failed = folder(&path, |beside| {
            fill(beside)?;
            write(&beside.join("inner"), b"a folder is there")
        });
        assert!(failed.is_err());
        let left = || dir.path().join("a").read_dir().unwrap().count();
        assert_eq!(left(), 0);
        std::fs::create_dir(&path).unwrap();
        folder(&path, fill).unwrap();
        assert_eq!(std::fs::read(path.join("inner/file")).unwrap(), b"x");
        assert_eq!(left(), 1);
        // What is there already is left as it is.
        let message = folder(&path, fill).unwrap_err().to_string();
        assert!(message.contains("does not exist yet"), "{message}");
        assert_eq!(left(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn what_a_killed_process_left_is_swept_and_what_is_at_work_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at(".candor-aB3xY9"), b"half").unwrap();
        std::fs::create_dir(at(".candor-folder")).unwrap();
        std::fs::write(at(".candor-folder/weights"), b"half").unwrap();
        // Not ours: another length, another letter, another name, something else than a file.
        let others = [".candor-aB3xY", ".candor-a-3xY9", "candor-aB3xY9"];
        for name in others {
            std::fs::write(at(name), b"kept").unwrap();
        }
        std::os::unix::fs::symlink(at("candor-aB3xY9"), at(".candor-linked")).unwrap();
        // Another process would hold the lock by a file of its own.
        std::fs::write(at(".candor-atwork"), b"hal").unwrap();
        let at_work = File::open(at(".candor-atwork")).unwrap();
        at_work.lock().unwrap();
        write(&at("file"), b"whole").unwrap();
        let names = || {
            let names = dir.path().read_dir().unwrap();
            let mut names: Vec<String> = names
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let mut left = vec![".candor-a-3xY9", ".candor-aB3xY", ".candor-atwork"];
        left.extend([".candor-linked", "candor-aB3xY9", "file"]);
        assert_eq!(names(), left);
        drop(at_work);
        sweep(dir.path());
        left.remove(2);
        assert_eq!(names(), left);
    }

    #[test]
    fn what_this_process_is_writing_is_not_swept() {
        let dir = tempfile::tempdir().unwrap();
        let (file, made) = (dir.path().join("file"), dir.path().join("folder"));
        write_with(&file, |half| {
            half.write_all(b"wh")?;
            sweep(dir.path());
            half.write_all(b"ole")
        })
        .unwrap();
        folder(&made, |half| {
            sweep(dir.path());
            write(&half.join("inner"), b"whole")
        })
        .unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"whole");
        assert_eq!(std::fs::read(made.join("inner")).unwrap(), b"whole");
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_what_the_umask_lets_them() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        std::fs::write(&plain, b"x").unwrap();
        let ours = dir.path().join("ours");
        write(&ours, b"x").unwrap();
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
