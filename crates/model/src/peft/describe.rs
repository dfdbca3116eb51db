//! Writing down which layers have an adapter, of which rank and scale, in PEFT's rules.
//!
//! The rules are as short as they can be without meaning more: a layer's last name where all blocks agree on it, whole
//! names where they do not. PEFT matches the keys of its patterns as regular expressions, for which the dots of a name
//! are any character; no two layers of a model differ in just that.

use std::collections::BTreeMap;

use super::Term;
use super::config::LoraConfig;
use super::paths::{Spelling, is_of_tower, is_of_vision, slot_of};
use crate::ModelConfig;
use crate::llama::layers::TARGETS;
use crate::lora::vision_layers;

/// Fills targets and patterns of `config` for these terms, by candor's names of layers, of a model of this configuration.
pub(crate) fn fill(
    config: &mut LoraConfig,
    terms: &BTreeMap<String, Term>,
    spelling: Spelling,
    model: &ModelConfig,
) {
    let n_blocks = model.text().num_hidden_layers;
    config.with_tower = terms.keys().any(|name| is_of_tower(name));
    // A LLaMA may have a tower beside it or none, of which PEFT would complain if it were to be left out.
    if config.with_tower || !spelling.has_tower() {
        config.exclude_modules = None;
    }
    // Without an exclusion a last name means the tower's layers of that name too.
    let in_tower: Vec<String> = if config.with_tower {
        let layers = vision_layers(model).filter_map(|tensor| Some(tensor.linear()?.0.to_owned()));
        layers.filter(|layer| is_of_tower(layer)).collect()
    } else {
        Vec::new()
    };
    for target in TARGETS {
        let ends = |name: &str| slot_of(name).is_some_and(|(_, slot)| TARGETS[slot] == target);
        let of_target = terms.iter().filter(|(name, _)| ends(name));
        let of_target: Vec<(String, &Term)> = of_target
            .map(|(name, term)| (spelling.layer_in_file(name), term))
            .collect();
        let Some((_, first)) = of_target.first() else {
            continue;
        };
        let same = |term: &Term| (term.r, term.alpha) == (first.r, first.alpha);
        let called = |layer: &&String| layer.rsplit('.').next() == Some(target);
        let tower_agrees =
            (in_tower.iter().filter(called)).all(|layer| terms.get(layer).is_some_and(same));
        let agree = of_target.len() == n_blocks as usize && tower_agrees;
        if agree && spelling.has_tower() {
            config.target_modules.push(target.to_owned());
        } else {
            let names = of_target.iter().map(|(name, _)| name.clone());
            config.target_modules.extend(names);
        }
        if agree && of_target.iter().all(|(_, term)| same(term)) {
            pattern(config, target, first);
        } else {
            for (name, term) in &of_target {
                pattern(config, name, term);
            }
        }
    }
    for (here, term) in terms.iter().filter(|(name, _)| is_of_vision(name)) {
        let name = spelling.layer_in_file(here);
        pattern(config, &name, term);
        config.target_modules.push(name);
        config.with_projector |= !is_of_tower(here);
    }
}

/// Says that layers called `name` have this rank and scale, where that is not what all have.
fn pattern(config: &mut LoraConfig, name: &str, term: &Term) {
    if term.r != config.r {
        config.rank_pattern.insert(name.to_owned(), term.r);
    }
    if (term.alpha - config.lora_alpha).abs() > 0.0 {
        config.alpha_pattern.insert(name.to_owned(), term.alpha);
    }
}
