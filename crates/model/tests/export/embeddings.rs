//! Adapters that change the embedding or the output layer (`parity/fixtures/embeddings.py`), merged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candor_model::export::Export;
use candor_model::tensor_file;
use candor_weights::Checkpoint;
use serde_json::{Value, json};
use tch::{Device, Tensor};

use crate::against::{Golden, assert_absolute, golden_folder};
use crate::merging::{assert_unmerged, base_of, logits, merge};
use crate::{exported, json_of};

/// Every so many positions are in the golden file.
const STRIDE: i64 = 4;
const WRAPPER: &str = "base_model.model.";
const EMBED: &str = "model.language_model.embed_tokens";

fn folder(name: &str) -> PathBuf {
    golden_folder("embeddings").join(name)
}

/// The model in `out`, asked what `PEFT` was asked about the adapter `name`.
fn assert_logits(out: &Path, name: &str, what: &str, golden: &Golden) {
    let tie = name.split('_').next().expect("a base");
    let ids = golden.get(&format!("{tie}.input_ids"));
    let found = logits(out, ids, golden.find(&format!("{tie}.pixel_values")));
    let found = found.slice(1, None, None, STRIDE);
    let expected = golden.get(&format!("{name}.logits"));
    assert_absolute("merged", &format!("{name}{what}"), &found, expected);
}

fn golden() -> Golden {
    Golden::open(&golden_folder("embeddings"), "expected.safetensors")
}

fn base_for(name: &str) -> tempfile::TempDir {
    base_of(if name.starts_with("tied") {
        "llava_tied"
    } else {
        "llava_mha"
    })
}

#[test]
fn words_are_merged_as_they_were_trained() {
    let golden = golden();
    let mut n_folders = 0;
    for entry in fs::read_dir(golden_folder("embeddings")).expect("golden folders") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !path.is_dir() {
            continue;
        }
        n_folders += 1;
        let base = base_for(&name);
        let (_dir, out, report) = exported(&merge(base.path(), &path));
        assert_logits(&out, &name, "", &golden);
        assert_unmerged(&name, report);
        // Two tensors and a configuration that says so, wherever something stands beside the one that was there.
        let is_one = name == "tied_resized";
        let config = json_of(&out.join("config.json"));
        for tie in [
            &config["tie_word_embeddings"],
            &config["text_config"]["tie_word_embeddings"],
        ] {
            assert_eq!(tie, &json!(is_one), "{name}");
        }
        let tensors = Checkpoint::open(out.join("model.safetensors")).expect("it opens");
        let n_heads = tensors
            .iter()
            .filter(|(name, _)| name.contains("lm_head"))
            .count();
        assert_eq!(n_heads, usize::from(!is_one), "{name}");
    }
    assert_eq!(n_folders, 30);
}

/// A copy of a folder, with fields and tensors changed.
fn changed(
    name: &str,
    fields: impl Fn(&mut Value),
    tensors: impl Fn(&mut BTreeMap<String, Tensor>),
) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    let mut config = json_of(&folder(name).join("adapter_config.json"));
    fields(&mut config);
    fs::write(copy.path().join("adapter_config.json"), config.to_string()).expect("it is written");
    let mut all =
        tensor_file::read(&folder(name).join("adapter_model.safetensors")).expect("tensors");
    tensors(&mut all);
    let named = all.iter().map(|(name, tensor)| (name.as_str(), tensor));
    tensor_file::write(&copy.path().join("adapter_model.safetensors"), named, None)
        .expect("written");
    copy
}

/// PEFT passes over the field where nothing is tied (`parity/fixtures/embeddings.py` holds that).
#[test]
fn ensuring_ties_does_nothing_where_there_are_none() {
    let golden = golden();
    for name in [
        "untied_embed_saved",
        "untied_head_saved",
        "untied_embed_lora",
        "untied_both_lora",
    ] {
        let ensured = changed(
            name,
            |config| config["ensure_weight_tying"] = json!(true),
            |_| (),
        );
        let base = base_for(name);
        let (_dir, out, _) = exported(&merge(base.path(), ensured.path()));
        assert_logits(&out, name, " ensured", &golden);
    }
}

/// The names of other versions of transformers, and of the state of a model in memory.
#[test]
fn names_of_other_versions_are_the_same_modules() {
    let golden = golden();
    let renamed = |rename: &dyn Fn(&str) -> String, name: &str, what: &str| {
        let copy = changed(
            name,
            |_| (),
            |tensors| {
                let old = std::mem::take(tensors);
                tensors.extend(
                    old.into_iter()
                        .map(|(name, tensor)| (rename(&name), tensor)),
                );
            },
        );
        let base = base_for(name);
        let (_dir, out, _) = exported(&merge(base.path(), copy.path()));
        assert_logits(&out, name, what, &golden);
    };
    let earlier = |name: &str| {
        let path = name.strip_prefix(WRAPPER).unwrap();
        let path = match path.strip_prefix("model.language_model.") {
            Some(rest) => format!("language_model.model.{rest}"),
            None => format!("language_model.{path}"),
        };
        format!("{WRAPPER}{path}")
    };
    // The original LLaVA's, whose blocks stand beside a tower that has no adapter.
    let llama = |name: &str| name.replace(".model.language_model.", ".model.");
    let in_memory = |name: &str| {
        let copy = |module: &str| {
            name.replace(
                &format!("{module}.weight"),
                &format!("{module}.modules_to_save.default.weight"),
            )
        };
        let half = |half: &str| format!("{half}.default");
        match name {
            _ if name.contains("embedding_") => half(name),
            _ if name.contains("lora_") => name.replace(".weight", ".default.weight"),
            _ if name.contains("embed_tokens") => copy("embed_tokens"),
            _ => copy("lm_head"),
        }
    };
    for tie in ["tied", "untied"] {
        for what in ["both_saved", "both_lora", "embed_lora_head_saved"] {
            let name = format!("{tie}_{what}");
            renamed(&earlier, &name, " by earlier names");
            renamed(&llama, &name, " by the original LLaVA's names");
        }
        renamed(
            &in_memory,
            &format!("{tie}_both_saved"),
            " by names in memory",
        );
        renamed(
            &in_memory,
            &format!("{tie}_embed_lora"),
            " by names in memory",
        );
    }
}

fn refused(export: &Export) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let refused = export.write(&dir.path().join("exported"), Device::Cpu);
    refused.expect_err("it is refused").to_string()
}

#[test]
fn what_configuration_and_tensors_disagree_about_is_refused() {
    let all = |_: &mut Value| ();
    let without = |part: &'static str| {
        move |tensors: &mut BTreeMap<String, Tensor>| tensors.retain(|name, _| !name.contains(part))
    };
    let other = |from: &'static str, to: &'static str| {
        move |tensors: &mut BTreeMap<String, Tensor>| {
            let tensor = tensors
                .remove(&format!("{WRAPPER}{from}"))
                .expect("the tensor");
            tensors.insert(format!("{WRAPPER}{to}"), tensor);
        }
    };
    let cases: [(&str, tempfile::TempDir, &[&str]); 8] = [
        (
            "untied",
            changed("untied_both_saved", all, without("lm_head")),
            &["lm_head.weight", "is missing, and `modules_to_save` means"],
        ),
        (
            "untied",
            changed("untied_head_lora", all, without("lm_head")),
            &[
                "lm_head.lora_A.weight",
                "is missing, and `target_modules` means",
            ],
        ),
        (
            "untied",
            changed("untied_embed_lora", all, without("embed_tokens")),
            &[
                "embed_tokens.lora_embedding_A",
                "is missing, and `target_modules` means",
            ],
        ),
        (
            "tied",
            changed("tied_embed_saved_ensured", all, without("lm_head")),
            &["lm_head.weight", "is missing, and `modules_to_save` means"],
        ),
        (
            "untied",
            changed(
                "untied_head_lora",
                |config| config["target_modules"] = json!(["q_proj"]),
                |_| (),
            ),
            &["lm_head.lora_A.weight", "`target_modules` does not mean"],
        ),
        (
            "untied",
            changed(
                "untied_both_lora",
                all,
                without("embed_tokens.lora_embedding"),
            ),
            &[
                "embed_tokens.base_layer.weight",
                "lies beneath a LoRA layer that is not there",
            ],
        ),
        (
            "tied",
            changed("tied_resized", all, |tensors| {
                let head = tensors
                    .get_mut(&format!("{WRAPPER}lm_head.weight"))
                    .expect("the head");
                *head = &*head + 1.0;
            }),
            &["lm_head.weight", "differs from the embedding beside it"],
        ),
        (
            "untied",
            changed(
                "untied_embed_saved",
                all,
                other(
                    "model.language_model.embed_tokens.weight",
                    "model.language_model.embed.weight",
                ),
            ),
            &["embed.weight", "nor in `modules_to_save`"],
        ),
    ];
    for (tie, adapter, words) in cases {
        let base = base_for(tie);
        let message = refused(&merge(base.path(), adapter.path()));
        for word in words {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
        assert!(message.contains("adapter_model.safetensors"), "{message}");
    }
}

/// A configuration that means a whole layer of which there is no tensor, where the adapter is not merged.
#[test]
fn an_adapter_is_not_opened_without_the_layers_that_it_means() {
    let copy = changed(
        "untied_head_lora",
        |_| (),
        |tensors| tensors.retain(|name, _| !name.contains("lm_head")),
    );
    let model = crate::against::open_model("llava_mha");
    let opened = candor_model::Adapter::open(copy.path(), &model);
    let message = opened.unwrap_err().to_string();
    assert!(
        message.contains("lm_head.lora_A.weight` is missing"),
        "{message}"
    );
    let opened = candor_model::Adapter::open(&folder("untied_embed_lora"), &model);
    let message = opened.unwrap_err().to_string();
    assert!(
        message.contains(EMBED) && message.contains("candor export"),
        "{message}"
    );
}
