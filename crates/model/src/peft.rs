//! PEFT's folders: what an adapter changes in a model, found out from its configuration and its files' headers.
//!
//! Which layers have an adapter is said twice in such a folder, by the configuration's rules over names and by the
//! tensors that are there. Both must agree, because PEFT itself would pass over a tensor that its rules do not ask for
//! and leave a layer alone whose tensors are missing. The rules are followed on the file's own names (`peft/paths.rs`).
//!
//! Beside low-rank terms a folder may hold whole tensors that take the place of the base's (`modules_to_save`, resized
//! embeddings, and `non_lora_trainables.bin`, into which the original LLaVA puts its projector). They can be merged
//! into a model, and not be switched on and off as an [`Adapter`](crate::Adapter) is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_checkpoint::Checkpoint;
use tch::Tensor;

use crate::{ModelError, store};

mod base;
mod config;
mod describe;
mod fits;
mod found;
mod matching;
pub(crate) mod paths;

pub use base::{find_base, with_base};
pub use config::LoraConfig;

use config::Declared;
use paths::{Spelling, WRAPPER};

/// The configuration that makes a folder PEFT's.
pub(crate) const CONFIG: &str = "adapter_config.json";
/// Where the tensors are; the first that exists counts.
pub(crate) const TENSORS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// Where the original LLaVA puts what it trained beside the adapter.
const WHOLE_TENSORS: [&str; 2] = ["non_lora_trainables.safetensors", "non_lora_trainables.bin"];
const MERGE: &str =
    "load base and adapter with PEFT, merge_and_unload(), save, and use the result as a model";
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
    /// The layer, as the file calls it.
    layer: String,
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

/// Whether a folder is PEFT's and no model's. The original LLaVA puts the configuration of the whole model beside an
/// adapter.
#[must_use]
pub fn is_adapter(folder: &Path) -> bool {
    let is_model =
        || folder.join("config.json").is_file() && candor_checkpoint::Checkpoint::is_in(folder);
    folder.join(CONFIG).is_file() && !is_model()
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

    /// The adapter's configuration with the rules that mean its layers in `spelling`, of a decoder of `n_blocks`.
    pub(crate) fn config(&self, spelling: Spelling, n_blocks: i64) -> LoraConfig {
        let declared = &self.declared;
        let mut config = LoraConfig {
            base_model_name_or_path: declared.base_model_name_or_path.clone(),
            task_type: declared.task_type.clone(),
            lora_dropout: declared.lora_dropout,
            use_rslora: declared.use_rslora,
            ..LoraConfig::new(declared.r, declared.lora_alpha, &[])
        };
        describe::fill(&mut config, &self.terms, spelling, n_blocks);
        config
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
        let beside = self.beside.as_ref();
        let beside = beside.and_then(|beside| beside.file_of(name));
        let file = self.checkpoint.file_of(name).or(beside);
        let file = file.unwrap_or(self.checkpoint.path());
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
