//! Finding the model that an adapter was trained on.
//!
//! `base_model_name_or_path` is what the training code was given: a path on a machine that may be another one, or a
//! name on the hub.

use std::path::{Path, PathBuf};

use super::config::Declared;
use super::{CONFIG, is_adapter};
use crate::{ModelError, hub};

/// The base that the configuration of the adapter in `folder` names, if it names one.
fn named_base(folder: &Path) -> Result<Option<String>, ModelError> {
    let named = Declared::read(&folder.join(CONFIG))?.base_model_name_or_path;
    Ok(named.filter(|name| !name.is_empty()))
}

/// The base of the adapter in `folder`: what `base_model_name_or_path` names, which may be a folder, a model in the cache
/// of Hugging Face, or a folder of the same name around the adapter ([`hub::find_near`]).
fn find_base(folder: &Path) -> Result<PathBuf, ModelError> {
    let config = folder.join(CONFIG);
    let Some(named) = named_base(folder)? else {
        return Err(ModelError::Config {
            path: config,
            problem: "`base_model_name_or_path` is empty".to_owned(),
            remedy: "say which model the adapter belongs to (--base), or name the model and then --adapter",
        });
    };
    let remedy = format!(
        "{} names it as the adapter's base; say where it is now (--base), or name the model and then --adapter",
        config.display()
    );
    hub::find_near(Path::new(&named), folder, remedy)
}

/// The refusal of the adapter in `folder` where a model is needed.
pub(crate) fn alone(folder: &Path) -> ModelError {
    let not_named = || format!("not named in its {CONFIG}");
    match named_base(folder) {
        Ok(base) => ModelError::AdapterAlone {
            path: folder.to_owned(),
            base: base.unwrap_or_else(not_named),
        },
        Err(damaged) => damaged,
    }
}

/// The model and the adapter that are meant where a model is named and perhaps an adapter: an adapter that is named in
/// the place of its model brings its base along.
///
/// # Errors
/// Two adapters are named, the adapter's configuration cannot be read, or its base is not found; all places looked at are
/// named.
pub fn with_base(
    model: &Path,
    adapter: Option<&Path>,
) -> Result<(PathBuf, Option<PathBuf>), ModelError> {
    let found = hub::find(model).ok().filter(|folder| is_adapter(folder));
    match (found, adapter) {
        (None, adapter) => Ok((model.to_owned(), adapter.map(Path::to_owned))),
        (Some(folder), None) => Ok((find_base(&folder)?, Some(folder))),
        (Some(folder), Some(_)) => Err(alone(&folder)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ModelFolder;

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
        let message = find_base(&run).unwrap_err().to_string();
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
        assert_eq!(find_base(&run).unwrap(), beside_run);
        let beside = model(&dir.path().join("run/llava-7b"));
        assert_eq!(find_base(&run).unwrap(), beside);
        let named = model(&dir.path().join("elsewhere/llava-7b"));
        adapter(&run, named.to_str().unwrap());
        assert_eq!(find_base(&run).unwrap(), named);
    }

    #[test]
    fn a_base_around_its_adapter_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let base = model(&dir.path().join("llava-7b"));
        let run = base.join("adapter");
        adapter(&run, "somewhere/llava-7b");
        assert_eq!(find_base(&run).unwrap(), base);
        adapter(&run, "somewhere/llava-13b");
        assert!(find_base(&run).is_err());
        adapter(&run, "");
        let message = find_base(&run).unwrap_err().to_string();
        assert!(message.contains("base_model_name_or_path"), "{message}");
    }

    #[test]
    fn a_relative_name_is_followed_from_every_folder_around() {
        let dir = tempfile::tempdir().unwrap();
        let base = model(&dir.path().join("runs/demo/sft/model"));
        let run = dir.path().join("runs/demo/ppo/adapters/step-3");
        adapter(&run, "runs/demo/sft/model");
        assert_eq!(find_base(&run).unwrap(), base);
        adapter(&run, "../../../sft/model");
        assert_eq!(find_base(&run).unwrap().canonicalize().unwrap(), base);
    }

    #[test]
    fn an_adapter_in_the_place_of_a_model_brings_its_base() {
        let dir = tempfile::tempdir().unwrap();
        let base = model(&dir.path().join("llava-7b"));
        let run = dir.path().join("adapter");
        adapter(&run, "llava-7b");
        assert_eq!(
            with_base(&run, None).unwrap(),
            (base.clone(), Some(run.clone()))
        );
        let both = with_base(&base, Some(&run)).unwrap();
        assert_eq!(both, (base, Some(run.clone())));
        let message = with_base(&run, Some(&run)).unwrap_err().to_string();
        assert!(message.contains("name the base"), "{message}");
        // Where nothing but a model will do, an adapter is told from one.
        let message = ModelFolder::find(&run).unwrap_err().to_string();
        let command = format!("candor export {} --merge", run.display());
        for words in [
            "holds an adapter and no model",
            "its base is llava-7b (",
            &command,
        ] {
            assert!(message.contains(words), "{words}: {message}");
        }
        adapter(&run, "");
        let message = ModelFolder::find(&run).unwrap_err().to_string();
        assert!(
            message.contains("its base is not named in its adapter_config.json"),
            "{message}"
        );
        fs::write(run.join(CONFIG), "{").unwrap();
        let message = ModelFolder::find(&run).unwrap_err().to_string();
        assert!(message.contains("adapter/adapter_config.json"), "{message}");
        // What is no folder is for whoever opens it to refuse.
        assert!(with_base(Path::new("/no/such"), None).is_ok());
    }
}
