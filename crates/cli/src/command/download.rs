//! `candor download`

use std::io::Write as _;
use std::path::{Component, Path};
use std::{env, fs};

use anyhow::{Context as _, bail, ensure};
use candor_data::sha256;
use candor_model::hub::{self, Named};
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Repo, RepoType};

use crate::arguments::DownloadArguments;

/// What is tried before a connection that breaks is given up.
const RETRIES: usize = 5;

/// What a model folder may hold besides its weights; other files (examples, weights of other frameworks) stay where they
/// are.
const KINDS: [&str; 4] = ["json", "jinja", "model", "txt"];

/// What says that a folder holds a model or an adapter.
const CONFIGURATIONS: [&str; 2] = ["config.json", "adapter_config.json"];

/// Downloads a model into the cache that Hugging Face's tools use, where every command finds it by its name.
pub fn run(arguments: &DownloadArguments) -> anyhow::Result<()> {
    let name = &arguments.model;
    let Some(Named {
        repository,
        revision,
    }) = hub::parse(Path::new(name))
    else {
        bail!("{name} is not the name of a model; give it as org/name or org/name@revision");
    };
    let cache =
        hub::cache_folder().context("HOME is not set; say in HF_HOME where models are kept")?;
    ensure!(
        !env::var("HF_HUB_OFFLINE").is_ok_and(|offline| !matches!(offline.as_str(), "" | "0")),
        "HF_HUB_OFFLINE is set, so nothing is downloaded; unset it"
    );
    let mut builder = ApiBuilder::from_env()
        .with_cache_dir(cache)
        .with_retries(RETRIES);
    if let Some(token) = env::var("HF_TOKEN").ok().filter(|token| !token.is_empty()) {
        builder = builder.with_token(Some(token));
    }
    let model = builder.build()?.repo(Repo::with_revision(
        repository.clone(),
        RepoType::Model,
        revision.clone(),
    ));
    let listed = model.info().map_err(|error| explain(&error, name))?;
    let names: Vec<String> = listed
        .siblings
        .into_iter()
        .map(|file| file.rfilename)
        .collect();
    let wanted = wanted(&names);
    ensure!(
        wanted
            .last()
            .is_some_and(|last| CONFIGURATIONS.contains(last)),
        "{name} holds no model that candor could open: there is neither config.json nor adapter_config.json among its {} \
         files",
        names.len()
    );
    for (n, file) in wanted.iter().enumerate() {
        eprintln!("{} of {}: {file}", n + 1, wanted.len());
        fetch(&model, file).with_context(|| format!("{name}: {file}"))?;
    }
    let folder = hub::find(Path::new(name))?;
    writeln!(std::io::stdout(), "{}", folder.display())?;
    Ok(())
}

/// The files to take, in the order to take them: the configuration comes last, so that a folder without it is known to
/// be unfinished.
fn wanted(names: &[String]) -> Vec<&str> {
    let is_plain = |name: &&str| {
        let mut parts = Path::new(name).components();
        matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        )
    };
    let ends_in = |name: &str, kind: &str| Path::new(name).extension().is_some_and(|e| e == kind);
    let names: Vec<&str> = names.iter().map(String::as_str).filter(is_plain).collect();
    let has_safetensors = names.iter().any(|name| ends_in(name, "safetensors"));
    let weights = if has_safetensors {
        "safetensors"
    } else {
        "bin"
    };
    let is_index_of_bin = |name: &str| has_safetensors && name.ends_with(".bin.index.json");
    let mut wanted: Vec<&str> = names
        .into_iter()
        .filter(|name| ends_in(name, weights) || KINDS.iter().any(|kind| ends_in(name, kind)))
        .filter(|name| !is_index_of_bin(name))
        .collect();
    wanted.sort_by_key(|name| match *name {
        name if CONFIGURATIONS.contains(&name) => 2,
        name if ends_in(name, weights) => 1,
        _ => 0,
    });
    wanted
}

/// Downloads one file unless the cache has it.
fn fetch(model: &ApiRepo, file: &str) -> anyhow::Result<()> {
    let path = model.get(file).map_err(|error| explain(&error, file))?;
    // Large files are named after their SHA-256, small ones after git's hash, which has 40 digits.
    let blob = fs::canonicalize(&path)?;
    let Some(promised) = blob
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|name| name.len() == 64)
    else {
        return Ok(());
    };
    let found = sha256::of_file(&blob)?;
    if found != promised {
        fs::remove_file(&path)?;
        fs::remove_file(&blob)?;
        bail!(
            "it arrived damaged (SHA-256 {found} instead of {promised}) and was removed; download it again"
        );
    }
    Ok(())
}

/// What a refusal of the server means and what to do about it.
fn explain(error: &ApiError, name: &str) -> anyhow::Error {
    let message = error.to_string();
    let remedy = if message.contains("status: 401") || message.contains("status: 403") {
        "it does not exist or may not be read without an account: accept its conditions on its page, and put your token into \
         HF_TOKEN"
    } else if message.contains("status: 404") {
        "there is no such model or revision; look at the spelling"
    } else if let ApiError::LockAcquisition(_) = error {
        "another program is downloading it; wait until it is done"
    } else {
        "try again: what has arrived is kept"
    };
    anyhow::anyhow!("{name} cannot be downloaded: {message}; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn weights_of_one_kind_are_taken_and_the_configuration_last() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let listed = names(&[
            ".gitattributes",
            "README.md",
            "config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "pytorch_model-00001-of-00001.bin",
            "pytorch_model.bin.index.json",
            "onnx/model.onnx",
            "../tokenizer.json",
            "sub/config.json",
            "tokenizer.model",
            "chat_template.jinja",
        ]);
        assert_eq!(
            wanted(&listed),
            [
                "model.safetensors.index.json",
                "tokenizer.model",
                "chat_template.jinja",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "config.json"
            ]
        );
        assert_eq!(
            wanted(&names(&[
                "config.json",
                "pytorch_model.bin",
                "mm_projector.bin"
            ])),
            ["pytorch_model.bin", "mm_projector.bin", "config.json"]
        );
    }
}
