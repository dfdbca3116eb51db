//! Finding the model that an adapter was trained on.
//!
//! `base_model_name_or_path` is what the training code was given: a path on a machine that may be another one, or a
//! name on the hub. It says nothing about the content, so only a folder of that name is ever taken.

use std::path::{Path, PathBuf};

use super::CONFIG;
use super::config::Declared;
use crate::{ModelError, hub};

/// The base of the adapter in `folder`: `given`, if it is; or else what `base_model_name_or_path` names, which may be
/// a folder, a model in the cache of Hugging Face, or a folder of the same name beside the adapter or above it.
///
/// # Errors
/// The adapter's configuration cannot be read, or there is no such folder; all places looked at are named.
pub fn find_base(folder: &Path, given: Option<&Path>) -> Result<PathBuf, ModelError> {
    if let Some(given) = given {
        return hub::find(given);
    }
    let config = folder.join(CONFIG);
    let named = Declared::read(&config)?.base_model_name_or_path;
    let Some(named) = named.filter(|name| !name.is_empty()) else {
        return Err(ModelError::Config {
            path: config,
            problem: "`base_model_name_or_path` is empty".to_owned(),
            remedy: "say which model the adapter belongs to (--base)",
        });
    };
    let named = PathBuf::from(named);
    let not_found = match hub::find(&named) {
        Ok(found) if is_model(&found) => return Ok(found),
        Ok(found) => format!("{} (no config.json in it)", found.display()),
        Err(ModelError::NoModel { looked_in, .. }) => looked_in,
        Err(other) => return Err(other),
    };
    let beside = beside(folder, &named);
    if let Some(found) = beside.iter().find(|path| is_model(path)) {
        return Ok(found.clone());
    }
    let beside: Vec<_> = beside.iter().map(|p| p.display().to_string()).collect();
    Err(ModelError::NoModel {
        name: named.display().to_string(),
        looked_in: format!("{not_found}, {}", beside.join(", ")),
        remedy: format!(
            "{} names it as the adapter's base; say where it is now (--base)",
            config.display()
        ),
    })
}

/// Folders of the base's name around the adapter: beside it, in it, and the two around it.
fn beside(folder: &Path, named: &Path) -> Vec<PathBuf> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let Some(name) = named.file_name() else {
        return Vec::new();
    };
    let above: Vec<&Path> = folder.ancestors().skip(1).take(2).collect();
    let inside = above.iter().map(|above| above.join(name));
    let is_it = |above: &&&Path| above.file_name() == Some(name);
    let itself = above.iter().filter(is_it).map(|above| above.to_path_buf());
    inside.chain([folder.join(name)]).chain(itself).collect()
}

fn is_model(folder: &Path) -> bool {
    folder.join("config.json").is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn adapter(folder: &Path, base: &str) {
        fs::create_dir_all(folder).unwrap();
        let config = serde_json::json!({
            "peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"],
            "base_model_name_or_path": base,
        });
        fs::write(folder.join(CONFIG), config.to_string()).unwrap();
    }

    fn model(folder: &Path) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("config.json"), "{}").unwrap();
        folder.canonicalize().unwrap()
    }

    #[test]
    fn a_base_is_found_where_it_is_named_or_near() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run/adapter");
        adapter(&run, "/no/such/machine/llava-7b");
        let message = find_base(&run, None).unwrap_err().to_string();
        for place in [
            "/no/such/machine/llava-7b",
            "run/llava-7b",
            "--base",
            CONFIG,
        ] {
            assert!(message.contains(place), "{message}");
        }
        // From the farthest place to the nearest, each of which counts before those that are there already.
        let beside_run = model(&dir.path().join("llava-7b"));
        assert_eq!(find_base(&run, None).unwrap(), beside_run);
        let beside = model(&dir.path().join("run/llava-7b"));
        assert_eq!(find_base(&run, None).unwrap(), beside);
        let named = model(&dir.path().join("elsewhere/llava-7b"));
        adapter(&run, named.to_str().unwrap());
        assert_eq!(find_base(&run, None).unwrap(), named);
        assert_eq!(find_base(&run, Some(&beside)).unwrap(), beside);
        assert!(find_base(&run, Some(Path::new("/no/such"))).is_err());
    }

    #[test]
    fn a_base_around_its_adapter_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let base = model(&dir.path().join("llava-7b"));
        let run = base.join("adapter");
        adapter(&run, "somewhere/llava-7b");
        assert_eq!(find_base(&run, None).unwrap(), base);
        adapter(&run, "somewhere/llava-13b");
        assert!(find_base(&run, None).is_err());
        adapter(&run, "");
        let message = find_base(&run, None).unwrap_err().to_string();
        assert!(message.contains("base_model_name_or_path"), "{message}");
    }
}
