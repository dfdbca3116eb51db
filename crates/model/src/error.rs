//! What can go wrong with a model folder, a tokenizer or a prompt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::rows::{BadRows, ImageRows, Reason, RowFault};
use candor_weights::NonFinite;
use tch::Kind;

use crate::mismatch::Mismatches;
use crate::preflight::Problems;

/// Errors of this crate. Wrong shapes between our own modules are bugs and panic; files do not.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file of the model folder cannot be read or written.
    #[error(
        "{path}: cannot {action} (check that the file exists, may be accessed and that the disk has room)"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted, as a verb: `"read"`, `"create"`.
        action: &'static str,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// A JSON file of the model folder does not fit its schema.
    #[error("{path}: not a valid configuration: {problem} ({remedy})")]
    Config {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A safetensors file, or a tensor meant for one, is unusable.
    #[error("{path}: {problem} ({remedy})")]
    TensorFile {
        /// The file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A file of tensors is damaged, or asks for more than tensors need.
    #[error(transparent)]
    Checkpoint(#[from] candor_weights::CheckpointError),
    /// Weights and configuration do not fit together.
    #[error("{0} (config.json and weights must come from the same export of a LLaVA)")]
    Mismatches(Mismatches),
    /// Parts of a model folder do not fit together.
    #[error("{0}")]
    Preflight(Problems),
    /// A model is neither a folder nor in the cache of Hugging Face.
    #[error("{name}: no such model, looked in {looked_in} ({remedy})")]
    NoModel {
        /// What was asked for.
        name: String,
        /// The places.
        looked_in: String,
        /// What to do.
        remedy: String,
    },
    /// A folder holds an adapter alone, where a model is needed.
    #[error(
        "{path}: holds an adapter and no model; its base is {base} (name the base, and the adapter where there is a place for \
         one: --adapter, `model.adapter` or `model.policy_init`; or merge both with `candor export {path} --merge --out OUT` \
         and name OUT)"
    )]
    AdapterAlone {
        /// The folder.
        path: PathBuf,
        /// The base that its configuration names.
        base: String,
    },
    /// A tensor holds infinities, or what is no number at all.
    #[error(
        "{path}: tensor `{name}`: {} of {n_values} values are not finite, {found} (the file is damaged or its training \
         diverged; use an earlier checkpoint or download the file again)", found.n_nan + found.n_infinite
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// The tensor, as the file calls it.
        name: String,
        /// What was found.
        found: NonFinite,
        /// Of how many.
        n_values: u64,
    },
    /// A tensor would hold infinities, or what is no number at all, in a file that is written.
    #[error(
        "{path}: tensor `{name}` would not be finite as {kind:?}, so nothing is written (merge an adapter that belongs to \
         this model, or choose a type with a wider range, such as bf16)"
    )]
    MadeNotFinite {
        /// The model it comes from.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The type that was asked for.
        kind: Kind,
    },
    /// A model's answer has no probabilities.
    #[error(
        "sample `{sample}`: the logits of token {} of the answer are not finite, so there is nothing to choose from (the \
         weights diverged or are too large for the precision; use an earlier checkpoint, or f32)", position + 1
    )]
    Logits {
        /// The sample's id.
        sample: String,
        /// Tokens that were generated before.
        position: usize,
    },
    /// A model that was written does not answer as it should.
    #[error("{path}: {problem}, so nothing is written ({remedy})")]
    Unverified {
        /// The model that was to be written.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A quantised model is to be saved.
    #[error(
        "{path}: a quantised model cannot be saved, its weights are rounded (save the adapter, or open the model \
         without quantisation)"
    )]
    SaveQuantized {
        /// The folder.
        path: PathBuf,
    },
    /// A tokenizer's file is unusable, or the tokenizer library refused a text.
    #[error("{path}: tokenizer: {problem} ({remedy})")]
    Tokenizer {
        /// The file, or the text's origin.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A prompt does not fit the model.
    #[error("sample `{sample}`: {problem} ({remedy})")]
    Prompt {
        /// The sample's id.
        sample: String,
        /// What was found.
        problem: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A row does not fit the model.
    #[error("sample `{sample}`: {} ({})", fault.found, fault.remedy)]
    Row {
        /// The sample's id.
        sample: String,
        /// What is wrong with it.
        fault: Box<RowFault>,
    },
    /// Images cannot be shown to the model.
    #[error("{}", images(.0))]
    Images(BTreeMap<String, RowFault>),
    /// Features of images are to be kept on disk, and nobody says where.
    #[error(
        "neither HOME nor XDG_CACHE_HOME is set, so there is no folder for the features of images (name one with \
         run.features_folder or CANDOR_FEATURES, or keep them in memory with run.features = \"memory\")"
    )]
    NoFolderForFeatures,
    /// Features of images do not fit on the disk.
    #[error(
        "{folder}: features of images take {:.1} GB that are in use, and may take {:.1} in all (raise run.features_disk_gb, name a \
         larger disk with run.features_folder, or keep them in memory with run.features = \"memory\"){}", gigabytes(*in_use),
        gigabytes(*max_bytes), nobody_asked(unasked.as_deref())
    )]
    NoRoomForFeatures {
        /// The folder that holds them.
        folder: PathBuf,
        /// Bytes that are in use.
        in_use: u64,
        /// Bytes that there may be.
        max_bytes: u64,
        /// A file by which another process said that it uses them, and that cannot be opened to see whether it still runs.
        unasked: Option<PathBuf>,
    },
    /// Writing through the data crate failed.
    #[error(transparent)]
    Data(#[from] candor_data::DataError),
}

/// What to do about a file of which nobody can tell whether its process runs.
fn nobody_asked(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| {
        let file = file.display();
        format!(
            "; {file} cannot be opened, so all of them may be in use: remove it if the process that made it has ended"
        )
    })
}

fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

/// Each image and what is wrong with it, the first of many.
fn images(faults: &BTreeMap<String, RowFault>) -> String {
    let shown = faults.values().take(BadRows::SHOWN);
    let shown: Vec<String> = shown
        .map(|fault| format!("{} ({})", fault.found, fault.remedy))
        .collect();
    let more = match faults.len().saturating_sub(BadRows::SHOWN) {
        0 => String::new(),
        more => format!("\nand {more} more images"),
    };
    shown.join("\n") + &more
}

impl From<ModelError> for RowFault {
    /// What a row's error is as a fault of the row.
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Row { fault, .. } => *fault,
            ModelError::Prompt {
                problem, remedy, ..
            } => Self::new(Reason::Template, "conversations", problem, remedy),
            other => Self::new(
                Reason::Template,
                "conversations",
                other.to_string(),
                "correct or remove the row",
            ),
        }
    }
}

impl ModelError {
    /// The same error; of images, with the rows that show them.
    #[must_use]
    pub fn in_rows(self, shown: &ImageRows) -> Self {
        match self {
            Self::Images(faults) => Self::Data(shown.refusal(&faults)),
            other => other,
        }
    }

    /// An [`ModelError::Io`] with what was attempted on `path`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }
}
