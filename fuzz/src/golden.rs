//! The golden folders, and copies of them of which one file at a time is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Where the golden files of a crate are.
pub(crate) fn of_crate(name: &str) -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    crates.join(name).join("tests/golden")
}

/// Copies of golden folders of `model`.
pub(crate) struct Copies(TempDir);

impl Copies {
    pub(crate) fn of<'a>(folders: impl IntoIterator<Item = &'a str>) -> Self {
        let copies = tempfile::tempdir().expect("a temporary folder");
        for name in folders {
            let to = copies.path().join(name);
            fs::create_dir_all(&to).expect("a folder");
            for file in fs::read_dir(of_crate("model").join(name)).expect("a golden folder") {
                let file = file.expect("a file");
                if file.path().is_file() {
                    fs::copy(file.path(), to.join(file.file_name())).expect("copied");
                }
            }
        }
        Self(copies)
    }

    /// Puts the content in place of a file of a folder while `run` has the folder.
    pub(crate) fn with<T>(
        &self,
        folder: &str,
        file: &str,
        content: &[u8],
        run: impl FnOnce(&Path) -> T,
    ) -> T {
        let folder = self.0.path().join(folder);
        let path = folder.join(file);
        let whole = fs::read(&path).expect("read");
        fs::write(&path, content).expect("written");
        let found = run(&folder);
        fs::write(&path, whole).expect("put back");
        found
    }
}

/// How many files the folders have in all.
pub(crate) fn n_files<T>(folders: &[(T, &'static [&'static str])]) -> usize {
    folders.iter().map(|(_, files)| files.len()).sum()
}

/// The file that a number means, of folders with several files each, and the rest of the input as its content.
pub(crate) fn chosen<'a, T: Copy>(
    folders: &[(T, &'static [&'static str])],
    input: &'a [u8],
) -> Option<(T, &'static str, &'a [u8])> {
    let (which, content) = input.split_first()?;
    let files = folders.iter();
    let files = files.flat_map(|&(folder, files)| files.iter().map(move |&file| (folder, file)));
    let files: Vec<(T, &'static str)> = files.collect();
    let (folder, file) = files[usize::from(*which) % files.len()];
    Some((folder, file, content))
}
