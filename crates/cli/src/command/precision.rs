//! What a model is held in that is only listened to.

use std::path::Path;

use candor_model::ModelFolder;
use candor_train::BasePrecision;

use crate::arguments::PrecisionName;

/// What was asked for; else f32 where any weight is, because rounding it would give other answers; else bf16.
pub fn precision(name: Option<PrecisionName>, model: &Path) -> anyhow::Result<BasePrecision> {
    Ok(match name {
        Some(PrecisionName::F32) => BasePrecision::F32,
        Some(PrecisionName::Bf16) => BasePrecision::Bf16,
        Some(PrecisionName::Int8) => BasePrecision::Int8,
        Some(PrecisionName::Nf4) => BasePrecision::Nf4,
        None => {
            let stored = ModelFolder::find(model)?.stored()?;
            if stored.iter().any(|tensor| tensor.dtype == "F32") {
                BasePrecision::F32
            } else {
                BasePrecision::Bf16
            }
        }
    })
}

/// The word for it on a command line.
pub fn word(precision: BasePrecision) -> &'static str {
    match precision {
        BasePrecision::F32 => "f32",
        BasePrecision::Bf16 => "bf16",
        BasePrecision::Int8 => "int8",
        BasePrecision::Nf4 => "nf4",
    }
}
