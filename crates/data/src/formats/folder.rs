//! A set as a folder, as the Hugging Face hub has it: its rows are in several files, of which each is a part.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::missing;
use crate::sha256;

/// What the files of a set end in, of which a folder has one kind.
const ENDINGS: [&str; 2] = ["parquet", "jsonl"];
/// The words that names begin with which are of rows for training.
const TRAINED: [&str; 2] = ["train", "training"];
/// The words that names begin with which are of rows that are not.
const HELD_OUT: [&str; 7] = [
    "val",
    "valid",
    "validation",
    "dev",
    "test",
    "eval",
    "evaluation",
];

/// Which files of a set are meant, where their names say of which split they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Those of rows for training.
    Train,
    /// Those of rows that are not trained on.
    HeldOut,
}

/// The files of a set, in the order of their names: the file itself; or those of a folder, or of the folder `data` in it, that end in
/// `.parquet`, or else in `.jsonl`. Where there are files of several splits, those of `train` are meant.
///
/// # Errors
/// As [`files_of`].
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    files_of(path, Split::Train)
}

/// As [`files`], where those of `split` are meant if there are files of several.
///
/// # Errors
/// There is nothing there, no such file, files of another split without such of the one that is meant, a name from which the split
/// cannot be told, parts of several sets, one part twice, or fewer parts than a name says.
pub fn files_of(path: &Path, split: Split) -> Result<Vec<PathBuf>, DataError> {
    missing::check(path, "read", "check the path and that you may read it")?;
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let inner = path.join("data");
    let (mut folder, mut found) = (path.to_path_buf(), names(path)?);
    if found.is_empty() && inner.is_dir() {
        found = names(&inner)?;
        folder = inner;
    }
    let meant = of_split(&folder, found, split)?;
    check_parts(&folder, &meant)?;
    Ok(meant.iter().map(|name| folder.join(name)).collect())
}

/// The names of a folder's files of the first kind that there is, in their order.
fn names(folder: &Path) -> Result<Vec<String>, DataError> {
    let unread = |source| DataError::Io {
        action: "read the folder",
        path: folder.to_path_buf(),
        remedy: "check that you may read it".into(),
        source,
    };
    let mut names = Vec::new();
    for entry in folder.read_dir().map_err(unread)? {
        match entry.map_err(unread)?.file_name().into_string() {
            Ok(name) => names.push(name),
            Err(name) if ENDINGS.iter().any(|ending| ends_in(name.as_ref(), ending)) => {
                return Err(refused(
                    folder,
                    &format!("has {}, whose name is not UTF-8", name.display()),
                    "give the file another name",
                ));
            }
            Err(_) => {}
        }
    }
    names.sort_unstable();
    Ok(of_one_kind(&names))
}

fn ends_in(name: &Path, ending: &str) -> bool {
    let found = name.extension();
    found.is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// The SHA-256 of a set's file, or of those of its folder in their order.
///
/// # Errors
/// As [`files`], or a file cannot be read.
pub fn fingerprint(path: &Path) -> Result<String, DataError> {
    let files = files(path)?;
    let hashes = files.iter().map(|file| sha256::of_file(file));
    let mut hashes: Vec<String> = hashes.collect::<Result<_, _>>()?;
    match hashes.pop() {
        Some(only) if hashes.is_empty() => Ok(only),
        last => Ok(sha256::of_bytes(hashes.into_iter().chain(last))),
    }
}

fn refused(folder: &Path, found: &str, remedy: &'static str) -> DataError {
    DataError::Build {
        found: format!("the folder {} {found}", folder.display()),
        remedy: remedy.into(),
    }
}

/// The names of the first kind that there is.
fn of_one_kind(names: &[String]) -> Vec<String> {
    let of_kind = |ending: &str| -> Vec<String> {
        let names = names.iter();
        let names = names.filter(|name| ends_in(name.as_ref(), ending));
        names.cloned().collect()
    };
    let kinds = ENDINGS.map(of_kind);
    kinds
        .into_iter()
        .find(|kind| !kind.is_empty())
        .unwrap_or_default()
}

/// The first word of a name that is of a split, in lower case, and whether the name begins with it.
fn word_of_split(name: &str) -> Option<(String, bool)> {
    let words = name.split(|c: char| !c.is_alphabetic()).enumerate();
    let mut words = words.map(|(place, word)| (word.to_lowercase(), place == 0));
    words.find(|(word, _)| TRAINED.contains(&word.as_str()) || HELD_OUT.contains(&word.as_str()))
}

/// The names of files of the split that is meant.
fn of_split(folder: &Path, names: Vec<String>, split: Split) -> Result<Vec<String>, DataError> {
    let (mut trained, mut held_out, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let mut looked_at = BTreeSet::new();
    for name in names {
        match word_of_split(&name) {
            None => others.push(name),
            Some((word, true)) if TRAINED.contains(&word.as_str()) => trained.push(name),
            Some((word, true)) => {
                looked_at.insert(word);
                held_out.push(name);
            }
            Some((word, false)) => {
                return Err(refused(
                    folder,
                    &format!(
                        "has {name:?}, whose name has {word:?} in it and does not begin with it"
                    ),
                    "name the file that is meant, or let the names of the set's files begin with their split",
                ));
            }
        }
    }
    let (meant, left) = match split {
        Split::Train => (trained, held_out),
        Split::HeldOut => (held_out, trained),
    };
    match (meant.is_empty(), left.is_empty(), others.is_empty()) {
        (false, _, true) => {
            let mut words = looked_at.iter();
            if let (Split::HeldOut, Some(first), Some(second)) = (split, words.next(), words.next())
            {
                return Err(refused(
                    folder,
                    &format!(
                        "has files of {first:?} and of {second:?}, and which of them are meant cannot be told"
                    ),
                    "name the file, or put the files that are meant into a folder of their own",
                ));
            }
            Ok(meant)
        }
        (true, true, false) => Ok(others),
        (true, true, true) => Err(refused(
            folder,
            "has no file of rows that ends in .parquet or .jsonl",
            "name the file, or the folder with the set's files",
        )),
        (true, false, _) => {
            let (word, is_not) = match split {
                Split::Train => ("train", "is not for training"),
                Split::HeldOut => ("validation or test", "is for training"),
            };
            Err(refused(
                folder,
                &format!(
                    "has no file whose name begins with {word}, and {:?}, which {is_not}",
                    left[0]
                ),
                "name the file, if it is the one that is meant",
            ))
        }
        (false, _, false) => Err(refused(
            folder,
            &format!(
                "has {:?} beside {:?}, and which of them are meant cannot be told",
                others[0], meant[0]
            ),
            "name the file, or put the set's files into a folder of their own",
        )),
    }
}

/// What a name such as `train-00000-of-00003.parquet`, or `train-00000-of-00003-8b4dd2b9c1b4f7b8.parquet`, says: the set, how many
/// parts it has, and which of them the file is.
fn part(name: &str) -> Option<((&str, usize), usize)> {
    let (before, after) = name.split_once("-of-")?;
    let n = after.split(|c: char| !c.is_ascii_digit()).next();
    let (set, number) = before.rsplit_once('-').unwrap_or(("", before));
    Some(((set, n?.parse().ok()?), number.parse().ok()?))
}

/// Refuses parts of which one is missing or there twice, and parts of several sets.
fn check_parts(folder: &Path, names: &[String]) -> Result<(), DataError> {
    let mut parts: BTreeMap<(&str, usize), BTreeSet<usize>> = BTreeMap::new();
    for name in names {
        let Some((set, number)) = part(name) else {
            continue;
        };
        if !parts.entry(set).or_default().insert(number) {
            return Err(refused(
                folder,
                &format!("has {name:?} and another file of this number"),
                "remove the one that is not of the set that is meant",
            ));
        }
    }
    let sets: Vec<(&str, usize)> = parts.keys().copied().collect();
    if let [(first, n_first), (second, n_second), ..] = sets[..] {
        return Err(refused(
            folder,
            &format!("has parts of {first:?} and of {second:?}, {n_first} and {n_second} files"),
            "put the files of the set that is meant into a folder of their own",
        ));
    }
    let Some(((set, n), found)) = parts.pop_first() else {
        return Ok(());
    };
    // Some count from one.
    if found.iter().copied().eq(0..n) || found.iter().copied().eq(1..=n) {
        return Ok(());
    }
    let n_found = found.len();
    Err(refused(
        folder,
        &format!("has {n_found} of the {n} files of {set:?}, or files with other numbers"),
        "fetch the others, or name the files that are meant one by one",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a folder with files of these names, without the folder.
    fn found(names: &[&str]) -> Result<Vec<String>, String> {
        found_of(names, Split::Train)
    }

    fn found_of(names: &[&str], split: Split) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let files = files_of(folder.path(), split).map_err(|error| error.to_string())?;
        let below = |file: &PathBuf| {
            file.strip_prefix(folder.path())
                .unwrap()
                .display()
                .to_string()
        };
        Ok(files.iter().map(below).collect())
    }

    #[test]
    fn of_a_folder_the_files_of_the_split_for_training_are_meant() {
        let hub = [
            "README.md",
            "data/train-00001-of-00002.parquet",
            "data/train-00000-of-00002.parquet",
            "data/validation-00000-of-00001.parquet",
            "data/notes.jsonl",
        ];
        let expected = [
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
        ];
        assert_eq!(found(&hub).unwrap(), expected);
        // Files of no split are all meant; those beside the folder `data` go before it.
        let flat = [
            "b.jsonl",
            "a.jsonl",
            "dataset_info.json",
            "data/train.parquet",
        ];
        assert_eq!(found(&flat).unwrap(), ["a.jsonl", "b.jsonl"]);
        // A word that only begins as one of a split is none.
        let words = ["trains.jsonl", "values.jsonl"];
        assert_eq!(found(&words).unwrap(), words);
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(files(file.path()).unwrap(), [file.path()]);
    }

    #[test]
    fn of_rows_that_are_held_out_no_file_for_training_is_meant() {
        let hub = ["train.parquet", "validation.parquet"];
        let of = |names: &[&str]| found_of(names, Split::HeldOut);
        assert_eq!(of(&hub).unwrap(), ["validation.parquet"]);
        // Files of no split are what whoever names the folder says they are.
        assert_eq!(of(&["a.jsonl", "b.jsonl"]).unwrap(), ["a.jsonl", "b.jsonl"]);
        let cases: [(&[&str], &str); 3] = [
            (
                &["train.parquet"],
                "\"train.parquet\", which is for training",
            ),
            (
                &["test.jsonl", "train.jsonl", "validation.jsonl"],
                "of \"test\" and of \"validation\"",
            ),
            (
                &["test.jsonl", "a.jsonl"],
                "\"a.jsonl\" beside \"test.jsonl\"",
            ),
        ];
        for (names, words) in cases {
            let message = of(names).unwrap_err();
            assert!(message.contains(words), "{message}\nlacks {words}");
        }
    }

    #[test]
    fn parts_are_told_with_what_follows_their_numbers() {
        let hashed = [
            "train-00000-of-00002-8b4dd2b9c1b4f7b8.parquet",
            "train-00001-of-00002-0f7c2d1e5a6b9c3d.parquet",
        ];
        assert_eq!(found(&hashed).unwrap(), hashed);
        let message = found(&hashed[1..]).unwrap_err();
        assert!(message.contains("1 of the 2 files of"), "{message}");
        // One part as two conversions made it, and another that is not there.
        let twice = [
            "train-00000-of-00002-0f7c2d1e5a6b9c3d.parquet",
            "train-00000-of-00002-8b4dd2b9c1b4f7b8.parquet",
        ];
        let message = found(&twice).unwrap_err();
        assert!(message.contains("another file of this number"), "{message}");
        let beyond = ["train-00000-of-00002.jsonl", "train-00007-of-00002.jsonl"];
        let message = found(&beyond).unwrap_err();
        assert!(message.contains("other numbers"), "{message}");
        let from_one = ["00001-of-00002.jsonl", "00002-of-00002.jsonl"];
        assert_eq!(found(&from_one).unwrap(), from_one);
    }

    #[test]
    fn a_file_of_rows_whose_name_is_not_utf_8_is_refused() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;

        let folder = tempfile::tempdir().unwrap();
        let write = |name: &[u8]| std::fs::write(folder.path().join(OsStr::from_bytes(name)), "");
        write(b"a.jsonl").unwrap();
        if write(b"caf\xE9.txt").is_err() {
            // This file system has no such names.
            return;
        }
        assert_eq!(files(folder.path()).unwrap().len(), 1);
        write(b"caf\xE9.jsonl").unwrap();
        let message = files(folder.path()).unwrap_err().to_string();
        assert!(message.contains("not UTF-8"), "{message}");
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        let cases: [(&[&str], &str); 6] = [
            (
                &["pope_test.jsonl", "pope_train.jsonl"],
                "\"pope_test.jsonl\", whose name has \"test\" in it",
            ),
            (&["a.json", "README.md"], "no file of rows"),
            (
                &["test.parquet", "a.parquet"],
                "\"test.parquet\", which is not for training",
            ),
            (
                &["train.parquet", "a.parquet"],
                "\"a.parquet\" beside \"train.parquet\"",
            ),
            (
                &[
                    "train-00000-of-00003.parquet",
                    "train-00002-of-00003.parquet",
                ],
                "2 of the 3 files of \"train\"",
            ),
            (
                &[
                    "train_gen-00000-of-00001.parquet",
                    "train_sft-00000-of-00001.parquet",
                ],
                "parts of \"train_gen\" and of \"train_sft\"",
            ),
        ];
        for (names, words) in cases {
            let message = found(names).unwrap_err();
            assert!(message.contains(words), "{message}\nlacks {words}");
        }
        let message = files(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(message.contains("does not exist"), "{message}");
    }
}
