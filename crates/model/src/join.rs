//! A model of parts that were published apart: what the first stage of training starts from.
//!
//! A LLaMA or Vicuna, a CLIP and a projector are an original LLaVA without a configuration that says so. They are
//! exported as one: every tensor keeps its bits, `<image>` gets a token and rows, the template is `vicuna_v1`. Layer −2 of
//! the tower is read, without the class token, as every LLaVA does it.
//!
//! A fresh projector begins as [`Vlm::fresh`](crate::Vlm::fresh) begins one, in the type of the decoder.

use std::path::{Path, PathBuf};

use candor_data::image::Fit;
use candor_weights::Checkpoint;
use tch::{Device, Kind};

use crate::export::{Export, Exported};
use crate::folder::{ModelFolder, Parts, projector_in};
use crate::llama::decoder::EMBEDDING;
use crate::llava::projector::Projector;
use crate::weights::Weights;
use crate::{CheckpointFormat, ModelError, ProjectorKind, hub, names, tensor_file};

const LINEAR: &str = "multi_modal_projector.linear.weight";
/// Of a fresh projector, while it is on its way into the model.
const FRESH: &str = "fresh_projector.safetensors";

/// The parts, and how they become a model.
#[derive(Debug, Clone)]
pub struct Join {
    /// Folder of a LLaMA or Vicuna, or its name in the cache of Hugging Face.
    pub decoder: PathBuf,
    /// Folder of a CLIP, or its name.
    pub tower: PathBuf,
    /// File of a projector, or a folder that holds one as `mm_projector.bin`; without it a fresh one is drawn.
    pub projector: Option<PathBuf>,
    /// Decides the fresh projector.
    pub seed: u64,
    /// How images are made square.
    pub fit: Fit,
    /// What is written.
    pub checkpoint_format: CheckpointFormat,
    /// The type of all tensors; without it they keep their own.
    pub kind: Option<Kind>,
}

impl Join {
    /// Writes the folder `out`.
    ///
    /// # Errors
    /// A part is missing, damaged or of another kind of model, they do not fit together, or `out` is there already.
    pub fn write(&self, out: &Path, device: Device) -> Result<Exported, ModelError> {
        candor_data::atomic::folder(out, |beside| {
            let fresh = beside.join(FRESH);
            let (projector, kind) = match &self.projector {
                Some(path) => published(path)?,
                None => (fresh.clone(), ProjectorKind::Mlp),
            };
            let model = ModelFolder::of_parts(Parts {
                decoder: &self.decoder,
                tower: &self.tower,
                projector: &projector,
                kind,
                fit: self.fit,
            })?;
            if self.projector.is_none() {
                self.write_fresh(&model, &fresh)?;
            }
            let export = Export {
                model,
                adapter: None,
                checkpoint_format: self.checkpoint_format,
                kind: self.kind,
            };
            let exported = export.write_into(beside, out, device)?;
            if self.projector.is_none() {
                std::fs::remove_file(&fresh).map_err(ModelError::io("remove", &fresh))?;
            }
            Ok(exported)
        })
    }

    fn write_fresh(&self, model: &ModelFolder, path: &Path) -> Result<(), ModelError> {
        let decoder = Checkpoint::open(model.path())?;
        let embedding = decoder
            .iter()
            .find(|(in_file, _)| names::ORIGINAL.here(in_file).as_deref() == Some(EMBEDDING));
        let kind = embedding.and_then(|(_, entry)| crate::store::kind(entry.dtype()));
        let mut weights = Weights::fresh(self.seed, Device::Cpu, kind.unwrap_or(Kind::Float));
        let Some(config) = model.config().llava() else {
            unreachable!("parts are joined to a LLaVA")
        };
        Projector::take(&mut weights, config)?;
        let tensors = weights.finish()?;
        let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        tensor_file::write_unsynced(path, named, None)
    }
}

/// The file of a projector, and its kind.
fn published(path: &Path) -> Result<(PathBuf, ProjectorKind), ModelError> {
    let file = if path.is_file() {
        path.to_owned()
    } else {
        let folder = hub::find(path)?;
        projector_in(&folder).ok_or_else(|| ModelError::TensorFile {
            path: folder.clone(),
            problem: "there is no mm_projector.bin".to_owned(),
            remedy: "name the file that holds the projector",
        })?
    };
    let checkpoint = Checkpoint::open(&file)?;
    let mut here = checkpoint
        .iter()
        .filter_map(|(in_file, _)| names::PROJECTOR.here(in_file));
    let kind = if here.any(|name| name == LINEAR) {
        ProjectorKind::Linear
    } else {
        ProjectorKind::Mlp
    };
    Ok((file, kind))
}
