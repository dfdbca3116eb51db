//! What an adapter's files hold: low-rank terms with their ranks and scales, and whole tensors.

use std::collections::BTreeMap;

use candor_checkpoint::Checkpoint;
use serde_json::Value;

use super::matching::Patterns;
use super::paths::Spelling;
use super::{MERGE, PeftFolder, REMEDY, Term, Whole, config, without_wrapper};
use crate::{ModelError, store};

/// The two halves of a term that are found so far.
#[derive(Default)]
struct Halves {
    a: Option<String>,
    b: Option<String>,
}

impl PeftFolder {
    /// Sorts the files' tensors into terms and whole ones.
    ///
    /// # Errors
    /// They are not those of one LoRA adapter, or not of the ranks that its configuration gives.
    pub(super) fn find_tensors(&mut self) -> Result<(), ModelError> {
        let mut halves: BTreeMap<String, Halves> = BTreeMap::new();
        let mut whole = Vec::new();
        for (name, entry) in self.checkpoint.iter() {
            let Some((layer, kind)) = without_wrapper(name).split_once(".lora_") else {
                whole.push((name.to_owned(), false));
                continue;
            };
            let of_layer = halves.entry(layer.to_owned()).or_default();
            let half = match half(kind) {
                Some('A') => &mut of_layer.a,
                Some('B') => &mut of_layer.b,
                _ => return Err(self.refuse(name, "is no part of a plain LoRA layer", MERGE)),
            };
            if let Some(first) = half.replace(name.to_owned()) {
                let problem = format!("is a second one beside `{first}`");
                return Err(self.refuse(name, &problem, "save one adapter a folder"));
            }
            if store::kind(entry.dtype()).is_none() {
                let problem = format!("is {}, and no fraction", entry.dtype());
                return Err(self.refuse(name, &problem, REMEDY));
            }
        }
        self.add_terms(halves)?;
        let beside = self.beside.iter().flat_map(Checkpoint::iter);
        whole.extend(beside.map(|(name, _)| (name.to_owned(), true)));
        self.add_whole(whole)
    }

    fn add_terms(&mut self, halves: BTreeMap<String, Halves>) -> Result<(), ModelError> {
        let declared = &self.declared;
        let ranks = Patterns::new("rank_pattern", &declared.rank_pattern);
        let ranks = ranks.map_err(|problem| self.config_error(problem))?;
        let alphas = Patterns::new("alpha_pattern", &declared.alpha_pattern);
        let alphas = alphas.map_err(|problem| self.config_error(problem))?;
        for (layer, halves) in halves {
            let term = self.term(layer, halves, &ranks, &alphas)?;
            let (here, a) = (self.spelling.here(&term.layer), term.a.clone());
            if let Some(other) = self.terms.insert(here, term) {
                let problem = format!("is of the same layer as `{}`", other.a);
                return Err(self.refuse(&a, &problem, REMEDY));
            }
        }
        Ok(())
    }

    /// Adds whole tensors by their names and whether they are in the file beside. Those of the adapter's own file must
    /// be asked for; PEFT saves embedding and output layer of its own accord where their size has changed.
    fn add_whole(&mut self, names: Vec<(String, bool)>) -> Result<(), ModelError> {
        for (in_file, is_beside) in names {
            let path = without_wrapper(&in_file);
            if !is_beside && !self.is_asked_for(path) {
                let problem = "is neither a part of a LoRA layer nor in `modules_to_save`";
                return Err(self.refuse(&in_file, problem, REMEDY));
            }
            let here = whole_name(self.spelling, path);
            let whole = Whole { in_file, is_beside };
            if let Some(other) = self.whole.insert(here, whole) {
                let problem = "is there twice, under two names";
                return Err(self.refuse(&other.in_file, problem, REMEDY));
            }
        }
        Ok(())
    }

    fn is_asked_for(&self, path: &str) -> bool {
        let layer = path.rsplit_once('.').map_or(path, |(layer, _)| layer);
        let has = |module: &String| format!(".{layer}.").contains(&format!(".{module}."));
        self.declared.modules_to_save().iter().any(has)
            || layer.ends_with("embed_tokens")
            || layer.ends_with("lm_head")
    }

    /// The term of the layer that the file calls `layer`.
    fn term(
        &self,
        layer: String,
        halves: Halves,
        ranks: &Patterns<'_>,
        alphas: &Patterns<'_>,
    ) -> Result<Term, ModelError> {
        let (a, b) = match (halves.a, halves.b) {
            (Some(a), Some(b)) => (a, b),
            (a, b) => {
                let missing = if a.is_none() { "A" } else { "B" };
                let name = a.or(b).unwrap_or_default();
                let problem = format!("stands without its lora_{missing}");
                return Err(self.refuse(&name, &problem, "copy or save the adapter again"));
            }
        };
        let bad = |problem| self.config_error(problem);
        let r = ranks.value(&layer).map_err(bad)?.and_then(Value::as_i64);
        let r = r.unwrap_or(self.declared.r);
        let alpha = alphas.value(&layer).map_err(bad)?.and_then(Value::as_f64);
        let alpha = alpha.unwrap_or(self.declared.lora_alpha);
        let shape = |name: &str| {
            let shape = self.checkpoint.get(name).map_or(&[][..], |e| e.shape());
            shape.iter().map(|&n| n as i64).collect::<Vec<_>>()
        };
        let (of_a, of_b) = (shape(&a), shape(&b));
        let (&[rank_a, n_in], &[n_out, rank_b]) = (&of_a[..], &of_b[..]) else {
            let problem = format!("has shape {of_a:?} beside {of_b:?}, and both are matrices");
            return Err(self.refuse(&a, &problem, REMEDY));
        };
        for (name, rank) in [(&a, rank_a), (&b, rank_b)] {
            if rank != r {
                let problem = format!("has rank {rank}, and adapter_config.json gives it {r}");
                let remedy = "configuration and tensors must come from one folder";
                return Err(self.refuse(name, &problem, remedy));
            }
        }
        let scale = config::scale(r, alpha, self.declared.use_rslora);
        Ok(Term {
            a,
            b,
            layer,
            r,
            alpha,
            scale,
            n_in,
            n_out,
        })
    }
}

/// candor's name of a whole tensor, which some versions store as the copy that was trained.
fn whole_name(spelling: Spelling, path: &str) -> String {
    let plain = path.replacen(".modules_to_save.default.", ".", 1);
    spelling.here(&plain.replacen(".modules_to_save.", ".", 1))
}

/// Which half `A.weight`, `B.weight`, or either with an adapter's name before `weight`, is.
fn half(kind: &str) -> Option<char> {
    let (half, rest) = kind.split_at_checked(1)?;
    let adapter = rest.strip_suffix(".weight")?;
    let is_name = |name: &str| !name.is_empty() && !name.contains('.');
    let plain = adapter.is_empty() || adapter.strip_prefix('.').is_some_and(is_name);
    half.chars()
        .next()
        .filter(|half| plain && matches!(half, 'A' | 'B'))
}
