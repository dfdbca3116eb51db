//! Where a module's tensors come from: files, a fresh initialisation, or nowhere, to learn which they are.
//!
//! Each is brought into the type and to the device where it stays before the next one is read, so that a model is never
//! held twice. What files call the tensors is for [`crate::names`].

use std::collections::BTreeMap;
use std::path::Path;

use candor_data::random;
use candor_torch_ext::give_back_freed;
use candor_weights::Checkpoint;
use rand::RngExt as _;
use tch::{Device, Kind, Tensor};

use crate::linear::BlockLinear;
use crate::names;
use crate::precision::Precision;
use crate::quantize::{self, Quantizer};
use crate::store::Store;
use crate::{ModelError, Part, TensorSpec};

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
    /// What is being built.
    part: Part,
    taken: BTreeMap<String, Tensor>,
}

#[derive(Debug)]
enum Source {
    Files(Store),
    Fresh {
        seed: u64,
    },
    /// Which tensors were asked for.
    Listing(Vec<TensorSpec>),
}

impl Weights {
    /// Tensors of an adapter's or a head's file, safetensors or torch, to be held in `precision`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(
        path: &Path,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        let store = Store::new(Checkpoint::open(path)?, &names::HEAD)?;
        Ok(Self::of(store, device, precision.into()))
    }

    /// Tensors of a model's files, to be held in `precision`.
    pub(crate) fn of(store: Store, device: Device, precision: Precision) -> Self {
        Self {
            source: Source::Files(store),
            device,
            kind: precision.kind,
            quantizer: Quantizer::new(precision.quantization, device),
            part: Part::Tower,
            taken: BTreeMap::new(),
        }
    }

    /// Freshly initialised tensors: each is a function of the seed and its own name alone.
    #[must_use]
    pub fn fresh(seed: u64, device: Device, kind: Kind) -> Self {
        Self {
            source: Source::Fresh { seed },
            device,
            kind,
            quantizer: None,
            part: Part::Tower,
            taken: BTreeMap::new(),
        }
    }

    /// No tensors: what is asked for is written down, and a module gets stand-ins of no size in memory.
    pub(crate) fn listing() -> Self {
        Self {
            source: Source::Listing(Vec::new()),
            ..Self::fresh(0, Device::Cpu, Kind::Float)
        }
    }

    /// What was asked of a listing; nothing of another source.
    pub(crate) fn listed(self) -> Vec<TensorSpec> {
        match self.source {
            Source::Listing(specs) => specs,
            Source::Files(_) | Source::Fresh { .. } => Vec::new(),
        }
    }

    /// What is taken from now on belongs to this part of the model.
    pub(crate) fn begin(&mut self, part: Part) {
        self.part = part;
    }

    /// Takes the tensor `name`, which must have the shape `shape`. One of a file that does not fit is reported by
    /// [`Weights::finish`], together with all others.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn take(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, ModelError> {
        let Some(tensor) = self.stored(name, shape, init, false)? else {
            return Ok(self.stand_in(shape));
        };
        Ok(self.keep(name, tensor))
    }

    /// Takes the weight `name` of a linear layer of the decoder's blocks, packed where this source quantises. What it
    /// was packed from is let go of at once, so the memory for a whole model shrinks layer by layer.
    ///
    /// # Errors
    /// As [`Weights::take`].
    pub(crate) fn take_linear(
        &mut self,
        name: &str,
        [n_in, n_out]: [i64; 2],
        init: Init,
    ) -> Result<BlockLinear, ModelError> {
        let Some(weight) = self.stored(name, &[n_out, n_in], init, true)? else {
            return Ok(BlockLinear::Dense(self.stand_in(&[n_out, n_in])));
        };
        let Some(quantizer) = &self.quantizer else {
            return Ok(BlockLinear::Dense(self.keep(name, weight)));
        };
        let packed = quantizer.pack(&weight);
        for (part, tensor) in packed.parts() {
            let name = quantize::part_name(name, part);
            self.taken.insert(name, tensor.shallow_clone());
        }
        drop(weight);
        give_back_freed();
        Ok(BlockLinear::Packed(packed))
    }

    /// Remembers a tensor as taken, in the kind that is asked for.
    fn keep(&mut self, name: &str, stored: Tensor) -> Tensor {
        let tensor = stored.to_kind(self.kind);
        let converted = stored.kind() != self.kind;
        drop(stored);
        if converted {
            give_back_freed();
        }
        self.taken.insert(name.to_owned(), tensor.shallow_clone());
        tensor
    }

    /// What a module gets for a tensor that does not fit, until [`Weights::finish`] says so, or that is only listed: the
    /// shape, and one zero.
    fn stand_in(&self, shape: &[i64]) -> Tensor {
        Tensor::zeros([1], (self.kind, self.device)).expand(shape, false)
    }

    /// The tensor `name` as it is stored or drawn, on the device; none if it does not fit or is only listed.
    fn stored(
        &mut self,
        name: &str,
        shape: &[i64],
        init: Init,
        packable: bool,
    ) -> Result<Option<Tensor>, ModelError> {
        let tensor = match &mut self.source {
            Source::Files(store) => store.take(name, shape)?,
            Source::Fresh { seed } => Some(initial(*seed, name, shape, init)),
            Source::Listing(specs) => {
                specs.push(TensorSpec {
                    name: name.to_owned(),
                    shape: shape.to_vec(),
                    part: self.part,
                    packable,
                });
                None
            }
        };
        Ok(tensor.map(|tensor| tensor.to_device(self.device)))
    }

    /// Whether the source can give `name`; a fresh one can give anything.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Files(store) => store.has(name),
            Source::Fresh { .. } | Source::Listing(_) => true,
        }
    }

    /// Ends the taking: all tensors by name.
    ///
    /// # Errors
    /// Tensors of the files were missing, did not fit or were not taken.
    pub fn finish(self) -> Result<BTreeMap<String, Tensor>, ModelError> {
        if let Source::Files(store) = self.source {
            store.finish()?;
        }
        Ok(self.taken)
    }
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
