//! All of a model folder but its weights' values: what it takes to say what a model is, to render and tokenise for
//! it, and to tell whether its parts fit together, at once and in little memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_checkpoint::Checkpoint;
use candor_data::image::ImageProcessor;

use crate::sample::SampleRules;
use crate::weights::canonical_name;
use crate::{LlavaConfig, ModelError, Template, Tokenizer};

/// What a model folder says without its weights.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    /// The folder.
    pub path: PathBuf,
    /// The sizes.
    pub config: LlavaConfig,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Turns to text.
    pub template: Template,
    /// Files to pixels.
    pub processor: ImageProcessor,
}

/// The headers of a folder's weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The file or index they were found by.
    pub path: PathBuf,
    /// The files that hold tensors, in alphabetical order.
    pub files: Vec<PathBuf>,
    /// The tensors by the names that candor has for them.
    pub tensors: BTreeMap<String, StoredTensor>,
}

/// The header of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    /// The file it is in.
    pub file: PathBuf,
    /// The type of its elements, as safetensors spells it.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Bytes that it takes in the file.
    pub n_bytes: u64,
}

impl ModelFolder {
    /// Reads a model folder; no weights.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        Ok(Self {
            path: path.to_owned(),
            config: LlavaConfig::read(&path.join("config.json"))?,
            tokenizer: Tokenizer::open_folder(path)?,
            template: Template::of_folder(path)?,
            processor: ImageProcessor::from_file(&path.join("preprocessor_config.json"))?,
        })
    }

    /// Reads the headers of the folder's weights.
    ///
    /// # Errors
    /// There are none, or a file is damaged.
    pub fn stored(&self) -> Result<Stored, ModelError> {
        let checkpoint = Checkpoint::open(&self.path)?;
        let mut files = Vec::new();
        let mut tensors = BTreeMap::new();
        for (name, entry) in checkpoint.iter() {
            let file = checkpoint.file_of(name).unwrap_or(checkpoint.path());
            files.push(file.to_owned());
            let tensor = StoredTensor {
                file: file.to_owned(),
                dtype: entry.dtype().to_string(),
                shape: entry.shape().iter().map(|&size| size as i64).collect(),
                n_bytes: entry.n_bytes(),
            };
            tensors.insert(canonical_name(name), tensor);
        }
        files.sort_unstable();
        files.dedup();
        Ok(Stored {
            path: checkpoint.path().to_owned(),
            files,
            tensors,
        })
    }

    /// What tokenising a conversation needs to know.
    #[must_use]
    pub fn rules(&self, max_tokens: usize) -> SampleRules<'_> {
        SampleRules {
            tokenizer: &self.tokenizer,
            template: &self.template,
            n_image_tokens: self.config.n_image_tokens(),
            max_tokens,
        }
    }
}
