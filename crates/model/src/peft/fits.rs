//! Whether an adapter belongs to a model: its configuration, its tensors and the model's layers must mean the same.

use super::paths::{WRAPPER, slot_of};
use super::{PeftFolder, REMEDY, Term};
use crate::lora::{TARGETS, target_name, target_size};
use crate::{ModelError, TextConfig};

const MERGE_FIRST: &str = "merge it into its base with `candor export BASE --adapter FOLDER --merge --out OUT`, and use OUT";

impl PeftFolder {
    /// Whether configuration and tensors mean the same layers, and those of the decoder are this decoder's.
    ///
    /// # Errors
    /// They do not; or a term has other sizes than its layer.
    pub(crate) fn check_decoder(&self, base: &TextConfig) -> Result<(), ModelError> {
        let matcher = self.declared.targets.matcher();
        let matcher = matcher.map_err(|problem| self.config_error(problem))?;
        let meant = |layer: &str| {
            let meant = matcher.targets(layer);
            meant.map_err(|problem| self.config_error(problem))
        };
        for (name, term) in &self.terms {
            if !meant(&term.layer)? {
                let problem = "belongs to a layer that `target_modules` does not mean";
                return Err(self.refuse(&term.a, problem, REMEDY));
            }
            if slot_of(name).is_some_and(|(layer, _)| layer >= base.num_hidden_layers) {
                let n = base.num_hidden_layers;
                let problem = format!("is of a block that a decoder of {n} has not");
                return Err(self.refuse(&term.a, &problem, REMEDY));
            }
        }
        for layer in 0..base.num_hidden_layers {
            for (slot, target) in TARGETS.iter().enumerate() {
                if let Some(term) = self.terms.get(&target_name(layer, slot)) {
                    self.check_sizes(term, target_size(base, target))?;
                    continue;
                }
                let in_file = self.spelling.target(layer, slot);
                if meant(&in_file)? {
                    let missing = format!("{WRAPPER}{in_file}.lora_A.weight");
                    let problem = "is missing, and `target_modules` means its layer";
                    return Err(self.refuse(&missing, problem, REMEDY));
                }
            }
        }
        Ok(())
    }

    /// Whether the folder changes nothing but the decoder's blocks, so that it can be switched on and off.
    ///
    /// # Errors
    /// It changes more.
    pub(crate) fn check_nothing_else(&self) -> Result<(), ModelError> {
        if let Some((_, term)) = self.terms.iter().find(|(name, _)| slot_of(name).is_none()) {
            let problem =
                "adapts a layer outside the decoder's blocks, which candor can only merge";
            return Err(self.refuse(&term.a, problem, MERGE_FIRST));
        }
        if let Some(whole) = self.whole.values().next() {
            let problem = "takes the place of one of the base's, which candor can only merge";
            return Err(self.refuse(&whole.in_file, problem, MERGE_FIRST));
        }
        Ok(())
    }

    /// An error about a whole tensor that the base has no tensor of the same shape for.
    pub(crate) fn no_place(&self, name: &str, size: &[i64]) -> ModelError {
        let in_file = self.whole.get(name).map_or(name, |whole| &whole.in_file);
        let problem = format!("of shape {size:?} takes the place of no tensor of the base");
        self.refuse(in_file, &problem, REMEDY)
    }

    /// An error about a term whose layer the base has not.
    pub(crate) fn no_layer(&self, term: &Term) -> ModelError {
        self.refuse(&term.a, "is of a layer that the base has not", REMEDY)
    }

    /// Whether a term has the sizes of its layer.
    pub(crate) fn check_sizes(
        &self,
        term: &Term,
        [n_in, n_out]: [i64; 2],
    ) -> Result<(), ModelError> {
        for (name, found, expected) in [(&term.a, term.n_in, n_in), (&term.b, term.n_out, n_out)] {
            if found != expected {
                let problem =
                    format!("is for a layer of width {found}, and the model's has {expected}");
                return Err(self.refuse(name, &problem, REMEDY));
            }
        }
        Ok(())
    }
}
