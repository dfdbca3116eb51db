//! PEFT's folders: what an adapter changes in a model, found out from its configuration and its files' headers.
//!
//! Which layers have an adapter is said twice in such a folder, by the configuration's rules over names and by the
//! tensors that are there. Both must agree, because PEFT itself would pass over a tensor that its rules do not ask for
//! and leave a layer alone whose tensors are missing. The rules are followed on the file's own names ([`paths`]).
//!
//! Beside low-rank terms a folder may hold whole tensors that take the place of the base's (`modules_to_save`, resized
//! embeddings, and `non_lora_trainables.bin`, into which the original LLaVA puts its projector). They can be merged
//! into a model, and not be switched on and off as an [`Adapter`](crate::Adapter) is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_checkpoint::{Checkpoint, Dtype};
use tch::Tensor;

use crate::lora::{TARGETS, target_name};
use crate::{ModelError, TextConfig, store};

mod base;
mod config;
mod describe;
mod matching;
pub(crate) mod paths;

pub use base::find_base;
pub use config::LoraConfig;

use config::Declared;
use paths::{Spelling, WRAPPER, slot_of};

/// The configuration that makes a folder PEFT's.
pub(crate) const CONFIG: &str = "adapter_config.json";
/// Where the tensors are; the first that exists counts.
pub(crate) const TENSORS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// Where the original LLaVA puts what it trained beside the adapter.
const WHOLE_TENSORS: [&str; 2] = ["non_lora_trainables.safetensors", "non_lora_trainables.bin"];
const MERGE_FIRST: &str = "merge it into its base with `candor export BASE --adapter FOLDER --merge --out OUT`, and use OUT";
const REMEDY: &str = "the adapter must be one that PEFT saved for this model";

/// A PEFT folder of which the headers have been read and checked.
#[derive(Debug)]
pub(crate) struct PeftFolder {
    config_path: PathBuf,
    declared: Declared,
    spelling: Spelling,
    checkpoint: Checkpoint,
    beside: Option<Checkpoint>,
    /// Low-rank terms by candor's name of the layer.
    terms: BTreeMap<String, Term>,
    /// Whole tensors by candor's name, and which file they are in.
    whole: BTreeMap<String, Whole>,
}

/// One layer's low-rank term, by its file's names.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    a: String,
    b: String,
    pub r: i64,
    pub alpha: f64,
    pub scale: f64,
    pub n_in: i64,
    pub n_out: i64,
}

#[derive(Debug)]
struct Whole {
    in_file: String,
    is_beside: bool,
}

/// The two halves of a term that are found so far.
#[derive(Default)]
struct Halves {
    a: Option<String>,
    b: Option<String>,
}

/// Whether a folder is PEFT's and no model's.
#[must_use]
pub fn is_adapter(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() && !folder.join("config.json").is_file()
}

impl PeftFolder {
    /// Reads configuration and headers.
    ///
    /// # Errors
    /// A file is missing or damaged, the configuration asks for what candor does not do, or the tensors are not
    /// those of a LoRA adapter.
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let config_path = folder.join(CONFIG);
        let declared = Declared::read(&config_path)?;
        let checkpoint = Checkpoint::open_first(folder, &TENSORS)?;
        let has_beside = WHOLE_TENSORS.iter().any(|name| folder.join(name).exists());
        let beside = has_beside
            .then(|| Checkpoint::open_first(folder, &WHOLE_TENSORS))
            .transpose()?;
        let paths: Vec<_> = checkpoint
            .iter()
            .map(|(name, _)| without_wrapper(name))
            .collect();
        let mut peft = Self {
            spelling: Spelling::of(&paths),
            config_path,
            declared,
            checkpoint,
            beside,
            terms: BTreeMap::new(),
            whole: BTreeMap::new(),
        };
        peft.find_tensors()?;
        peft.check_whole()?;
        Ok(peft)
    }

    pub(crate) fn terms(&self) -> &BTreeMap<String, Term> {
        &self.terms
    }

    /// candor's names and the shapes of the whole tensors.
    pub(crate) fn whole(&self) -> impl Iterator<Item = (&str, Vec<i64>)> {
        self.whole.iter().map(|(name, whole)| {
            let entry = self.file_of(whole).get(&whole.in_file);
            let shape = entry.map_or(&[][..], |entry| entry.shape());
            (name.as_str(), shape.iter().map(|&n| n as i64).collect())
        })
    }

    fn file_of(&self, whole: &Whole) -> &Checkpoint {
        match &self.beside {
            Some(beside) if whole.is_beside => beside,
            _ => &self.checkpoint,
        }
    }

    /// Sorts the file's tensors into halves of terms and whole ones.
    fn find_tensors(&mut self) -> Result<(), ModelError> {
        let mut halves: BTreeMap<String, Halves> = BTreeMap::new();
        for (name, entry) in self.checkpoint.iter() {
            let path = without_wrapper(name);
            let Some((layer, kind)) = path.split_once(".lora_") else {
                let whole = Whole {
                    in_file: name.to_owned(),
                    is_beside: false,
                };
                self.whole.insert(whole_name(self.spelling, path), whole);
                continue;
            };
            let of_layer = halves.entry(layer.to_owned()).or_default();
            let half = match half(kind) {
                Some('A') => &mut of_layer.a,
                Some('B') => &mut of_layer.b,
                _ => {
                    let problem = "is no part of a plain LoRA layer".to_owned();
                    let remedy = "load base and adapter with PEFT, merge_and_unload(), save, and use the result";
                    return Err(self.refuse(name, &problem, remedy));
                }
            };
            if let Some(first) = half.replace(name.to_owned()) {
                let problem = format!("is a second one beside `{first}`");
                return Err(self.refuse(name, &problem, "save one adapter a folder"));
            }
            if !matches!(
                entry.dtype(),
                Dtype::F32 | Dtype::F16 | Dtype::BF16 | Dtype::F64
            ) {
                let problem = format!("is {}, and no fraction", entry.dtype());
                return Err(self.refuse(name, &problem, REMEDY));
            }
        }
        for (layer, halves) in halves {
            let term = self.term(&layer, halves)?;
            self.terms.insert(self.spelling.here(&layer), term);
        }
        for (name, _) in self.beside.iter().flat_map(Checkpoint::iter) {
            let whole = Whole {
                in_file: name.to_owned(),
                is_beside: true,
            };
            let path = without_wrapper(name);
            self.whole.insert(whole_name(self.spelling, path), whole);
        }
        Ok(())
    }

    /// The term of the layer that the file calls `layer`.
    fn term(&self, layer: &str, halves: Halves) -> Result<Term, ModelError> {
        let (a, b) = match (halves.a, halves.b) {
            (Some(a), Some(b)) => (a, b),
            (a, b) => {
                let missing = if a.is_none() { "A" } else { "B" };
                let name = a.or(b).unwrap_or_default();
                let problem = format!("stands without its lora_{missing}");
                return Err(self.refuse(&name, &problem, "copy or save the adapter again"));
            }
        };
        let declared = &self.declared;
        let bad_pattern = |problem| self.config_error(problem);
        let r = matching::by_pattern("rank_pattern", &declared.rank_pattern, layer);
        let r = r.map_err(bad_pattern)?.and_then(serde_json::Value::as_i64);
        let r = r.unwrap_or(declared.r);
        let alpha = matching::by_pattern("alpha_pattern", &declared.alpha_pattern, layer);
        let alpha = alpha
            .map_err(bad_pattern)?
            .and_then(serde_json::Value::as_f64);
        let alpha = alpha.unwrap_or(declared.lora_alpha);
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
        let scale = config::scale(r, alpha, declared.use_rslora);
        Ok(Term {
            a,
            b,
            r,
            alpha,
            scale,
            n_in,
            n_out,
        })
    }

    /// Whole tensors must be asked for. PEFT saves embedding and output layer of its own accord where their size
    /// has changed.
    fn check_whole(&self) -> Result<(), ModelError> {
        let asked = |path: &str| {
            let layer = path.rsplit_once('.').map_or(path, |(layer, _)| layer);
            let saved = self.declared.modules_to_save();
            saved
                .iter()
                .any(|module| format!(".{layer}.").contains(&format!(".{module}.")))
                || layer.ends_with("embed_tokens")
                || layer.ends_with("lm_head")
        };
        let unasked = self
            .whole
            .values()
            .find(|whole| !whole.is_beside && !asked(without_wrapper(&whole.in_file)));
        unasked.map_or(Ok(()), |whole| {
            let problem = "is neither a part of a LoRA layer nor in `modules_to_save`";
            Err(self.refuse(&whole.in_file, problem, REMEDY))
        })
    }

    /// Whether configuration and tensors mean the same layers of a decoder.
    ///
    /// # Errors
    /// They do not; or a term has other sizes than its layer.
    pub(crate) fn check_decoder(&self, base: &TextConfig) -> Result<(), ModelError> {
        let matcher = self.declared.targets.matcher();
        let matcher = matcher.map_err(|problem| self.config_error(problem))?;
        for layer in 0..base.num_hidden_layers {
            for (slot, target) in TARGETS.iter().enumerate() {
                let in_file = self.spelling.target(layer, slot);
                let meant = matcher.targets(&in_file);
                let meant = meant.map_err(|problem| self.config_error(problem))?;
                let term = self.terms.get(&target_name(layer, slot));
                match term {
                    Some(term) if !meant => {
                        let problem = "belongs to a layer that `target_modules` does not mean";
                        return Err(self.refuse(&term.a, problem, REMEDY));
                    }
                    None if meant => {
                        let missing = format!("{WRAPPER}{in_file}.lora_A.weight");
                        let problem = "is missing, and `target_modules` means its layer";
                        return Err(self.refuse(&missing, problem, REMEDY));
                    }
                    _ => {}
                }
                if let Some(term) = term {
                    self.check_sizes(term, crate::lora::target_size(base, target))?;
                }
            }
        }
        let outside = |name: &&String| {
            slot_of(name).is_some_and(|(layer, _)| layer >= base.num_hidden_layers)
        };
        if let Some(name) = self.terms.keys().find(outside) {
            let problem = format!(
                "is of a block that a decoder of {} has not",
                base.num_hidden_layers
            );
            return Err(self.refuse(&self.terms[name].a, &problem, REMEDY));
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
            let file = if whole.is_beside {
                self.beside.as_ref()
            } else {
                None
            };
            return Err(ModelError::TensorFile {
                path: file.unwrap_or(&self.checkpoint).path().to_owned(),
                problem: format!(
                    "tensor `{}` takes the place of one of the base's, which candor can only merge",
                    whole.in_file
                ),
                remedy: MERGE_FIRST,
            });
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

    /// The adapter's configuration with the rules that mean its layers in `spelling`.
    pub(crate) fn config(&self, spelling: Spelling) -> LoraConfig {
        let declared = &self.declared;
        let mut config = LoraConfig {
            base_model_name_or_path: declared.base_model_name_or_path.clone(),
            task_type: declared.task_type.clone(),
            lora_dropout: declared.lora_dropout,
            use_rslora: declared.use_rslora,
            ..LoraConfig::new(declared.r, declared.lora_alpha, &[])
        };
        describe::fill(&mut config, &self.terms, spelling);
        config
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

    /// A and B of a term as they are stored.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn halves(&self, term: &Term) -> Result<[Tensor; 2], ModelError> {
        let read = |name| store::read(&self.checkpoint, name);
        Ok([read(&term.a)?, read(&term.b)?])
    }

    /// The whole tensor that candor calls `name`, if the folder has one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn whole_tensor(&self, name: &str) -> Result<Option<Tensor>, ModelError> {
        let Some(whole) = self.whole.get(name) else {
            return Ok(None);
        };
        store::read(self.file_of(whole), &whole.in_file).map(Some)
    }

    /// An error about the tensor that the file calls `name`.
    pub(crate) fn refuse(&self, name: &str, problem: &str, remedy: &'static str) -> ModelError {
        let file = self
            .checkpoint
            .file_of(name)
            .unwrap_or(self.checkpoint.path());
        ModelError::TensorFile {
            path: file.to_owned(),
            problem: format!("tensor `{name}` {problem}"),
            remedy,
        }
    }

    fn config_error(&self, problem: String) -> ModelError {
        ModelError::Config {
            path: self.config_path.clone(),
            problem,
            remedy: "correct the pattern or save the adapter again",
        }
    }
}

fn without_wrapper(name: &str) -> &str {
    name.strip_prefix(WRAPPER).unwrap_or(name)
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
