//! Where a module's tensors come from: a checkpoint, or a fresh initialisation.
//!
//! Names are those of Hugging Face's `LlavaForConditionalGeneration` with the prefixes `vision_tower`,
//! `multi_modal_projector` and `language_model`; newer exports, which spell them differently, are mapped to
//! these when they are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candor_data::random;
use rand::RngExt as _;
use tch::{Device, Kind, Tensor};

use crate::linear::BlockLinear;
use crate::precision::Precision;
use crate::quantize::{self, Quantizer};
use crate::{ModelError, tensor_file};

/// How a tensor starts when there is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Gaussian with this standard deviation.
    Normal(f64),
    /// Uniform between minus and plus this bound.
    Uniform(f64),
    /// All zero.
    Zeros,
    /// All one.
    Ones,
}

/// A source of named tensors, which remembers what was taken from it.
#[derive(Debug)]
pub struct Weights {
    source: Source,
    device: Device,
    kind: Kind,
    quantizer: Option<Quantizer>,
    taken: BTreeMap<String, Tensor>,
}

#[derive(Debug)]
enum Source {
    Checkpoint {
        path: PathBuf,
        tensors: BTreeMap<String, Tensor>,
    },
    Fresh {
        seed: u64,
    },
}

impl Source {
    /// What errors call it.
    fn path(&self) -> &Path {
        match self {
            Self::Checkpoint { path, .. } => path,
            Self::Fresh { .. } => Path::new("fresh model"),
        }
    }
}

impl Weights {
    /// Tensors of a safetensors file, to be held in `precision`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(
        path: &Path,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        let precision = precision.into();
        let stored = tensor_file::read(path)?;
        let tensors = stored
            .into_iter()
            .map(|(name, t)| (canonical_name(&name), t))
            .collect();
        Ok(Self {
            source: Source::Checkpoint {
                path: path.to_owned(),
                tensors,
            },
            device,
            kind: precision.kind,
            quantizer: Quantizer::new(precision.quantization, device),
            taken: BTreeMap::new(),
        })
    }

    /// Freshly initialised tensors: each is a function of the seed and its own name alone.
    #[must_use]
    pub fn fresh(seed: u64, device: Device, kind: Kind) -> Self {
        Self {
            source: Source::Fresh { seed },
            device,
            kind,
            quantizer: None,
            taken: BTreeMap::new(),
        }
    }

    /// Takes the tensor `name`, which must have the shape `shape`.
    ///
    /// # Errors
    /// The checkpoint lacks it or has it in another shape.
    pub fn take(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, ModelError> {
        let tensor = self.stored(name, shape, init)?;
        Ok(self.keep(name, &tensor))
    }

    /// Takes the weight `name` of a linear layer of the decoder's blocks, packed where this source quantises. What it
    /// was packed from is let go of at once, so the memory for a whole model shrinks layer by layer.
    ///
    /// # Errors
    /// As [`Weights::take`], or a weight that is to be packed is not finite.
    pub(crate) fn take_linear(
        &mut self,
        name: &str,
        [n_in, n_out]: [i64; 2],
        init: Init,
    ) -> Result<BlockLinear, ModelError> {
        let weight = self.stored(name, &[n_out, n_in], init)?;
        let Some(quantizer) = &self.quantizer else {
            return Ok(BlockLinear::Dense(self.keep(name, &weight)));
        };
        let Some(packed) = quantizer.pack(&weight) else {
            return Err(ModelError::NotFinite {
                path: self.source.path().to_owned(),
                name: name.to_owned(),
            });
        };
        for (part, tensor) in packed.parts() {
            let name = quantize::part_name(name, part);
            self.taken.insert(name, tensor.shallow_clone());
        }
        Ok(BlockLinear::Packed(packed))
    }

    /// Remembers a tensor as taken, in the kind that is asked for.
    fn keep(&mut self, name: &str, tensor: &Tensor) -> Tensor {
        let tensor = tensor.to_kind(self.kind);
        self.taken.insert(name.to_owned(), tensor.shallow_clone());
        tensor
    }

    /// The tensor `name` as it is stored or drawn, on the device.
    fn stored(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, ModelError> {
        let tensor = match &mut self.source {
            Source::Checkpoint { path, tensors } => {
                let stored = tensors
                    .remove(name)
                    .ok_or_else(|| ModelError::MissingTensor {
                        path: path.clone(),
                        name: name.to_owned(),
                    })?;
                if stored.size() != shape {
                    return Err(ModelError::Shape {
                        path: path.clone(),
                        name: name.to_owned(),
                        found: stored.size(),
                        expected: shape.to_vec(),
                    });
                }
                stored
            }
            Source::Fresh { seed } => initial(*seed, name, shape, init),
        };
        Ok(tensor.to_device(self.device))
    }

    /// Whether the source can give `name`; a fresh one can give anything.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Checkpoint { tensors, .. } => tensors.contains_key(name),
            Source::Fresh { .. } => true,
        }
    }

    /// Ends the taking: all tensors by name.
    ///
    /// # Errors
    /// The checkpoint holds tensors that nothing has taken.
    pub fn finish(mut self) -> Result<BTreeMap<String, Tensor>, ModelError> {
        if let Source::Checkpoint { path, tensors } = &mut self.source {
            // Buffers that older transformers versions saved; they follow from the configuration.
            tensors.retain(|name, _| {
                !name.ends_with("position_ids") && !name.ends_with("rotary_emb.inv_freq")
            });
            // The head is stored beside the embedding it is tied to by exporters that do not know of ties.
            if !self.taken.contains_key("language_model.lm_head.weight") {
                tensors.remove("language_model.lm_head.weight");
            }
            if let Some(first) = tensors.keys().next() {
                return Err(ModelError::ExtraTensors {
                    path: path.clone(),
                    count: tensors.len(),
                    first: first.clone(),
                });
            }
        }
        Ok(self.taken)
    }
}

/// The name under which candor knows a tensor of any Hugging Face export.
pub(crate) fn canonical_name(name: &str) -> String {
    if name == "lm_head.weight" {
        return "language_model.lm_head.weight".to_owned();
    }
    // PEFT puts its own two levels in front of the wrapped model's names.
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    let name = name.strip_prefix("model.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("vision_tower.") {
        // Transformers 5 dropped this level.
        let rest = rest.strip_prefix("vision_model.").unwrap_or(rest);
        return format!("vision_tower.vision_model.{rest}");
    }
    let Some(rest) = name.strip_prefix("language_model.") else {
        return name.to_owned();
    };
    if rest.starts_with("model.") || rest.starts_with("lm_head.") {
        return name.to_owned();
    }
    format!("language_model.model.{rest}")
}

/// The initial value of `name`.
fn initial(seed: u64, name: &str, shape: &[i64], init: Init) -> Tensor {
    match init {
        Init::Zeros => Tensor::zeros(shape, (Kind::Float, Device::Cpu)),
        Init::Ones => Tensor::ones(shape, (Kind::Float, Device::Cpu)),
        Init::Uniform(bound) => drawn(seed, name, shape, |stream, values| {
            values.push((bound * (2.0 * stream.random::<f64>() - 1.0)) as f32);
        }),
        Init::Normal(std) => drawn(seed, name, shape, |stream, values| {
            // Box–Muller: two uniforms make two independent normals.
            let radius = (-2.0 * (1.0 - stream.random::<f64>()).ln()).sqrt() * std;
            let (sin, cos) = (std::f64::consts::TAU * stream.random::<f64>()).sin_cos();
            values.extend([(radius * cos) as f32, (radius * sin) as f32]);
        }),
    }
}

/// A tensor filled by drawing from the stream that belongs to `name`.
fn drawn(
    seed: u64,
    name: &str,
    shape: &[i64],
    draw: impl Fn(&mut random::Stream, &mut Vec<f32>),
) -> Tensor {
    let n = shape.iter().product::<i64>() as usize;
    let mut stream = random::stream(seed, &format!("init.{name}"), &[]);
    let mut values = Vec::with_capacity(n + 1);
    while values.len() < n {
        draw(&mut stream, &mut values);
    }
    Tensor::from_slice(&values[..n]).reshape(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_export_dialect_maps_to_one_name() {
        let cases = [
            (
                "language_model.model.norm.weight",
                "language_model.model.norm.weight",
            ),
            (
                "model.language_model.norm.weight",
                "language_model.model.norm.weight",
            ),
            ("lm_head.weight", "language_model.lm_head.weight"),
            (
                "language_model.lm_head.weight",
                "language_model.lm_head.weight",
            ),
            (
                "model.multi_modal_projector.linear_1.bias",
                "multi_modal_projector.linear_1.bias",
            ),
            (
                "vision_tower.vision_model.post_layernorm.bias",
                "vision_tower.vision_model.post_layernorm.bias",
            ),
        ];
        for (stored, expected) in cases {
            assert_eq!(canonical_name(stored), expected);
        }
    }

    #[test]
    fn fresh_weights_have_the_asked_spread() {
        let t = initial(3, "x", &[100, 101], Init::Normal(0.02));
        let std = t.std(true).double_value(&[]);
        assert!((std - 0.02).abs() < 0.0005, "{std}");
        assert_eq!(t, initial(3, "x", &[100, 101], Init::Normal(0.02)));
        assert_ne!(t, initial(3, "y", &[100, 101], Init::Normal(0.02)));
        let uniform = initial(3, "x", &[100, 100], Init::Uniform(0.3));
        assert!(uniform.abs().max().double_value(&[]) <= 0.3);
        assert!((uniform.std(true).double_value(&[]) - 0.3 / 3_f64.sqrt()).abs() < 0.003);
    }
}
