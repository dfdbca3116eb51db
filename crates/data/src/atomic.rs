//! Files that are either the old ones or the new ones, never half of each; and folders that are whole or not there.
//!
//! A file is written beside its place, synced, and renamed over it; the folder is synced too, so that the
//! rename itself survives a power cut. After `kill -9` at any moment the path holds the old content or the
//! new one. What may be left is a nameless-looking `.candor-*` file beside it, which nothing reads.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::error::DataError;

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
    write_beside_and_rename(path, folder, fill).map_err(|source| {
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
    let mut builder = tempfile::Builder::new();
    builder.prefix(".candor-");
    #[cfg(unix)]
    let permissions = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o777);
    #[cfg(unix)]
    builder.permissions(permissions);
    let beside = std::fs::create_dir_all(parent).and_then(|()| builder.tempdir_in(parent));
    let beside = beside.map_err(make)?;
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
    path: &Path,
    folder: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".candor-");
    // Temporary files are private by default; what is renamed into place is an ordinary file, and the
    // umask decides who reads it.
    #[cfg(unix)]
    let permissions = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(permissions);
    let mut beside = builder.tempfile_in(folder)?;
    fill(beside.as_file_mut())?;
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
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
