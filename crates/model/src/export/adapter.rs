//! A PEFT folder, written anew for another spelling, type or base.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor};

use crate::peft::paths::{LLAMA, Spelling, WRAPPER};
use crate::peft::{CONFIG, PeftFolder, TENSORS};
use crate::{CheckpointFormat, ModelConfig, ModelError, tensor_file};

/// Writes the adapter in `folder`, which belongs to a model of this configuration, as the PEFT folder `out`: with the
/// names of a format, of a type if one is given, and for another base if one is named. Its tensors keep every bit
/// otherwise.
///
/// # Errors
/// The adapter is damaged, does not fit the model or changes more than linear layers of the blocks of decoder and tower and
/// of the projector; or `out` is there already.
pub fn export_adapter(
    folder: &Path,
    base: &ModelConfig,
    base_name: Option<&str>,
    checkpoint_format: CheckpointFormat,
    kind: Option<Kind>,
    out: &Path,
) -> Result<(), ModelError> {
    let peft = PeftFolder::open(folder)?;
    peft.check_switchable(base)?;
    let spelling = match checkpoint_format {
        CheckpointFormat::HuggingFace => Spelling::today(base),
        CheckpointFormat::Original => LLAMA,
    };
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for (layer, term) in peft.terms() {
        let layer = spelling.layer_in_file(layer);
        for (half, tensor) in ["A", "B"].into_iter().zip(peft.halves(term)?) {
            let name = format!("{WRAPPER}{layer}.lora_{half}.weight");
            let kind = kind.unwrap_or(tensor.kind());
            let made = tensor.to_kind(kind);
            if !super::is_finite(&made) {
                let path = folder.to_owned();
                return Err(ModelError::MadeNotFinite { path, name, kind });
            }
            tensors.insert(name, made);
        }
    }
    let mut config = peft.config(spelling, base);
    if let Some(name) = base_name {
        config.base_model_name_or_path = Some(name.to_owned());
    }
    candor_data::atomic::folder(out, |beside| {
        config.write(&beside.join(CONFIG))?;
        let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        tensor_file::write_unsynced(&beside.join(TENSORS[0]), named, Some(metadata))
    })
}
