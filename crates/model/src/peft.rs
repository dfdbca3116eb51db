//! PEFT's folders: what an adapter changes in a model, found out from its configuration and its files' headers.
//!
//! Which layers have an adapter is said twice in such a folder, by the configuration's rules over names
//! (`peft/meant.rs`) and by the tensors that are there. Both must agree, because PEFT itself would pass over a tensor
//! that its rules do not ask for and leave a layer alone whose tensors are missing. The rules are followed on the file's
//! own names (`peft/paths.rs`).
//!
//! Beside low-rank terms a folder may hold whole tensors. Those of `modules_to_save` stand beside the base's, as terms
//! do. Others take the place of the base's own: layers that terms lie on (`base_layer`), embedding and output layer
//! where their size has changed, and `non_lora_trainables.bin`, into which the original LLaVA puts its projector. The
//! difference shows where embedding and output layer are one matrix: what stands beside it parts them, what takes its
//! place is both. All of it can be merged into a model, and not be switched on and off as an
//! [`Adapter`](crate::Adapter) is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_weights::{Checkpoint, CheckpointError};
use tch::Tensor;

use crate::llama::decoder::{EMBEDDING, HEAD};
use crate::{ModelConfig, ModelError, store};

mod base;
mod config;
mod describe;
mod fits;
mod found;
mod matching;
mod meant;
pub(crate) mod paths;

pub(crate) use base::alone;
pub use base::with_base;
pub use config::LoraConfig;
pub(crate) use meant::is_table;

use config::Declared;
use paths::{Spelling, WRAPPER};

/// The configuration that makes a folder PEFT's.
pub(crate) const CONFIG: &str = "adapter_config.json";
/// Where the tensors are; the first that exists counts.
pub(crate) const TENSORS: [&str; 2] = ["adapter_model.safetensors", "adapter_model.bin"];
/// Where the original LLaVA puts what it trained beside the adapter.
const WHOLE_TENSORS: [&str; 2] = ["non_lora_trainables.safetensors", "non_lora_trainables.bin"];
pub(crate) const MERGE: &str =
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
    /// Whole tensors of `modules_to_save` by candor's name.
    saved: BTreeMap<String, Whole>,
    /// Whole tensors that the base itself has otherwise.
    of_base: BTreeMap<String, Whole>,
}

/// One layer's low-rank term, by its file's names.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    a: String,
    b: String,
    /// Whether the layer is an embedding: its term is stored for the transposed table, so that A is what the file calls
    /// B, and the other way round.
    transposed: bool,
    /// The layer, as the file calls it.
    layer: String,
    pub r: i64,
    pub alpha: f64,
    pub scale: f64,
    pub n_in: i64,
    pub n_out: i64,
}

/// A whole tensor, and which file it is in.
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
        || folder.join("config.json").is_file() && candor_weights::Checkpoint::is_in(folder);
    folder.join(CONFIG).is_file() && !is_model()
}

/// Whether a name, of a tensor, a layer or one of the targets of an adapter, is of a vision tower as PEFT's files spell it.
#[must_use]
pub fn names_tower(name: &str) -> bool {
    name.contains("vision_tower") || name.contains("visual.blocks")
}

/// Whether the adapter in a folder has terms of a vision tower's layers, by the names of its tensors: its configuration may ask
/// for these layers by last names that the decoder's have too. False where the tensors cannot be read.
#[must_use]
pub fn has_tower(folder: &Path) -> bool {
    let of_tower = |name: &str| name.contains(".lora_") && names_tower(name);
    Checkpoint::open_first(folder, &TENSORS)
        .is_ok_and(|checkpoint| checkpoint.iter().any(|(name, _)| of_tower(name)))
}

/// Reads configuration and headers of the adapter in a folder.
///
/// # Errors
/// As of opening it, but for what does not fit its model.
pub fn check(folder: &Path) -> Result<(), ModelError> {
    PeftFolder::open(folder).map(|_| ())
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
        let beside = match Checkpoint::open_first(folder, &WHOLE_TENSORS) {
            // A run that trained nothing but the adapter leaves an empty file.
            Err(CheckpointError::Empty { .. }) => None,
            opened if has_beside => Some(opened?),
            _ => None,
        };
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
            saved: BTreeMap::new(),
            of_base: BTreeMap::new(),
        };
        peft.find_tensors()?;
        Ok(peft)
    }

    pub(crate) fn terms(&self) -> &BTreeMap<String, Term> {
        &self.terms
    }

    /// Whether something stands beside the base's tensor `name`, instead of it or added to it.
    pub(crate) fn stands_beside(&self, name: &str) -> bool {
        let layer = name.strip_suffix(".weight");
        self.saved.contains_key(name) || layer.is_some_and(|layer| self.terms.contains_key(layer))
    }

    fn shape_of(&self, whole: &Whole) -> Vec<i64> {
        let entry = self.file_of(whole).get(&whole.in_file);
        let shape = entry.map_or(&[][..], |entry| entry.shape());
        shape.iter().map(|&n| n as i64).collect()
    }

    fn file_of(&self, whole: &Whole) -> &Checkpoint {
        match &self.beside {
            Some(beside) if whole.is_beside => beside,
            _ => &self.checkpoint,
        }
    }

    /// The adapter's configuration with the rules that mean its layers in `spelling`, of a model of this configuration.
    pub(crate) fn config(&self, spelling: Spelling, model: &ModelConfig) -> LoraConfig {
        let declared = &self.declared;
        let mut config = LoraConfig {
            base_model_name_or_path: declared.base_model_name_or_path.clone(),
            task_type: declared.task_type.clone(),
            lora_dropout: declared.lora_dropout,
            use_rslora: declared.use_rslora,
            ..LoraConfig::new(declared.r, declared.lora_alpha, &[])
        };
        describe::fill(&mut config, &self.terms, spelling, model);
        config
    }

    /// A and B of a term in the type they are stored in.
    ///
    /// # Errors
    /// The file cannot be read.
    ///
    /// # Shapes
    /// `[r, n_in]` and `[n_out, r]`
    pub(crate) fn halves(&self, term: &Term) -> Result<[Tensor; 2], ModelError> {
        let read = |name: &str, n: i64| -> Result<Tensor, ModelError> {
            let half = store::read(&self.checkpoint, name)?;
            let half = if term.transposed { half.tr() } else { half };
            // The halves of a convolution have more dimensions, of which these are the first and the product.
            Ok(half.reshape([n, -1]))
        };
        Ok([read(&term.a, term.r)?, read(&term.b, term.n_out)?])
    }

    /// The whole tensor that counts for the base's `name`, if the folder has one. What takes the place of embedding or
    /// output layer is both where they are `tied` in the base.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn whole_tensor(
        &self,
        name: &str,
        tied: bool,
    ) -> Result<Option<Tensor>, ModelError> {
        let is_one = tied && [EMBEDDING, HEAD].contains(&name);
        let names = if is_one {
            &[EMBEDDING, HEAD][..]
        } else {
            &[name]
        };
        let of_base = || names.iter().find_map(|name| self.of_base.get(*name));
        self.read_whole(self.saved.get(name).or_else(of_base))
    }

    fn read_whole(&self, whole: Option<&Whole>) -> Result<Option<Tensor>, ModelError> {
        let read = |whole: &Whole| store::read(self.file_of(whole), &whole.in_file);
        whole.map(read).transpose()
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
