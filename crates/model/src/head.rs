//! A scalar head: one number per position, for reward and value models.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::linear::Linear;
use crate::weights::{Init, Weights};
use crate::{ModelError, tensor_file};

/// A linear map from a hidden state to one number.
#[derive(Debug)]
pub struct ScalarHead {
    linear: Linear,
    parameters: Vec<(String, Tensor)>,
}

impl ScalarHead {
    /// A head that starts at zero, so that it says nothing before it is trained.
    ///
    /// # Errors
    /// None in practice; a fresh source has every tensor.
    pub fn zeros(width: i64, device: Device) -> Result<Self, ModelError> {
        Self::take(Weights::fresh(0, device, Kind::Float), width)
    }

    /// Reads the head from a safetensors file.
    ///
    /// # Errors
    /// The file is missing or damaged, or the head has another width.
    pub fn open(path: &Path, width: i64, device: Device) -> Result<Self, ModelError> {
        Self::take(Weights::open(path, device, Kind::Float)?, width)
    }

    fn take(mut weights: Weights, width: i64) -> Result<Self, ModelError> {
        let linear = Linear::take(&mut weights, "head", [width, 1], true, Init::Zeros)?;
        Ok(Self {
            linear,
            parameters: weights.finish()?.into_iter().collect(),
        })
    }

    /// Writes the head to a safetensors file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        tensor_file::write(
            path,
            self.parameters.iter().map(|(n, t)| (n.as_str(), t)),
            None,
        )
    }

    /// Weight and bias by name.
    #[must_use]
    pub fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// # Shapes
    /// `hidden`: `[.., width]` → `[..]` f32.
    #[must_use]
    pub fn forward(&self, hidden: &Tensor) -> Tensor {
        self.linear
            .forward(&hidden.to_kind(Kind::Float))
            .squeeze_dim(-1)
    }
}
