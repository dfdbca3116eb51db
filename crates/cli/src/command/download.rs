//! `candor download`

use std::io::Write as _;
use std::path::{Component, Path};

use anyhow::{Context as _, bail, ensure};
use candor_model::hub;

use super::hub_client::{Client, Kind};
use crate::arguments::DownloadArguments;

/// What a model folder may hold besides its weights; other files (examples, weights of other frameworks) stay where they
/// are.
const KINDS: [&str; 4] = ["json", "jinja", "model", "txt"];

/// What says that a folder holds a model or an adapter.
const CONFIGURATIONS: [&str; 2] = ["config.json", "adapter_config.json"];

/// Downloads a model into the cache that Hugging Face's tools use, where every command finds it by its name.
pub fn run(arguments: &DownloadArguments) -> anyhow::Result<()> {
    let name = &arguments.model;
    let Some(named) = hub::parse(Path::new(name)) else {
        bail!("{name} is not the name of a model; give it as org/name or org/name@revision");
    };
    let client = Client::open(&named, Kind::Model)?;
    let listed = client.listing(name)?.siblings.into_iter();
    let files: Vec<String> = listed.map(|file| file.name).collect();
    let wanted = wanted(&files);
    ensure!(
        wanted
            .last()
            .is_some_and(|last| CONFIGURATIONS.contains(last)),
        "{name} holds no model that candor could open: there is neither config.json nor adapter_config.json among its {} \
         files",
        files.len()
    );
    for (n, file) in wanted.iter().enumerate() {
        eprintln!("{} of {}: {file}", n + 1, wanted.len());
        client
            .fetch(file)
            .with_context(|| format!("{name}: {file}"))?;
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
