//! Paths that lead nowhere, told with the names that may have been meant.

use std::path::{Path, PathBuf};

use strsim::{jaro_winkler, osa_distance};

use crate::error::{DataError, Remedy};

/// How alike a name must be to be offered; `modle` and `model` are 0.95, `sft` and `ppo` 0.
const ALIKE: f64 = 0.75;
/// So many are offered.
const MAX_OFFERED: usize = 3;
/// Folders of a run in which is what people look for in the run's own.
const RESULTS: [&str; 2] = ["model", "adapter"];
/// So many names of a folder are looked at, which is enough for the images of COCO.
const MAX_LOOKED_AT: usize = 200_000;

/// That there is something at `path`; `action` is what was to be done with it, as a verb: "read the image".
///
/// # Errors
/// [`DataError::Missing`] with the nearest names beside it.
pub fn check(
    path: &Path,
    action: &'static str,
    remedy: impl Into<Remedy>,
) -> Result<(), DataError> {
    // A link that leads nowhere is there, and has errors of its own.
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    Err(DataError::Missing {
        action,
        path: path.to_path_buf(),
        near: near(path),
        remedy: remedy.into(),
    })
}

/// What follows "`path` does not exist": the names most like it in its folder, or in the last folder on the way that
/// there is; or the place in the results of a run whose folder was named in their stead.
#[must_use]
pub fn near(path: &Path) -> String {
    let mut first_missing = path;
    let folder = loop {
        match first_missing.parent() {
            Some(parent) if parent.as_os_str().is_empty() => break PathBuf::from("."),
            Some(parent) if parent.symlink_metadata().is_ok() => break parent.to_path_buf(),
            Some(parent) => first_missing = parent,
            None => return String::new(),
        }
    };
    let Some(name) = first_missing.file_name() else {
        return String::new();
    };
    if folder.is_file() {
        return format!("; {} is a file and no folder", folder.display());
    }
    let mut results = RESULTS.iter().map(|result| folder.join(result));
    let has = |result: &PathBuf| first_missing == path && result.join(name).exists();
    if let Some(result) = results.find(has) {
        return format!("; there is one in {}", result.display());
    }
    let names = alike(&folder, &name.to_string_lossy());
    let names = names.join(", ");
    match (first_missing == path, names.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("; beside it: {names}"),
        (false, true) => format!("; there is no {}", first_missing.display()),
        (false, false) => {
            let missing = first_missing.display();
            format!("; there is no {missing}, but beside that: {names}")
        }
    }
}

/// The names in a folder that are most like `name`, the most alike first.
fn alike(folder: &Path, name: &str) -> Vec<String> {
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut found: Vec<(f64, String)> = entries
        .take(MAX_LOOKED_AT)
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|other| !other.starts_with('.'))
        .map(|other| (likeness(&name.to_lowercase(), &other.to_lowercase()), other))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    found.sort_by(|left, right| {
        right
            .0
            .total_cmp(&left.0)
            .then_with(|| left.1.cmp(&right.1))
    });
    let shown = found.into_iter().take(MAX_OFFERED);
    // A name is whoever's word: nothing in it reaches a terminal as it is.
    shown
        .map(|(_, name)| name.escape_debug().collect())
        .collect()
}

/// From 0 to 1. One slip of the finger is enough in a name that is too short for the measure: `stf` and `sft`.
fn likeness(name: &str, other: &str) -> f64 {
    let alike = jaro_winkler(name, other);
    if name.chars().count() > 2 && osa_distance(name, other) == 1 {
        return alike.max(ALIKE);
    }
    alike
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_offered() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["sft/model", "sft/metrics", "ppo", ".modle"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("Kitchen.png"), "x").unwrap();
        let near = |path: &str| near(&dir.path().join(path));
        assert_eq!(near("sft/modle"), "; beside it: model");
        assert_eq!(near("kitchen.png"), "; beside it: Kitchen.png");
        assert_eq!(near("zebra"), "");
        let there = dir.path().display();
        assert_eq!(
            near("stf/model"),
            format!("; there is no {there}/stf, but beside that: sft")
        );
        assert_eq!(near("x/model"), format!("; there is no {there}/x"));
        assert_eq!(
            near("Kitchen.png/model"),
            format!("; {there}/Kitchen.png is a file and no folder")
        );
        let message = check(
            &dir.path().join("sft/modle"),
            "open the model",
            "give a folder",
        );
        assert_eq!(
            message.unwrap_err().to_string(),
            format!(
                "cannot open the model: {there}/sft/modle does not exist; beside it: model; give a folder"
            )
        );
        assert!(check(&dir.path().join("sft"), "open", "").is_ok());
    }

    #[test]
    fn what_is_looked_for_in_a_runs_own_folder_is_found_in_its_results() {
        let dir = tempfile::tempdir().unwrap();
        for result in ["sft/model", "dpo/adapter"] {
            std::fs::create_dir_all(dir.path().join(result)).unwrap();
        }
        std::fs::write(dir.path().join("sft/model/config.json"), "{}").unwrap();
        let near = |path: &str| near(&dir.path().join(path));
        let there = dir.path().display();
        assert_eq!(
            near("sft/config.json"),
            format!("; there is one in {there}/sft/model")
        );
        // Nothing of that name is in the adapter, nor beside the model of another run.
        assert_eq!(near("dpo/config.json"), "");
    }

    #[test]
    fn a_path_of_one_name_is_looked_for_here() {
        // Tests run in the folder of their crate.
        assert_eq!(near(Path::new("Crago.toml")), "; beside it: Cargo.toml");
        assert_eq!(near(Path::new("")), "");
        assert_eq!(near(Path::new("/")), "");
    }
}
