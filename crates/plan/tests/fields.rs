//! The reference of recipe fields: complete, as the page has it, and saying what it should.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use candor_plan::{STAGES, recipe_fields};

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_page_is_what_the_command_prints() {
    let page = fs::read_to_string(root().join("docs/recipe-fields.md")).unwrap_or_default();
    let now = recipe_fields(None);
    if page != now {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("recipe-fields.md");
        fs::write(&fresh, now).unwrap();
        panic!(
            "docs/recipe-fields.md is stale: copy {} there, which is what `candor recipe fields` prints",
            fresh.display()
        );
    }
}

#[test]
fn every_field_says_what_it_is() {
    for stage in STAGES {
        for line in recipe_fields(Some(stage)).lines().skip(3) {
            let Some((key, rest)) = line.strip_prefix("- `").and_then(|l| l.split_once("`: "))
            else {
                assert!(line.is_empty(), "{stage}: {line}");
                continue;
            };
            let meaning = rest.split_once(". ").map_or("", |(_, meaning)| meaning);
            assert!(
                meaning.len() > 3 && meaning.ends_with('.'),
                "{stage}: {key}: {rest}"
            );
        }
    }
}

#[test]
fn types_ranges_and_conditions_are_those_of_the_reader() {
    let sft = recipe_fields(Some("sft"));
    for line in [
        "- `seed`: integer of at least 0; required. ",
        "- `optimizer.beta1`: number at least 0 and below 1; required. ",
        "- `run.steps`: integer above 0; one of `run.steps` and `run.epochs`. ",
        "- `model.base_precision`: \"f32\" or \"bf16\" or \"int8\" or \"nf4\"; optional, else \"f32\". ",
        "- `model.lora.r`: integer at least 1 and at most 4096; required; only with `model.tune` \"lora\" and `model.lora` given. ",
        "- `data.sources[].questions`: path; required; only with `data.sources[].format` \"vqa_v2\". ",
        "- `data.sources[].image_name`: string; required; only with `data.sources[].format` \"vqa_v2\" or \"a_okvqa\". ",
        "- `data.sources[].path`: path; required; only with `data.sources[].format` \"llava\" or \"a_okvqa\" or \"flickr30k\" or \"messages\". ",
    ] {
        assert!(sft.contains(line), "{line}\n{sft}");
    }
}

/// Every key of the shipped recipes, `[]` for the elements of an array.
fn keys(value: &toml::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let key = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                keys(value, &key, found);
            }
        }
        toml::Value::Array(items)
            if items.iter().all(toml::Value::is_table) && !items.is_empty() =>
        {
            for item in items {
                keys(item, &format!("{path}[]"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_shipped_recipes_have_no_key_that_is_not_listed() {
    let page = recipe_fields(None);
    let mut found = BTreeSet::new();
    for name in [
        "demo",
        "llava-7b-224",
        "llava-7b-224/dpo",
        "llava-7b-224/grpo",
        "llava-13b-336",
        "ppo",
        "dpo",
    ] {
        for entry in fs::read_dir(root().join("recipes").join(name)).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let table: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
                keys(&toml::Value::Table(table), "", &mut found);
            }
        }
    }
    found.remove("extends");
    assert!(found.len() > 80, "{found:?}");
    for key in found {
        assert!(page.contains(&format!("- `{key}`: ")), "{key}");
    }
}
