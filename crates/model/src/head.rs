//! A scalar head: one number per position, for reward and value models.

use std::path::Path;

use tch::{Kind, Tensor};

use crate::linear::Linear;
use crate::weights::{Init, Weights};
use crate::{ModelError, Vlm, tensor_file};

/// A linear map from a hidden state to one number.
#[derive(Debug)]
pub struct ScalarHead {
    linear: Linear,
    parameters: Vec<(String, Tensor)>,
}

impl ScalarHead {
    /// A head on a model that starts at zero, so that it says nothing before it is trained.
    ///
    /// # Errors
    /// None in practice; a fresh source has every tensor.
    pub fn zeros(base: &Vlm) -> Result<Self, ModelError> {
        let weights = Weights::fresh(0, base.device(), Kind::Float);
        Self::take(weights, base.width())
    }

    /// Reads the head of a model from a safetensors file.
    ///
    /// # Errors
    /// The file is missing or damaged, or the head has another width.
    pub fn open(path: &Path, base: &Vlm) -> Result<Self, ModelError> {
        let weights = Weights::open(path, base.device(), Kind::Float)?;
        Self::take(weights, base.width())
    }

    fn take(mut weights: Weights, width: i64) -> Result<Self, ModelError> {
        let linear = Linear::take(&mut weights, "head", [width, 1], true, Init::Zeros)?;
        weights.finish()?;
        Ok(Self::of(linear))
    }

    fn of(linear: Linear) -> Self {
        Self {
            parameters: linear.parameters("head"),
            linear,
        }
    }

    /// A copy with tensors of its own, not trainable yet.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::of(self.linear.copy())
    }

    /// Makes weight and bias trainable, or neither.
    pub fn set_trainable(&self, trainable: bool) {
        for (_, tensor) in &self.parameters {
            let _ = tensor.set_requires_grad(trainable);
        }
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
    pub fn parameters(&self) -> &[(String, Tensor)] {
        &self.parameters
    }

    /// # Shapes
    /// `hidden`: `[.., width]` → `[..]` f32.
    pub fn forward(&self, hidden: &Tensor) -> Tensor {
        self.linear
            .forward(&hidden.to_kind(Kind::Float))
            .squeeze_dim(-1)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn zeros(width: i64) -> ScalarHead {
        let weights = Weights::fresh(0, Device::Cpu, Kind::Float);
        ScalarHead::take(weights, width).unwrap()
    }

    fn open(path: &Path, width: i64) -> Result<ScalarHead, ModelError> {
        let weights = Weights::open(path, Device::Cpu, Kind::Float)?;
        ScalarHead::take(weights, width)
    }

    #[test]
    fn a_fresh_head_says_nothing_and_a_saved_one_says_the_same_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("head.safetensors");
        let hidden = Tensor::from_slice(&[1_f32, 2.0, 3.0, -1.0, 0.5, 4.0]).reshape([1, 2, 3]);
        let head = zeros(3);
        assert_eq!(
            head.forward(&hidden),
            Tensor::zeros([1, 2], (Kind::Float, Device::Cpu))
        );
        for (name, tensor) in head.parameters() {
            let value = if name.ends_with("bias") { 0.5 } else { 2.0 };
            let _ = tensor.shallow_clone().fill_(value);
        }
        head.save(&path).unwrap();
        let opened = open(&path, 3).unwrap();
        // 2 · (1 + 2 + 3) + 0.5 and 2 · (−1 + 0.5 + 4) + 0.5.
        assert_eq!(
            opened.forward(&hidden),
            Tensor::from_slice(&[12.5_f32, 7.5]).unsqueeze(0)
        );
        let message = open(&path, 4).unwrap_err().to_string();
        assert!(
            message.contains("head.weight") && message.contains("head.safetensors"),
            "{message}"
        );
    }

    #[test]
    fn a_copy_goes_its_own_way() {
        let hidden = Tensor::from_slice(&[1_f32, 2.0, 3.0]);
        let fill = |head: &ScalarHead, value: f64| {
            for (_, tensor) in head.parameters() {
                let _ = tch::no_grad(|| tensor.shallow_clone().fill_(value));
            }
        };
        let original = zeros(3);
        fill(&original, 1.0);
        original.set_trainable(true);
        let copy = original.copy();
        assert_eq!(copy.parameters(), original.parameters());
        assert_eq!(copy.forward(&hidden).detach(), Tensor::from(7.0_f32));
        assert!(
            original.forward(&hidden).requires_grad() && !copy.forward(&hidden).requires_grad()
        );
        fill(&copy, 2.0);
        assert_eq!(copy.forward(&hidden).detach(), Tensor::from(14.0_f32));
        assert_eq!(original.forward(&hidden).detach(), Tensor::from(7.0_f32));
        original.set_trainable(false);
        assert!(!original.forward(&hidden).requires_grad());
    }
}
