//! What a finished run trained, read from its result, for a run that starts from its weights.

use std::path::Path;

use candor_model::{Adapter, Bundle};
use candor_train::BasePrecision;
use tch::{Device, Tensor};

use crate::SftError;
use crate::recipe::Tune;
use crate::run::is_trained;

/// The trained tensors by name; none if the run did not get to its result.
pub(crate) fn result(
    run: &Path,
    tune: &Tune,
    bundle: &Bundle,
) -> Result<Option<Vec<(String, Tensor)>>, SftError> {
    // The last file of each.
    let (last, of_adapter) = match tune {
        Tune::Lora(_) => ("adapter/adapter_model.safetensors", true),
        _ => ("model/preprocessor_config.json", false),
    };
    if !run.join(last).exists() {
        return Ok(None);
    }
    let named = |(name, tensor): (&String, &Tensor)| (name.clone(), tensor.shallow_clone());
    if of_adapter {
        let adapter = Adapter::open(&run.join("adapter"), &bundle.model)?;
        return Ok(Some(adapter.parameters().iter().map(named).collect()));
    }
    let then = Bundle::open(&run.join("model"), Device::Cpu, BasePrecision::F32)?;
    let parameters = then.model.parameters().iter();
    let trained = parameters.filter(|(name, _)| is_trained(tune, name));
    Ok(Some(trained.map(named).collect()))
}
