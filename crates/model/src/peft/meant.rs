//! Which modules of a model a configuration means: PEFT's rules, followed once for every tensor that the model has.
//!
//! With `ensure_weight_tying`, embedding and output layer are adapted or saved both as soon as either is named, if the
//! base has one matrix for both; where it has two, PEFT passes over the field.

use std::collections::BTreeSet;

use super::matching::{Matcher, Together};
use super::paths::Spelling;
use crate::llama::decoder::{EMBEDDING, HEAD};

/// What a configuration asks of a model.
#[derive(Debug, Default)]
pub(crate) struct Meant {
    /// Layers with a low-rank term.
    pub adapted: BTreeSet<String>,
    /// Tensors of modules that are saved as a whole.
    pub saved: BTreeSet<String>,
}

impl Meant {
    /// What is meant of a model with these tensors, by candor's names and numbers of dimensions, among them an output
    /// layer even where it is `tied` to the embedding.
    ///
    /// # Errors
    /// A pattern that takes too long.
    pub(crate) fn of<'t>(
        matcher: &Matcher<'_>,
        spelling: Spelling,
        tensors: impl Iterator<Item = (&'t str, usize)>,
        tied: bool,
    ) -> Result<Self, String> {
        let mut meant = Self::default();
        for (tensor, n_dims) in tensors {
            let in_file = spelling.in_file(tensor);
            let Some((module, parameter)) = in_file.rsplit_once('.') else {
                continue;
            };
            if matcher.saves(module) {
                meant.saved.insert(tensor.to_owned());
            }
            if parameter == "weight" && n_dims > 1 && matcher.targets(module, is_linear(tensor))? {
                meant.adapted.insert(layer(tensor).to_owned());
            }
        }
        match matcher.together()? {
            Some(Together::Saved) if tied => {
                for tensor in [EMBEDDING, HEAD] {
                    meant.saved.insert(tensor.to_owned());
                    meant.adapted.remove(layer(tensor));
                }
            }
            Some(Together::Adapted) if tied => {
                let both = [EMBEDDING, HEAD].map(|tensor| layer(tensor).to_owned());
                meant.adapted.extend(both);
            }
            _ => {}
        }
        Ok(meant)
    }
}

/// Whether a weight is a table whose rows are looked up.
pub(crate) fn is_table(tensor: &str) -> bool {
    let tables = [".position_embedding.weight", ".pos_embed.weight"];
    tensor == EMBEDDING || tables.iter().any(|end| tensor.ends_with(end))
}

/// What the embeddings of patches are called, which are convolutions.
const PATCHES: [&str; 2] = [".patch_embedding.weight", ".patch_embed.proj.weight"];

/// Whether `all-linear` means the layer of this weight, which has two dimensions or more.
fn is_linear(tensor: &str) -> bool {
    !is_table(tensor) && tensor != HEAD && !PATCHES.iter().any(|end| tensor.ends_with(end))
}

fn layer(tensor: &str) -> &str {
    tensor.strip_suffix(".weight").unwrap_or(tensor)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use candor_weights::Checkpoint;
    use serde_json::Value;

    use super::*;
    use crate::names::HUGGING_FACE;
    use crate::peft::matching::Targets;
    use crate::peft::paths::{LLAMA, TODAY};

    /// candor's names of the tensors of `llava_mha` and their numbers of dimensions.
    fn tensors(golden: &Path) -> Vec<(String, usize)> {
        let checkpoint = Checkpoint::open(golden.join("llava_mha/model.safetensors")).unwrap();
        let named = checkpoint.iter().filter_map(|(in_file, entry)| {
            Some((HUGGING_FACE.here(in_file)?, entry.shape().len()))
        });
        named.collect()
    }

    /// `parity/fixtures/rules.py`: names of modules in memory, as PEFT has wrapped them.
    #[test]
    fn modules_are_meant_as_by_peft() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let rules = std::fs::read(golden.join("adapters/rules.json")).unwrap();
        let rules: Vec<Value> = serde_json::from_slice(&rules).unwrap();
        let tensors = tensors(&golden);
        let mut n_compared = 0;
        for rule in &rules {
            let names = |field: &str| {
                let names = rule[field].as_array()?.iter();
                Some(
                    names
                        .map(|name| name.as_str().unwrap().to_owned())
                        .collect(),
                )
            };
            let (Some(adapted), Some(saved)): (Option<Vec<String>>, Option<Vec<String>>) =
                (names("adapted"), names("saved"))
            else {
                continue;
            };
            let spelling = if rule["model"] == "llama" {
                LLAMA
            } else {
                TODAY
            };
            let targets: Targets = serde_json::from_value(rule["fields"].clone()).unwrap();
            assert_eq!(targets.contradiction(), None);
            let here = tensors
                .iter()
                .map(|(name, n_dims)| (name.as_str(), *n_dims));
            let here = here
                .filter(|(name, _)| spelling.has_tower() || name.starts_with("language_model."));
            let tied = rule["tied"].as_bool().unwrap();
            let meant =
                Meant::of(&targets.matcher().unwrap(), spelling, here.clone(), tied).unwrap();
            let in_file = |name: &String| spelling.layer_in_file(name);
            let found: BTreeSet<String> = meant.adapted.iter().map(in_file).collect();
            let expected: BTreeSet<String> = adapted.into_iter().collect();
            assert_eq!(found, expected, "adapted by {rule}");
            let inside = |tensor: &str| {
                let tensor = spelling.in_file(tensor);
                saved.iter().any(|module| {
                    let rest = tensor.strip_prefix(module.as_str());
                    rest.is_some_and(|rest| rest.starts_with('.'))
                })
            };
            let expected = here.map(|(name, _)| name).filter(|name| inside(name));
            let expected: BTreeSet<String> = expected.map(str::to_owned).collect();
            assert_eq!(meant.saved, expected, "saved by {rule}");
            n_compared += 1;
        }
        assert!(n_compared > 50, "{n_compared}");
    }
}
