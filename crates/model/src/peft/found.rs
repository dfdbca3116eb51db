//! What an adapter's files hold: low-rank terms with their ranks and scales, and whole tensors.

use std::collections::BTreeMap;

use candor_weights::Checkpoint;
use serde_json::Value;

use super::matching::{Matcher, Patterns, Together};
use super::{MERGE, PeftFolder, REMEDY, Term, Whole, config, without_wrapper};
use crate::llama::decoder::{EMBEDDING, HEAD};
use crate::{ModelError, store};

/// What PEFT puts before the name of a layer's own tensor where a term lies on the layer.
const BASE_LAYER: &str = ".base_layer";

/// The two halves of a term that are found so far, by their file's names.
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
        let mut halves: BTreeMap<(String, bool), Halves> = BTreeMap::new();
        let mut whole = Vec::new();
        for (name, entry) in self.checkpoint.iter() {
            let Some((layer, kind)) = without_wrapper(name).split_once(".lora_") else {
                whole.push((name.to_owned(), false));
                continue;
            };
            let (of_embedding, kind) = match kind.strip_prefix("embedding_") {
                // PEFT makes these parameters and no layers, so that their names end without `weight`.
                Some(kind) => (true, format!("{kind}.weight")),
                None => (false, kind.to_owned()),
            };
            let of_layer = halves.entry((layer.to_owned(), of_embedding)).or_default();
            let half = match half(&kind) {
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

    fn add_terms(&mut self, halves: BTreeMap<(String, bool), Halves>) -> Result<(), ModelError> {
        let declared = &self.declared;
        let ranks = Patterns::new("rank_pattern", &declared.rank_pattern);
        let ranks = ranks.map_err(|problem| self.config_error(problem))?;
        let alphas = Patterns::new("alpha_pattern", &declared.alpha_pattern);
        let alphas = alphas.map_err(|problem| self.config_error(problem))?;
        for ((layer, transposed), halves) in halves {
            let term = self.term(layer, transposed, halves, &ranks, &alphas)?;
            let (here, a) = (self.spelling.layer_here(&term.layer), term.a.clone());
            if let Some(other) = self.terms.insert(here, term) {
                let problem = format!("is of the same layer as `{}`", other.a);
                return Err(self.refuse(&a, &problem, REMEDY));
            }
        }
        Ok(())
    }

    /// Adds whole tensors by their names and whether they are in the file beside. Those of the adapter's own file must
    /// be asked for; PEFT saves of its own accord embedding and output layer where their size has changed, and the layer
    /// beneath a term.
    fn add_whole(&mut self, names: Vec<(String, bool)>) -> Result<(), ModelError> {
        let mut sorted = Vec::new();
        let matcher = self.matcher()?;
        for (in_file, is_beside) in names {
            let (path, is_saved) = plain_path(without_wrapper(&in_file));
            let (module, parameter) = path.rsplit_once('.').unwrap_or((path.as_str(), ""));
            let (here, saved) = if let Some(layer) = module.strip_suffix(BASE_LAYER) {
                if !self.terms.contains_key(&self.spelling.layer_here(layer)) {
                    let problem = "lies beneath a LoRA layer that is not there";
                    return Err(self.refuse(&in_file, problem, REMEDY));
                }
                (self.spelling.here(&format!("{layer}.{parameter}")), false)
            } else {
                let here = self.spelling.here(&path);
                let asked = self.asks_for(&matcher, module, &here)?;
                if !is_beside && !asked && here != EMBEDDING && here != HEAD {
                    let problem = "is neither a part of a LoRA layer nor in `modules_to_save`";
                    return Err(self.refuse(&in_file, problem, REMEDY));
                }
                (here, is_saved || (asked && !is_beside))
            };
            sorted.push((here, saved, Whole { in_file, is_beside }));
        }
        for (here, saved, whole) in sorted {
            let all = if saved {
                &mut self.saved
            } else {
                &mut self.of_base
            };
            if let Some(other) = all.insert(here, whole) {
                let problem = "is there twice, under two names";
                return Err(self.refuse(&other.in_file, problem, REMEDY));
            }
        }
        Ok(())
    }

    /// Whether the tensor that candor calls `here`, in the module that the file calls `module`, is to be saved.
    fn asks_for(
        &self,
        matcher: &Matcher<'_>,
        module: &str,
        here: &str,
    ) -> Result<bool, ModelError> {
        let is_word = here == EMBEDDING || here == HEAD;
        let together = || matcher.together().map_err(|e| self.config_error(e));
        Ok(matcher.saves(module) || (is_word && together()? == Some(Together::Saved)))
    }

    /// The configuration's rules over names.
    ///
    /// # Errors
    /// A pattern is none.
    pub(super) fn matcher(&self) -> Result<Matcher<'_>, ModelError> {
        let matcher = self.declared.targets.matcher();
        matcher.map_err(|problem| self.config_error(problem))
    }

    /// The term of the layer that the file calls `layer`.
    fn term(
        &self,
        layer: String,
        transposed: bool,
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
        let Some([rank_a, n_in, n_out, rank_b]) = term_sizes(&of_a, &of_b) else {
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
        let (a, b, n_in, n_out) = if transposed {
            (b, a, n_out, n_in)
        } else {
            (a, b, n_in, n_out)
        };
        Ok(Term {
            a,
            b,
            transposed,
            layer,
            r,
            alpha,
            scale,
            n_in,
            n_out,
        })
    }
}

/// Rank and width of A, width and rank of B by their shapes: of two matrices, or of a convolution to `r` channels, over
/// however many axes, and one of single points from there.
fn term_sizes(a: &[i64], b: &[i64]) -> Option<[i64; 4]> {
    let ([rank_a, inputs @ ..], [n_out, rank_b, points @ ..]) = (a, b) else {
        return None;
    };
    if inputs.len() != points.len() + 1 || points.iter().any(|&n| n != 1) {
        return None;
    }
    let n_in = inputs.iter().try_fold(1_i64, |n, &of| n.checked_mul(of))?;
    Some([*rank_a, n_in, *n_out, *rank_b])
}

/// The name of a whole tensor without what some versions put before the copy that was trained, and whether that was
/// there.
fn plain_path(path: &str) -> (String, bool) {
    for copy in [".modules_to_save.default.", ".modules_to_save."] {
        if let Some((module, parameter)) = path.split_once(copy) {
            return (format!("{module}.{parameter}"), true);
        }
    }
    (path.to_owned(), false)
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

#[cfg(test)]
mod tests {
    use super::term_sizes;

    /// As PEFT makes them of linear layers, of CLIP's embedding of patches and of Qwen-VL's, which has a moment as well.
    #[test]
    fn terms_of_convolutions_are_as_wide_as_what_these_see() {
        for (a, b, expected) in [
            (&[8, 16][..], &[24, 8][..], Some([8, 16, 24, 8])),
            (&[8, 3, 14, 14], &[1024, 8, 1, 1], Some([8, 588, 1024, 8])),
            (
                &[8, 3, 2, 14, 14],
                &[1280, 8, 1, 1, 1],
                Some([8, 1176, 1280, 8]),
            ),
            (&[8, 3, 2, 14, 14], &[1280, 8, 1, 2, 1], None),
            (&[8, 3, 2, 14, 14], &[1280, 8], None),
            (&[8, i64::MAX, 2], &[24, 8, 1], None),
            (&[8], &[24, 8], None),
            (&[], &[], None),
        ] {
            assert_eq!(term_sizes(a, b), expected, "{a:?} and {b:?}");
        }
    }
}
