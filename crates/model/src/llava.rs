//! The whole model: tower, projector, decoder, and image features spliced in where `<image>` stands.

mod config;
mod defaults;
pub(crate) mod projector;

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};

pub use self::config::{Activation, FeatureSelect, LlavaConfig, ProjectorKind};
use self::projector::Projector;
use crate::cache::KvCache;
use crate::clip::VisionTower;
use crate::llama::Visible;
use crate::llama::decoder::{Decoder, EMBEDDING, HEAD};
use crate::lora::Adapter;
use crate::precision::{Precision, Quantization};
use crate::sample::Continuations;
use crate::shared::SharedBatch;
use crate::store::Store;
use crate::weights::Weights;
use crate::{ModelError, ModelFolder, tensor_file};

/// A LLaVA model on one device.
#[derive(Debug)]
pub struct Llava {
    config: LlavaConfig,
    tower: VisionTower,
    projector: Projector,
    decoder: Decoder,
    parameters: BTreeMap<String, Tensor>,
}

/// What a training pass keeps of its activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activations {
    /// All of them: fastest.
    Keep,
    /// Only each block's input; blocks run a second time going backward (gradient checkpointing).
    Recompute,
}

impl Llava {
    /// Opens a model folder, or `org/name` in the cache of Hugging Face. A quantised model is frozen, and cannot be
    /// saved.
    ///
    /// # Errors
    /// A file is missing or damaged, or weights and configuration do not fit together.
    pub fn open(
        folder: &Path,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        Self::load(&ModelFolder::find(folder)?, device, precision)
    }

    /// Reads the weights of a model that was found.
    ///
    /// # Errors
    /// As [`Llava::open`].
    pub fn load(
        folder: &ModelFolder,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        let precision = precision.into();
        precision.remark(device);
        let mut config = folder.config().clone();
        let mut store = folder.store()?;
        settle_head(&mut config, &mut store)?;
        Self::build(config, Weights::of(store, device, precision))
    }

    /// A freshly initialised model: a function of configuration and seed.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn fresh(config: LlavaConfig, seed: u64, device: Device) -> Result<Self, ModelError> {
        config.check().map_err(|problem| ModelError::Config {
            path: "fresh model".into(),
            problem,
            remedy: "choose sizes that fit together",
        })?;
        Self::build(config, Weights::fresh(seed, device, Kind::Float))
    }

    fn build(config: LlavaConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let model = Self::take(config, &mut weights)?;
        Ok(Self {
            parameters: weights.finish()?,
            ..model
        })
    }

    /// The modules with their tensors; what was taken is still the source's to say.
    pub(crate) fn take(config: LlavaConfig, weights: &mut Weights) -> Result<Self, ModelError> {
        Ok(Self {
            tower: VisionTower::take(weights, &config)?,
            projector: Projector::take(weights, &config)?,
            decoder: Decoder::take(weights, &config)?,
            config,
            parameters: BTreeMap::new(),
        })
    }

    /// Writes `config.json` and `model.safetensors`.
    ///
    /// # Errors
    /// A file cannot be written, or the model is quantised.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        if self
            .parameters
            .keys()
            .any(|name| Quantization::is_part(name))
        {
            return Err(ModelError::SaveQuantized {
                path: folder.to_owned(),
            });
        }
        self.config.write(&folder.join("config.json"))?;
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        let named = self
            .parameters
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor));
        tensor_file::write(&folder.join("model.safetensors"), named, Some(metadata))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &LlavaConfig {
        &self.config
    }

    /// Tokens that one sequence may have.
    #[must_use]
    pub fn n_positions(&self) -> usize {
        self.config.n_positions()
    }

    /// Width of the decoder's hidden states.
    #[must_use]
    pub fn width(&self) -> i64 {
        self.config.text_config.hidden_size
    }

    /// An empty cache for `batch` rows of at most `capacity` tokens.
    pub(crate) fn cache(&self, batch: i64, capacity: i64) -> KvCache {
        KvCache::new(
            &self.config.text_config,
            batch,
            capacity,
            self.kind(),
            self.device(),
        )
    }

    /// The decoder.
    #[must_use]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// All weights by name; of a quantised one the parts that it is packed in.
    #[must_use]
    pub fn parameters(&self) -> &BTreeMap<String, Tensor> {
        &self.parameters
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.parameters
            .values()
            .next()
            .map_or(Device::Cpu, Tensor::device)
    }

    /// What the arithmetic is done in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.decoder.kind()
    }

    /// Makes exactly the weights trainable whose name `chosen` accepts; returns them by name. A quantised weight
    /// never is.
    pub fn set_trainable(&self, chosen: impl Fn(&str) -> bool) -> Vec<(String, Tensor)> {
        let mut trainable = Vec::new();
        for (name, tensor) in &self.parameters {
            let on = chosen(name) && !Quantization::is_part(name);
            let tensor = tensor.set_requires_grad(on);
            if on {
                trainable.push((name.clone(), tensor));
            }
        }
        trainable
    }

    /// The tower's features, before the projector; while the tower is frozen they can be kept.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, side, side]`, normalised → `[n_images, n_image_tokens, tower width]`.
    pub fn image_features(&self, pixels: &Tensor) -> Tensor {
        self.tower.forward(pixels)
    }

    /// Embeds tokens and puts projected image features where the placeholder token stands, in order.
    ///
    /// The number of placeholders must equal the number of feature rows, which whoever builds a batch checks
    /// on the host (see [`crate::sample`]); a mismatch here is a bug.
    ///
    /// # Shapes
    /// `ids`: `[batch, len]` i64; `features`: `[n_images, n_image_tokens, tower width]` →
    /// `[batch, len, width]`.
    pub fn embed(&self, ids: &Tensor, features: Option<&Tensor>) -> Tensor {
        let placeholder = features.map(|_| ids.eq(self.config.image_token_index));
        self.embed_at(ids, placeholder, features)
    }

    /// Embeds queries with their responses. Images are put into the queries alone: a placeholder id that a
    /// policy happened to sample is a word like any other, as it was when it was sampled.
    ///
    /// # Shapes
    /// `features`: `[n_images, n_image_tokens, tower width]`, of the rows that have an image, in their order →
    /// `[n_rows, len, width]`.
    pub fn embed_continuations(&self, rows: &Continuations, features: Option<&Tensor>) -> Tensor {
        let placeholder = features.map(|_| {
            let is_image = rows.ids.eq(self.config.image_token_index);
            is_image.logical_and(&rows.in_query)
        });
        self.embed_at(&rows.ids, placeholder, features)
    }

    fn embed_at(
        &self,
        ids: &Tensor,
        placeholder: Option<Tensor>,
        features: Option<&Tensor>,
    ) -> Tensor {
        let (Some(placeholder), Some(features)) = (placeholder, features) else {
            return self.decoder.embed(ids);
        };
        // The placeholder's own embedding is written over, and it may have none: any id will do.
        let embedded = self.decoder.embed(&ids.masked_fill(&placeholder, 0));
        let projected = self.projector.forward(features).to_kind(embedded.kind());
        embedded.masked_scatter(&placeholder.unsqueeze(-1), &projected)
    }

    /// Final hidden states of a batch padded on the right.
    ///
    /// # Shapes
    /// `embedded`: `[batch, len, width]` → the same. Values at pads are meaningless.
    pub fn hidden(&self, embedded: &Tensor, adapter: Option<&Adapter>) -> Tensor {
        let rotary = self.decoder.rotary_up_to(embedded.size()[1]);
        self.decoder
            .forward(embedded, &rotary, Visible::Causal, adapter, None)
    }

    /// Runs a training pass: forward, `loss` of the final hidden states, backward into every trainable
    /// weight. `loss` also gives whatever else is wanted of the pass, which is returned; tensors in it should be
    /// detached, or they keep the pass in memory.
    ///
    /// # Shapes
    /// `embedded`: `[batch, len, width]`, padded on the right; `loss` gets the same and gives a scalar.
    pub fn backward<T>(
        &self,
        embedded: &Tensor,
        adapter: Option<&Adapter>,
        activations: Activations,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        let rotary = self.decoder.rotary_up_to(embedded.size()[1]);
        let block = |layer: usize, x: &Tensor| {
            self.decoder
                .block(layer, x, &rotary, Visible::Causal, adapter, None)
        };
        self.backward_through(embedded, activations, block, |x| {
            loss(&self.decoder.final_norm(x))
        })
    }

    /// What a batch reads of the final hidden states: of each branch of each item that at its last token, or their
    /// sum over the tokens that it is read at, branches of one item beside each other; or, of a batch of
    /// [`SharedTargets`](crate::SharedTargets), one for each target.
    ///
    /// # Shapes
    /// `features`: `[n_images, n_image_tokens, tower width]`, of the items that have an image, in their order →
    /// `[n_items · n_branches, width]`, or `[n_targets, width]`.
    pub fn hidden_shared(
        &self,
        batch: &SharedBatch,
        features: Option<&Tensor>,
        adapter: Option<&Adapter>,
    ) -> Tensor {
        let rotary = self.decoder.rotary(batch.positions());
        let x =
            (0..self.decoder.n_blocks()).fold(self.embed_shared(batch, features), |x, layer| {
                self.decoder
                    .block_shared(layer, &x, &rotary, batch, adapter)
            });
        batch.added_up(&self.decoder.final_norm(&batch.read(&x)))
    }

    /// [`Llava::backward`] of sequences that share their beginning; `loss` gets what
    /// [`Llava::hidden_shared`] gives. The projector is trained along where it is trainable.
    ///
    /// # Shapes
    /// `features`: `[n_images, n_image_tokens, tower width]`; `loss` gives a scalar.
    pub fn backward_shared<T>(
        &self,
        batch: &SharedBatch,
        features: Option<&Tensor>,
        adapter: Option<&Adapter>,
        activations: Activations,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        let rotary = self.decoder.rotary(batch.positions());
        let block =
            |layer: usize, x: &Tensor| self.decoder.block_shared(layer, x, &rotary, batch, adapter);
        let embedded = self.embed_shared(batch, features);
        self.backward_through(&embedded, activations, block, |x| {
            loss(&batch.added_up(&self.decoder.final_norm(&batch.read(x))))
        })
    }

    /// Embeds a shared batch: images in the prefixes, plain words in the branches.
    ///
    /// # Shapes
    /// → `[1, n_tokens, width]`.
    fn embed_shared(&self, batch: &SharedBatch, features: Option<&Tensor>) -> Tensor {
        let prefixes = self.embed(batch.prefixes(), features).flatten(0, 1);
        let branches = self.decoder.embed(batch.branches()).flatten(0, 1);
        Tensor::cat(&[prefixes, branches], 0).unsqueeze(0)
    }

    /// Forward through `block` for each layer, `loss` of what the last one gives, and backward.
    fn backward_through<T>(
        &self,
        embedded: &Tensor,
        activations: Activations,
        block: impl Fn(usize, &Tensor) -> Tensor,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        match activations {
            Activations::Keep => {
                let x = (0..self.decoder.n_blocks())
                    .fold(embedded.shallow_clone(), |x, layer| block(layer, &x));
                let (value, computed) = loss(&x);
                // With the projector alone in training, a batch without images reaches nothing trainable.
                if value.requires_grad() {
                    value.backward();
                }
                computed
            }
            Activations::Recompute => self.backward_recomputing(embedded, block, loss),
        }
    }

    /// Gradient checkpointing without touching autograd's inner workings: the chain rule block by block.
    fn backward_recomputing<T>(
        &self,
        embedded: &Tensor,
        block: impl Fn(usize, &Tensor) -> Tensor,
        loss: impl FnOnce(&Tensor) -> (Tensor, T),
    ) -> T {
        let mut inputs = vec![embedded.detach()];
        tch::no_grad(|| {
            for layer in 0..self.decoder.n_blocks() {
                inputs.push(block(layer, &inputs[layer]));
            }
        });
        let leaf = |x: Tensor| x.detach().set_requires_grad(true);
        let Some(last) = inputs.pop().map(leaf) else {
            unreachable!("the embedding is always there")
        };
        let (value, computed) = loss(&last);
        value.backward();
        let mut gradient = last.grad();
        for layer in (0..self.decoder.n_blocks()).rev() {
            let Some(input) = inputs.pop().map(leaf) else {
                unreachable!("one input for each block")
            };
            // d(y·g)/dx is the vector-Jacobian product that the chain rule asks for.
            (block(layer, &input) * gradient)
                .sum(Kind::Float)
                .backward();
            gradient = input.grad();
        }
        if embedded.requires_grad() {
            (embedded * gradient).sum(Kind::Float).backward();
        }
        computed
    }
}

/// Decides between an output layer of its own and one that is the embedding. As in transformers, a stored one counts
/// even where the configuration knows none.
pub(crate) fn settle_head(config: &mut LlavaConfig, store: &mut Store) -> Result<(), ModelError> {
    if config.tied() {
        if !store.has(HEAD) || store.same(HEAD, EMBEDDING)? {
            store.drop(HEAD);
        } else {
            config.untie();
        }
    }
    Ok(())
}
