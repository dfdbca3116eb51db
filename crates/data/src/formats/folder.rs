//! A set as a folder, as the Hugging Face hub has it: its rows are in several files, of which each is a part.

use std::collections::BTreeMap;
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

/// The files of a set, in the order of their names: the file itself; or those of a folder, or of the folder `data` in it, that end in
/// `.parquet`, or else in `.jsonl`. Where there are files of several splits, those of `train` are meant.
///
/// # Errors
/// There is nothing there, no such file, files of a split that is not for training without such that are, parts of several sets, or
/// fewer parts than a name says.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    missing::check(path, "read", "check the path and that you may read it")?;
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let inner = path.join("data");
    let names = |folder: &Path| -> Result<Vec<String>, DataError> {
        let unread = |source| DataError::Io {
            action: "read the folder",
            path: folder.to_path_buf(),
            remedy: "check that you may read it".into(),
            source,
        };
        let entries = folder.read_dir().map_err(unread)?;
        let entries: Vec<_> = entries.collect::<Result<Vec<_>, _>>().map_err(unread)?;
        let names = entries.iter().map(std::fs::DirEntry::file_name);
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort_unstable();
        Ok(of_one_kind(&names))
    };
    let (mut folder, mut found) = (path.to_path_buf(), names(path)?);
    if found.is_empty() && inner.is_dir() {
        found = names(&inner)?;
        folder = inner;
    }
    let trained = for_training(&folder, found)?;
    check_parts(&folder, &trained)?;
    Ok(trained.iter().map(|name| folder.join(name)).collect())
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
        let names = names.iter().filter(|name| {
            let found = Path::new(name).extension();
            found.is_some_and(|found| found.eq_ignore_ascii_case(ending))
        });
        names.cloned().collect()
    };
    let kinds = ENDINGS.map(of_kind);
    kinds
        .into_iter()
        .find(|kind| !kind.is_empty())
        .unwrap_or_default()
}

/// The names of rows that are for training.
fn for_training(folder: &Path, names: Vec<String>) -> Result<Vec<String>, DataError> {
    let begins = |name: &String, words: &[&str]| {
        let word = name.split(|c: char| !c.is_alphabetic()).next();
        word.is_some_and(|word| words.iter().any(|known| word.eq_ignore_ascii_case(known)))
    };
    let (trained, others): (Vec<String>, Vec<String>) =
        names.into_iter().partition(|name| begins(name, &TRAINED));
    let (held_out, others): (Vec<String>, Vec<String>) =
        others.into_iter().partition(|name| begins(name, &HELD_OUT));
    match (trained.is_empty(), held_out.is_empty(), others.is_empty()) {
        (false, _, true) => Ok(trained),
        (true, true, false) => Ok(others),
        (true, true, true) => Err(refused(
            folder,
            "has no file of rows that ends in .parquet or .jsonl",
            "name the file, or the folder with the set's files",
        )),
        (true, false, _) => Err(refused(
            folder,
            &format!(
                "has no file whose name begins with train, and {:?}, which is not for training",
                held_out[0]
            ),
            "name the file, if it is the one that is meant",
        )),
        (false, _, false) => Err(refused(
            folder,
            &format!(
                "has {:?} beside {:?}, and which of them are meant cannot be told",
                others[0], trained[0]
            ),
            "name the file, or put the set's files into a folder of their own",
        )),
    }
}

/// Refuses parts of which one is missing, and parts of several sets: names such as `train-00000-of-00003.parquet` say of which set
/// they are, and how many there are.
fn check_parts(folder: &Path, names: &[String]) -> Result<(), DataError> {
    let mut parts: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for name in names {
        let Some((before, after)) = name.split_once("-of-") else {
            continue;
        };
        let n = after.split('.').next().and_then(|n| n.parse().ok());
        let set = before.rsplit_once('-').map(|(set, _)| set);
        if let (Some(n), Some(set)) = (n, set) {
            *parts.entry((set, n)).or_default() += 1;
        }
    }
    let sets: Vec<&str> = parts.keys().map(|(set, _)| *set).collect();
    if let [first, second, ..] = sets[..] {
        return Err(refused(
            folder,
            &format!("has parts of {first:?} and of {second:?}"),
            "put the files of the set that is meant into a folder of their own",
        ));
    }
    match parts.into_iter().find(|((_, n), found)| n != found) {
        None => Ok(()),
        Some(((set, n), found)) => Err(refused(
            folder,
            &format!("has {found} of the {n} files of {set:?}"),
            "fetch the others, or name the files that are meant one by one",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a folder with files of these names, without the folder.
    fn found(names: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let files = files(folder.path()).map_err(|error| error.to_string())?;
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
    fn what_cannot_be_told_is_refused() {
        let cases: [(&[&str], &str); 5] = [
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
