//! `candor download`

use std::io::Write as _;
use std::path::{Component, Path};

use anyhow::{Context as _, bail, ensure};
use candor_model::hub::{self, Named};

use super::hub_client::{Client, Kind};
use crate::arguments::DownloadArguments;

/// What a model folder may hold besides its weights; other files (examples, weights of other frameworks) stay where they
/// are.
const KINDS: [&str; 4] = ["json", "jinja", "model", "txt"];

/// What says that a folder holds a model or an adapter.
const CONFIGURATIONS: [&str; 2] = ["config.json", "adapter_config.json"];

/// What weights are called as .bin files and as .safetensors files; of what is there as both, the latter are taken.
const SPELLINGS: [[&str; 2]; 2] = [
    ["pytorch_model", "model"],
    ["adapter_model", "adapter_model"],
];

/// What stands beside other weights, however those are spelled: a projector.
const BESIDE: [&str; 2] = ["non_lora_trainables.bin", "mm_projector.bin"];

/// Downloads a model into the cache that Hugging Face's tools use, where every command finds it by its name.
pub fn run(arguments: &DownloadArguments) -> anyhow::Result<()> {
    let name = &arguments.model;
    let Some(named) = hub::parse(Path::new(name)) else {
        bail!("{name} is not the name of a model; give it as org/name or org/name@revision");
    };
    let of_revision = Client::open(&named, Kind::Model)?;
    let listing = of_revision.listing(name)?;
    let files: Vec<String> = listing
        .siblings
        .iter()
        .map(|file| file.name.clone())
        .collect();
    let wanted = wanted(&files);
    ensure!(
        wanted
            .last()
            .is_some_and(|last| CONFIGURATIONS.contains(last)),
        "{name} holds no model that candor could open: there is neither config.json nor adapter_config.json among its {} \
         files",
        files.len()
    );
    // Only files of the commit that was listed are taken, from the cache as well; the name means it once all are there.
    let commit = Named {
        revision: listing.sha.clone(),
        ..named
    };
    let client = Client::open(&commit, Kind::Model)?;
    for (n, file) in wanted.iter().enumerate() {
        eprintln!("{} of {}: {file}", n + 1, wanted.len());
        for listed in listing.siblings.iter().filter(|it| it.name == **file) {
            client.link(listed)?;
        }
        client
            .fetch(file)
            .with_context(|| format!("{name}: {file}"))?;
    }
    of_revision.refer(&listing.sha)?;
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
    // One file or several that are numbered, and their index.
    let is_called = |name: &str, spelling: &str| {
        let rest = name.strip_prefix(spelling);
        rest.is_some_and(|rest| rest.starts_with(['.', '-']))
    };
    let is_safetensors = |name: &&str| ends_in(name, "safetensors");
    let has_safetensors = names.iter().any(is_safetensors);
    let is_left_out = |name: &str| {
        if !ends_in(name, "bin") && !name.ends_with(".bin.index.json") {
            return false;
        }
        match SPELLINGS.iter().find(|[bin, _]| is_called(name, bin)) {
            Some([_, other]) => {
                let mut safe = names.iter().filter(|name| is_safetensors(name));
                safe.any(|name| is_called(name, other))
            }
            None => has_safetensors && !BESIDE.contains(&name),
        }
    };
    let is_weights = |name: &str| ends_in(name, "safetensors") || ends_in(name, "bin");
    let is_taken = |name: &str| is_weights(name) || KINDS.iter().any(|kind| ends_in(name, kind));
    let mut wanted: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| is_taken(name) && !is_left_out(name))
        .collect();
    wanted.sort_by_key(|name| match *name {
        name if CONFIGURATIONS.contains(&name) => 2,
        name if is_weights(name) => 1,
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

    #[test]
    fn a_projector_beside_an_adapter_is_taken_in_whatever_spelling() {
        let taken = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            wanted(&names)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            taken(&[
                "adapter_config.json",
                "adapter_model.safetensors",
                "config.json",
                "non_lora_trainables.bin"
            ]),
            [
                "adapter_model.safetensors",
                "non_lora_trainables.bin",
                "adapter_config.json",
                "config.json"
            ]
        );
        // What a trainer leaves beside them is no weights, and a projector stands for no model.
        assert_eq!(
            taken(&[
                "adapter_model.bin",
                "adapter_model.safetensors",
                "mm_projector.safetensors",
                "pytorch_model-00001-of-00001.bin",
                "pytorch_model.bin.index.json",
                "training_args.bin",
                "config.json"
            ]),
            [
                "pytorch_model.bin.index.json",
                "adapter_model.safetensors",
                "mm_projector.safetensors",
                "pytorch_model-00001-of-00001.bin",
                "config.json"
            ]
        );
    }
}
