//! Finding a model by name: a folder, or what Hugging Face's tools have downloaded. The network is not asked.
//!
//! In the cache, `org/name` is the folder `models--org--name`; in it `refs/main` holds the name of a folder of
//! `snapshots`, whose files are links to `blobs`.

use std::env;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use candor_data::bounded::{self, Bound};
use candor_data::missing;

use crate::ModelError;

const REF: Bound = Bound {
    max_bytes: 1 << 10,
    action: "read which snapshot is meant",
    unreadable: "check that the file may be read, or download the model again",
    too_large: "it should hold one name; download the model again",
};

/// The folder of a model: `name` itself if it is one, else `org/name` or `org/name@revision` in the cache that
/// `HF_HUB_CACHE`, `HF_HOME` or `XDG_CACHE_HOME` name, or in `~/.cache/huggingface/hub`.
///
/// # Errors
/// It is neither.
pub fn find(name: &Path) -> Result<PathBuf, ModelError> {
    find_in(name, cache_folder().as_deref())
}

/// Where Hugging Face's tools keep what they download; `None` where not even `HOME` is set.
#[must_use]
pub fn cache_folder() -> Option<PathBuf> {
    cache(|variable| env::var_os(variable))
}

fn cache(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = || Some(set("HOME")?.join(".cache"));
    let hub = || Some(set("XDG_CACHE_HOME").or_else(home)?.join("huggingface/hub"));
    set("HF_HUB_CACHE")
        .or_else(|| Some(set("HF_HOME")?.join("hub")))
        .or_else(hub)
}

fn find_in(name: &Path, cache: Option<&Path>) -> Result<PathBuf, ModelError> {
    if name.is_dir() {
        return Ok(name.to_owned());
    }
    let no_model = |looked_in: String, remedy: String| ModelError::NoModel {
        name: name.display().to_string(),
        looked_in,
        remedy,
    };
    let Some(Named {
        repository,
        revision,
    }) = parse(name)
    else {
        let remedy = "give a folder, or a model of Hugging Face as org/name".to_owned();
        return Err(no_model(not_there(name), remedy));
    };
    let kept = cache.map(|cache| cache.join(format!("models--{}", repository.replace('/', "--"))));
    let Some(kept) = kept.filter(|kept| kept.is_dir()) else {
        let cache = cache.map_or("no cache, HOME is not set".to_owned(), |c| {
            c.display().to_string()
        });
        let remedy = format!(
            "give a folder, or download it first (candor download {repository}) and let HF_HUB_CACHE say where"
        );
        return Err(no_model(format!("{cache} and {}", not_there(name)), remedy));
    };
    let snapshots = kept.join("snapshots");
    let reference = kept.join("refs").join(&revision);
    let snapshot = if reference.is_file() {
        let text = bounded::read(&reference, &REF)?;
        String::from_utf8_lossy(&text).trim().to_owned()
    } else {
        revision
    };
    let folder = snapshots.join(&snapshot);
    if is_plain(&snapshot) && folder.is_dir() {
        return Ok(folder);
    }
    let remedy = format!(
        "download the revision, or name one of the folders of snapshots as {repository}@folder"
    );
    Err(no_model(snapshots.display().to_string(), remedy))
}

/// Where a folder was looked for, and what is there instead.
fn not_there(name: &Path) -> String {
    let shown = name.display();
    if name.exists() {
        return format!("{shown}, which is a file and no folder");
    }
    format!("{shown}, which does not exist{}", missing::near(name))
}

/// The folder of a model that another folder names, as it was called where that was made: [`find`], or a folder of that
/// name around `folder`. A name says nothing about the content, so only what is called so is ever taken.
///
/// # Errors
/// There is none; all places are named. `remedy` is what to do then.
pub fn find_near(name: &Path, folder: &Path, remedy: String) -> Result<PathBuf, ModelError> {
    let is_model = |folder: &Path| folder.join("config.json").is_file();
    let not_found = match find(name) {
        Ok(found) if is_model(&found) => return Ok(found),
        Ok(found) => format!("{} (no config.json in it)", found.display()),
        Err(ModelError::NoModel { looked_in, .. }) => looked_in,
        Err(other) => return Err(other),
    };
    let around = around(folder, name);
    if let Some(found) = around.iter().find(|path| is_model(path)) {
        return Ok(found.clone());
    }
    let around: Vec<_> = around.iter().map(|p| p.display().to_string()).collect();
    Err(ModelError::NoModel {
        name: name.display().to_string(),
        looked_in: format!("{not_found}, {}", around.join(", ")),
        remedy,
    })
}

/// Where `name` may be: beside `folder`, in it, the two around it; and, where it is a relative path, from each folder
/// around it, one of which the command that named it was started in.
fn around(folder: &Path, name: &Path) -> Vec<PathBuf> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let Some(last) = name.file_name() else {
        return Vec::new();
    };
    let above: Vec<&Path> = folder.ancestors().skip(1).take(2).collect();
    let inside = above.iter().map(|above| above.join(last));
    let is_it = |above: &&&Path| above.file_name() == Some(last);
    let itself = above.iter().filter(is_it).map(|above| above.to_path_buf());
    let mut places: Vec<PathBuf> = inside.chain([folder.join(last)]).chain(itself).collect();
    if name.is_relative() {
        for place in folder.ancestors().map(|above| above.join(name)) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// A model by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `org/name`.
    pub repository: String,
    /// A branch, tag or commit; `main` where the name says none.
    pub revision: String,
}

/// The repository and the revision that `org/name` or `org/name@revision` means, if it could be one.
#[must_use]
pub fn parse(name: &Path) -> Option<Named> {
    if !name
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return None;
    }
    let name = name.to_str()?;
    let (repository, revision) = name.split_once('@').unwrap_or((name, "main"));
    let parts: Vec<&str> = repository.split('/').collect();
    let fits = parts.len() == 2 && parts.into_iter().all(is_plain) && is_plain(revision);
    fits.then(|| Named {
        repository: repository.to_owned(),
        revision: revision.to_owned(),
    })
}

/// Whether a part of a name stays within its folder.
fn is_plain(part: &str) -> bool {
    !part.is_empty()
        && !part.starts_with('.')
        && part
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_nearest_variable_says_where_the_cache_is() {
        let found = |set: &[(&str, &str)]| {
            let set = |name: &str| {
                let value = set.iter().find(|(variable, _)| *variable == name);
                value.map(|(_, value)| OsString::from(value))
            };
            cache(set).map(|path| path.display().to_string())
        };
        let all = [
            ("HF_HUB_CACHE", "/a"),
            ("HF_HOME", "/b"),
            ("XDG_CACHE_HOME", "/c"),
            ("HOME", "/d"),
        ];
        assert_eq!(found(&all).as_deref(), Some("/a"));
        assert_eq!(found(&all[1..]).as_deref(), Some("/b/hub"));
        assert_eq!(found(&all[2..]).as_deref(), Some("/c/huggingface/hub"));
        assert_eq!(
            found(&all[3..]).as_deref(),
            Some("/d/.cache/huggingface/hub")
        );
        assert_eq!(
            found(&[("HF_HUB_CACHE", ""), ("HF_HOME", "/b")]).as_deref(),
            Some("/b/hub")
        );
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn a_name_is_a_folder_or_a_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("models--llava-hf--llava-1.5-7b-hf");
        let (first, second) = (kept.join("snapshots/aaa"), kept.join("snapshots/bbb"));
        for folder in [&first, &second, &kept.join("refs")] {
            fs::create_dir_all(folder).unwrap();
        }
        fs::write(kept.join("refs/main"), "bbb\n").unwrap();
        let find = |name: &str| find_in(Path::new(name), Some(dir.path()));
        assert_eq!(find("llava-hf/llava-1.5-7b-hf").unwrap(), second);
        assert_eq!(find("llava-hf/llava-1.5-7b-hf@aaa").unwrap(), first);
        assert_eq!(find(kept.to_str().unwrap()).unwrap(), kept);

        for (name, words) in [
            ("llava-hf/other", "candor download llava-hf/other"),
            ("llava-hf/llava-1.5-7b-hf@ccc", "snapshots"),
            ("llava-hf/llava-1.5-7b-hf@..", "give a folder"),
            ("../llava-1.5-7b-hf", "give a folder"),
            ("/no/such/folder", "give a folder"),
            ("name", "give a folder"),
        ] {
            let message = find(name).unwrap_err().to_string();
            assert!(
                message.starts_with(name) && message.contains(words),
                "{message}"
            );
        }
        // A reference that leads out of the cache.
        fs::write(kept.join("refs/main"), "../../..").unwrap();
        assert!(find("llava-hf/llava-1.5-7b-hf").is_err());
    }
}
