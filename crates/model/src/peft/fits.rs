//! Whether an adapter belongs to a model: its configuration, its tensors and the model's layers must mean the same.

use std::collections::BTreeMap;

use super::meant::{Meant, is_table};
use super::paths::{WRAPPER, is_of_vision, slot_of};
use super::{PeftFolder, REMEDY, Term};
use crate::llama::decoder::{EMBEDDING, HEAD};
use crate::llama::layers::{TARGETS, target_name, target_size};
use crate::lora::vision_layers;
use crate::{ModelConfig, ModelError};

const MERGE_FIRST: &str = "merge it into its base with `candor export BASE --adapter FOLDER --merge --out OUT`, and use OUT";

/// Shapes of a model's tensors by candor's names.
pub(crate) type Shapes = BTreeMap<String, Vec<i64>>;

impl PeftFolder {
    /// Whether the folder changes nothing but the blocks of decoder and tower and the projector, so that it can be switched
    /// on and off, and configuration and tensors mean the same layers of this model.
    ///
    /// # Errors
    /// It changes more, or they do not; or a term has other sizes than its layer.
    pub(crate) fn check_switchable(&self, model: &ModelConfig) -> Result<(), ModelError> {
        self.check_nothing_else()?;
        let base = model.text();
        let n = base.num_hidden_layers;
        let of_block = |name: &str| slot_of(name).map_or(0, |(layer, _)| layer);
        if let Some((_, term)) = self.terms.iter().find(|(name, _)| of_block(name) >= n) {
            let problem = format!("is of a block that a decoder of {n} has not");
            return Err(self.refuse(&term.a, &problem, REMEDY));
        }
        let layers = (0..n).flat_map(|layer| {
            TARGETS.iter().enumerate().map(move |(slot, target)| {
                let [n_in, n_out] = target_size(base, target);
                let name = format!("{}.weight", target_name(layer, slot));
                (name, vec![n_out, n_in])
            })
        });
        let vision = vision_layers(model).map(|tensor| (tensor.name, tensor.shape));
        let mut shapes: Shapes = layers.chain(vision).collect();
        // Nothing changes these, and so the configuration must not mean them either.
        let table = vec![base.vocab_size, base.hidden_size];
        shapes.extend([EMBEDDING, HEAD].map(|name| (name.to_owned(), table.clone())));
        self.check(&shapes, false)
    }

    /// Whether configuration and tensors mean the same of the model with tensors of these shapes, among them an output
    /// layer even where it is `tied` to the embedding.
    ///
    /// # Errors
    /// They do not; or a tensor has other sizes than the model's.
    pub(crate) fn check(&self, shapes: &Shapes, tied: bool) -> Result<(), ModelError> {
        let tensors = shapes.iter();
        let tensors = tensors.map(|(name, shape)| (name.as_str(), shape.len()));
        let spelling = self.spelling.on_base(shapes.keys().map(String::as_str));
        let meant = Meant::of(&self.matcher()?, spelling, tensors, tied);
        let meant = meant.map_err(|problem| self.config_error(problem))?;
        for (name, term) in &self.terms {
            let Some(shape) = shapes.get(&format!("{name}.weight")) else {
                return Err(self.refuse(&term.a, "is of a layer that the base has not", REMEDY));
            };
            if !meant.adapted.contains(name) {
                let problem = "belongs to a layer that `target_modules` does not mean";
                return Err(self.refuse(&term.a, problem, REMEDY));
            }
            self.check_sizes(name, term, shape)?;
        }
        let is_there = |name: &str| spelling.has_tower() || name.starts_with("language_model");
        let missing = |name: &String| !self.terms.contains_key(name) && is_there(name);
        if let Some(layer) = meant.adapted.iter().find(|name| missing(name)) {
            let half = if is_table(&format!("{layer}.weight")) {
                "lora_embedding_A"
            } else {
                "lora_A.weight"
            };
            let layer = spelling.layer_in_file(layer);
            let problem = "is missing, and `target_modules` means its layer";
            return Err(self.refuse(&format!("{WRAPPER}{layer}.{half}"), problem, REMEDY));
        }
        self.check_whole(shapes)?;
        let missing = |name: &String| !self.saved.contains_key(name) && is_there(name);
        if let Some(name) = meant.saved.iter().find(|name| missing(name)) {
            let name = spelling.in_file(name);
            let problem = "is missing, and `modules_to_save` means its module";
            return Err(self.refuse(&format!("{WRAPPER}{name}"), problem, REMEDY));
        }
        if tied {
            self.check_one_table()?;
        }
        Ok(())
    }

    /// Whether the base has a tensor of the same shape for each whole one.
    fn check_whole(&self, shapes: &Shapes) -> Result<(), ModelError> {
        for (name, whole) in self.saved.iter().chain(&self.of_base) {
            let shape = self.shape_of(whole);
            if shapes.get(name) != Some(&shape) {
                let problem =
                    format!("of shape {shape:?} takes the place of no tensor of the base");
                return Err(self.refuse(&whole.in_file, &problem, REMEDY));
            }
        }
        Ok(())
    }

    /// Whether what takes the place of embedding and output layer is one matrix, as in the base.
    fn check_one_table(&self) -> Result<(), ModelError> {
        let [embedding, head] =
            [EMBEDDING, HEAD].map(|name| self.read_whole(self.of_base.get(name)));
        if let (Some(embedding), Some(head)) = (embedding?, head?)
            && embedding != head
        {
            let name = self.of_base.get(HEAD).map_or(HEAD, |whole| &whole.in_file);
            let problem =
                "differs from the embedding beside it, and in the base both are one matrix";
            return Err(self.refuse(name, problem, REMEDY));
        }
        Ok(())
    }

    /// Whether the folder changes nothing but linear layers of the blocks of decoder and tower and of the projector.
    fn check_nothing_else(&self) -> Result<(), ModelError> {
        let switchable = |name: &str| slot_of(name).is_some() || is_of_vision(name);
        if let Some((_, term)) = self.terms.iter().find(|(name, _)| !switchable(name)) {
            let problem = "adapts a layer outside the blocks of decoder and tower and the projector, which candor can only merge";
            return Err(self.refuse(&term.a, problem, MERGE_FIRST));
        }
        if let Some(whole) = self.saved.values().chain(self.of_base.values()).next() {
            let problem = "takes the place of one of the base's, which candor can only merge";
            return Err(self.refuse(&whole.in_file, problem, MERGE_FIRST));
        }
        Ok(())
    }

    /// Whether a term has the sizes of its layer's weight.
    fn check_sizes(&self, name: &str, term: &Term, shape: &[i64]) -> Result<(), ModelError> {
        if term.transposed != is_table(&format!("{name}.weight")) {
            let [found, expected] = if term.transposed {
                ["an embedding", "a linear one"]
            } else {
                ["a linear layer", "an embedding"]
            };
            let problem = format!("is of {found}, and the model's layer is {expected}");
            return Err(self.refuse(&term.a, &problem, REMEDY));
        }
        let (n_out, n_in) = shape.split_first().unwrap_or((&0, &[]));
        let n_in = n_in.iter().product();
        for (name, found, expected) in [(&term.a, term.n_in, n_in), (&term.b, term.n_out, *n_out)] {
            if found != expected {
                let problem =
                    format!("is for a layer of width {found}, and the model's has {expected}");
                return Err(self.refuse(name, &problem, REMEDY));
            }
        }
        Ok(())
    }
}
