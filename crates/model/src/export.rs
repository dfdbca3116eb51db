//! Models and adapters as folders that other tools open.
//!
//! A model goes from file to file one tensor at a time, in the type it is stored in unless another is asked for, so that
//! exporting a model costs less memory than opening it. An adapter can be merged on the way: `W + s · B A` is computed
//! in f32 and rounded once. That is done to the weights of the base's own folder, whatever precision the adapter was
//! trained on.
//!
//! Two dialects are written, Hugging Face's and the original LLaVA's, and either can be made from the other. Nothing
//! is replaced: the folder must be new, and is there as a whole or not at all.

use std::path::{Path, PathBuf};

use tch::{Device, Kind};

use crate::peft::PeftFolder;
use crate::{Dialect, ModelError, ModelFolder};

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

/// Where the original dialect has its tower.
const TOWER: &str = "vision_tower";

/// A model to be written, with what is done to it.
#[derive(Debug, Clone)]
pub struct Export {
    /// The model.
    pub model: ModelFolder,
    /// A PEFT folder to merge into it.
    pub adapter: Option<PathBuf>,
    /// What is written.
    pub dialect: Dialect,
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
    /// What merging has changed, if an adapter was merged that can also be computed beside its base.
    pub difference: Option<Difference>,
}

impl Export {
    /// Writes the folder `out`. With an adapter both the base and what was written are opened, one after the other,
    /// on `device`.
    ///
    /// # Errors
    /// The model or the adapter is damaged, they do not belong together, the dialect cannot say what the model is, or
    /// `out` is there already.
    pub fn write(&self, out: &Path, device: Device) -> Result<Exported, ModelError> {
        let adapter = self.adapter.as_deref();
        let peft = adapter.map(PeftFolder::open).transpose()?;
        let reading = Reading::open(&self.model)?;
        let mut tensors = Tensors::new(self, &reading, peft.as_ref())?;
        config::check(self, tensors.config())?;
        candor_data::atomic::folder(out, |beside| {
            config::write(self, &tensors, &reading, beside)?;
            reading.write(self, beside)?;
            let mut exported = tensors.write(self.dialect, beside)?;
            if let Some(peft) = &peft
                && peft.check_nothing_else().is_ok()
            {
                let kind = tensors.kind();
                let difference = difference::measure(&self.model, peft, beside, device, kind)?;
                exported.difference = Some(difference);
            }
            Ok(exported)
        })
    }
}
