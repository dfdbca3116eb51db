//! Models and adapters as folders that other tools open.
//!
//! A model goes from file to file one tensor at a time, in the type it is stored in unless another is asked for, so that
//! exporting a model costs less memory than opening it. An adapter can be merged on the way: `W + s · B A` is computed
//! in f32 and rounded once. That is done to the weights of the base's own folder, whatever precision the adapter was
//! trained on.
//!
//! Two formats are written, Hugging Face's and the original LLaVA's, and either can be made from the other. Nothing
//! is replaced: the folder must be new, and is there as a whole or not at all.

use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use crate::peft::PeftFolder;
use crate::{CheckpointFormat, ModelError, ModelFolder, preflight};

mod adapter;
mod config;
mod difference;
mod reading;
mod shards;
mod tensors;

pub use adapter::export_adapter;
pub use difference::Difference;

use reading::Reading;
use tensors::Tensors;

/// Where the original format has its tower.
const TOWER: &str = "vision_tower";

/// A model to be written, with what is done to it.
#[derive(Debug, Clone)]
pub struct Export {
    /// The model.
    pub model: ModelFolder,
    /// A PEFT folder to merge into it.
    pub adapter: Option<PathBuf>,
    /// What is written.
    pub checkpoint_format: CheckpointFormat,
    /// The type of all tensors; without it they keep their own.
    pub kind: Option<Kind>,
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub struct Exported {
    /// Tensors.
    pub n_tensors: usize,
    /// Files that they are in.
    pub n_files: usize,
    /// Bytes of all of them.
    pub n_bytes: u64,
    /// What merging has changed, if an adapter was merged.
    pub difference: Option<Difference>,
}

impl Export {
    /// Writes the folder `out`. With an adapter both the base and what was written are opened, one after the other,
    /// on `device`.
    ///
    /// # Errors
    /// The parts of the model do not fit together, it or the adapter is damaged, they do not belong together, the format
    /// cannot say what the model is, what was merged does not answer with numbers, or `out` is there already.
    pub fn write(&self, out: &Path, device: Device) -> Result<Exported, ModelError> {
        candor_data::atomic::folder(out, |beside| self.write_into(beside, out, device))
    }

    /// Writes into the folder `beside`, which becomes `out`.
    pub(crate) fn write_into(
        &self,
        beside: &Path,
        out: &Path,
        device: Device,
    ) -> Result<Exported, ModelError> {
        let adapter = self.adapter.as_deref();
        let peft = adapter.map(PeftFolder::open).transpose()?;
        let reading = crate::Reading::of(self.model.clone())?;
        preflight::check(&reading)?;
        let reading = Reading::of(reading);
        let mut tensors = Tensors::new(self, &reading, peft.as_ref())?;
        config::check(self, tensors.config())?;
        config::write(self, &tensors, &reading, beside)?;
        reading.write(self, beside)?;
        let mut exported = tensors.write(self.checkpoint_format, beside)?;
        let unverified = |error: ModelError| match error {
            ModelError::Preflight(problems) => ModelError::Unverified {
                path: out.to_owned(),
                problem: format!("what was made does not fit together: {problems}"),
                remedy: "report this",
            },
            other => other,
        };
        preflight::check(&crate::Reading::open(beside)?).map_err(unverified)?;
        if let Some(peft) = &peft {
            exported.difference = Some(self.verify(peft, beside, out, device, tensors.kind())?);
        }
        Ok(exported)
    }

    /// Has a merged model answer with numbers, and compares it with the unmerged one.
    fn verify(
        &self,
        peft: &PeftFolder,
        beside: &Path,
        out: &Path,
        device: Device,
        kind: Kind,
    ) -> Result<Difference, ModelError> {
        let merged = difference::merged(beside, device, kind)?;
        let difference = difference::measure(&self.model, peft, &merged, device, kind)?;
        let finite = is_finite(&merged);
        if finite && difference.largest.is_finite() && difference.logit.is_finite() {
            return Ok(difference);
        }
        Err(ModelError::Unverified {
            path: out.to_owned(),
            problem: format!(
                "logits of the {} model are not finite",
                if finite { "unmerged" } else { "merged" }
            ),
            remedy: "the adapter diverged in training, or is too large for this type; use an earlier one, or --dtype f32",
        })
    }
}

/// Whether all numbers of a tensor are finite.
fn is_finite(tensor: &Tensor) -> bool {
    bool::try_from(tensor.isfinite().all()).unwrap_or(false)
}
