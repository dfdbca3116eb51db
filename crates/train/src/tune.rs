//! Which weights of a model a stage trains, what they start from, and where the result of that is.

use std::path::{Path, PathBuf};

use candor_model::{Adapter, Bundle, ModelError};
use tch::{Device, Tensor};

use crate::BasePrecision;
use crate::session::Session;
use crate::stage_fields::LoraStart;

/// Where a run keeps a copy of its adapter as it is after so many steps.
#[must_use]
pub fn snapshot(run: &Path, step: u64) -> PathBuf {
    run.join("adapters").join(format!("step-{step}"))
}

/// Keeps such a copy where one is due every so many steps. To be called before the step is recorded: a run that resumes after it
/// must find the copy.
///
/// # Errors
/// The files cannot be written.
pub fn keep_snapshot(
    session: &Session,
    step: u64,
    every: Option<u64>,
    adapter: Option<&Adapter>,
) -> Result<(), ModelError> {
    let is_due = every.is_some_and(|every| step.is_multiple_of(every));
    match adapter.filter(|_| is_due && session.writes()) {
        Some(adapter) => adapter.save(&snapshot(session.path(), step)),
        None => Ok(()),
    }
}

/// What is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Tune {
    /// Everything but the vision tower (the paper's SFT).
    AllButTower,
    /// The projector alone (the paper's stage 0).
    Projector,
    /// A LoRA adapter, on the decoder in the paper's policy initialisation.
    Lora(LoraStart),
}

/// Trained tensors by name, in the order of their names.
type Trained = Vec<(String, Tensor)>;

impl Tune {
    /// The adapter, if one is trained, and the trained tensors; everything else is frozen. `base` is the folder that the
    /// model came from, and a fresh adapter follows from `seed`.
    ///
    /// # Errors
    /// The adapter's folder cannot be read or does not fit the model.
    pub fn start(
        &self,
        bundle: &Bundle,
        base: &Path,
        seed: u64,
    ) -> Result<(Option<Adapter>, Trained), ModelError> {
        let trained = bundle.model.set_trainable(|name| self.trains(name));
        let Self::Lora(start) = self else {
            return Ok((None, trained));
        };
        let adapter = start.open(bundle, base, seed)?;
        adapter.set_trainable(true);
        let named = adapter.parameters().iter().map(named).collect();
        Ok((Some(adapter), named))
    }

    /// Whether a tensor of the model itself is trained.
    fn trains(&self, name: &str) -> bool {
        match self {
            Self::AllButTower => !name.starts_with("vision_tower."),
            Self::Projector => name.starts_with("multi_modal_projector."),
            Self::Lora(_) => false,
        }
    }

    /// Writes what was trained: `<run>/adapter`, or `<run>/model` as a whole.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(run: &Path, bundle: &Bundle, adapter: Option<&Adapter>) -> Result<(), ModelError> {
        match adapter {
            Some(adapter) => adapter.save(&run.join("adapter")),
            None => bundle.save(&run.join("model")),
        }
    }

    /// What a finished run trained, by name, read from its folder; none if the run did not get to its result.
    ///
    /// # Errors
    /// The result is damaged or of another model.
    pub fn result(&self, run: &Path, bundle: &Bundle) -> Result<Option<Trained>, ModelError> {
        // The last file of each.
        let last = match self {
            Self::Lora(_) => "adapter/adapter_model.safetensors",
            _ => "model/preprocessor_config.json",
        };
        if !run.join(last).exists() {
            return Ok(None);
        }
        if let Self::Lora(_) = self {
            let adapter = Adapter::open(&run.join("adapter"), &bundle.model)?;
            return Ok(Some(adapter.parameters().iter().map(named).collect()));
        }
        let then = Bundle::open(&run.join("model"), Device::Cpu, BasePrecision::F32)?;
        let parameters = then.model.parameters().iter();
        let trained = parameters.filter(|(name, _)| self.trains(name));
        Ok(Some(trained.map(named).collect()))
    }
}

fn named((name, tensor): (&String, &Tensor)) -> (String, Tensor) {
    (name.clone(), tensor.shallow_clone())
}
