//! The whole model: tower, projector, decoder, and image features spliced in where the placeholder stands.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use candor_data::image::ImageSize;
use tch::{Device, Kind, Tensor};

use crate::cache::KvCache;
use crate::deep::Deep;
use crate::features::Features;
use crate::llama::decoder::{Decoder, EMBEDDING, HEAD};
use crate::llama::{Rotary, Visible};
use crate::lora::Adapter;
use crate::positions::Axial;
use crate::precision::{Precision, Quantization};
use crate::sample::Continuations;
use crate::shared::SharedBatch;
use crate::store::Store;
use crate::tensor_specs::{TensorSpec, tensor_specs};
use crate::vision::Vision;
use crate::weights::Weights;
use crate::{ModelConfig, ModelError, ModelFolder, tensor_file};

mod backward;

pub use backward::{Activations, AllHere, Blocks};

/// A vision-language model of any family, on one device.
#[derive(Debug)]
pub struct Vlm {
    config: ModelConfig,
    vision: Vision,
    decoder: Decoder,
    parameters: BTreeMap<String, Tensor>,
    /// Whether an adapter was opened that changes the tower.
    sees_anew: Cell<bool>,
}

/// Tokens as vectors, images among them, and where they stand.
#[derive(Debug)]
pub struct Embedded {
    /// `[batch, len, width]`.
    pub x: Tensor,
    /// Where images have rows and columns; none is one token after another.
    pub(crate) axial: Option<Axial>,
    /// What is added to images' tokens after the decoder's first layers.
    pub(crate) deep: Option<Deep>,
}

impl Vlm {
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
    /// As [`Vlm::open`].
    pub fn load(
        folder: &ModelFolder,
        device: Device,
        precision: impl Into<Precision>,
    ) -> Result<Self, ModelError> {
        let precision = precision.into();
        let sizes = tensor_specs(folder.config());
        precision.remark(device, sizes.iter().map(TensorSpec::n_elements).sum());
        let mut config = folder.config().clone();
        let mut store = folder.store()?;
        settle_head(&mut config, &mut store)?;
        Self::build(config, Weights::of(store, device, precision))
    }

    /// A freshly initialised model: a function of configuration and seed.
    ///
    /// # Errors
    /// The sizes do not fit together.
    pub fn fresh(
        config: impl Into<ModelConfig>,
        seed: u64,
        device: Device,
    ) -> Result<Self, ModelError> {
        let config = config.into();
        config.check().map_err(|problem| ModelError::Config {
            path: "fresh model".into(),
            problem,
            remedy: "choose sizes that fit together",
        })?;
        Self::build(config, Weights::fresh(seed, device, Kind::Float))
    }

    fn build(config: ModelConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let model = Self::take(config, &mut weights)?;
        Ok(Self {
            parameters: weights.finish()?,
            ..model
        })
    }

    /// The modules with their tensors; what was taken is still the source's to say.
    pub(crate) fn take(config: ModelConfig, weights: &mut Weights) -> Result<Self, ModelError> {
        Ok(Self {
            vision: Vision::take(weights, &config)?,
            decoder: Decoder::take(weights, config.text(), config.tied())?,
            config,
            parameters: BTreeMap::new(),
            sees_anew: Cell::new(false),
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
        let names = self.config.names();
        let tensors: BTreeMap<String, &Tensor> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (names.written(name), tensor))
            .collect();
        let tensors = tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), *tensor));
        tensor_file::write(&folder.join("model.safetensors"), tensors, Some(metadata))
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
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
        self.config.text().hidden_size
    }

    /// An empty cache for `batch` rows of at most `capacity` tokens.
    pub(crate) fn cache(&self, batch: i64, capacity: i64) -> KvCache {
        KvCache::new(
            self.config.text(),
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

    /// Whether an adapter was opened on this model that changes its tower. From then on features are the images themselves,
    /// which every pass sees with the adapter that it is given: time and memory depend on it, and no number does.
    #[must_use]
    pub fn sees_anew(&self) -> bool {
        self.sees_anew.get()
    }

    /// An adapter is there that changes the tower.
    pub(crate) fn see_anew(&self) {
        self.sees_anew.set(true);
    }

    /// The tower's features of images of one size and one view, before the projector; while the tower is frozen they can be
    /// kept.
    ///
    /// # Shapes
    /// `pixels`: `[n_images, 3, height, width]`, normalised.
    #[must_use]
    pub fn image_features(&self, pixels: &Tensor) -> Features {
        if self.sees_anew() {
            self.vision.unseen(pixels)
        } else {
            self.vision.encode(pixels, None)
        }
    }

    /// The same of images that are seen as a whole and in tiles; `own` is their size before they were fitted.
    ///
    /// # Shapes
    /// `views`: `[n_images, n_views, 3, side, side]`, normalised.
    ///
    /// # Panics
    /// The family sees no tiles, or `own` asks for another number of them.
    #[must_use]
    pub fn view_features(&self, views: &Tensor, own: ImageSize) -> Features {
        if self.sees_anew() {
            self.vision.unseen_views(views, own)
        } else {
            self.vision.encode_views(views, own, None)
        }
    }

    /// Embeds tokens and puts projected image features where the placeholder token stands, in order. The adapter that
    /// counts for tower and projector is the one that the pass after it is given.
    ///
    /// The number of placeholders must equal the number of the features' tokens, which whoever builds a batch checks
    /// on the host (see [`crate::sample`]); a mismatch here is a bug.
    ///
    /// # Shapes
    /// `ids`: `[batch, len]` i64.
    #[must_use]
    pub fn embed(
        &self,
        ids: &Tensor,
        features: Option<&Features>,
        adapter: Option<&Adapter>,
    ) -> Embedded {
        let placeholder = features.map(|_| ids.eq(self.config.image_token()));
        self.embed_at(ids, placeholder, features, adapter)
    }

    /// Embeds queries with their responses. Images are put into the queries alone: a placeholder id that a
    /// policy happened to sample is a word like any other, as it was when it was sampled.
    ///
    /// # Shapes
    /// `features`: of the rows that have an image, in their order.
    #[must_use]
    pub fn embed_continuations(
        &self,
        rows: &Continuations,
        features: Option<&Features>,
        adapter: Option<&Adapter>,
    ) -> Embedded {
        let placeholder = features.map(|_| {
            let is_image = rows.ids.eq(self.config.image_token());
            is_image.logical_and(&rows.in_query)
        });
        self.embed_at(&rows.ids, placeholder, features, adapter)
    }

    fn embed_at(
        &self,
        ids: &Tensor,
        placeholder: Option<Tensor>,
        features: Option<&Features>,
        adapter: Option<&Adapter>,
    ) -> Embedded {
        let (Some(placeholder), Some(features)) = (placeholder, features) else {
            return Embedded {
                x: self.decoder.embed(ids),
                axial: None,
                deep: None,
            };
        };
        // The placeholder's own embedding is written over, and it may have none: any id will do.
        let embedded = self.decoder.embed(&ids.masked_fill(&placeholder, 0));
        let projected = self.vision.project(features, adapter);
        let kind = embedded.kind();
        let tokens = projected.tokens.to_kind(kind);
        let deep = projected.deep.iter().map(|added| added.to_kind(kind));
        Embedded {
            x: embedded.masked_scatter(&placeholder.unsqueeze(-1), &tokens),
            axial: Axial::of(&placeholder, features.spans()),
            deep: Deep::of(&placeholder, deep.collect()),
        }
    }

    /// Rotary tables of rows that begin at their first token.
    fn rotary(&self, embedded: &Embedded) -> Rotary {
        match &embedded.axial {
            Some(axial) => self.decoder.rotary(&axial.positions),
            None => self.decoder.rotary_up_to(embedded.x.size()[1]),
        }
    }

    /// Final hidden states of a batch padded on the right.
    ///
    /// # Shapes
    /// → `[batch, len, width]`. Values at pads are meaningless.
    pub fn hidden(&self, embedded: &Embedded, adapter: Option<&Adapter>) -> Tensor {
        let rotary = self.rotary(embedded);
        let (x, deep) = (&embedded.x, embedded.deep.as_ref());
        self.decoder
            .forward(x, deep, &rotary, Visible::Causal, adapter, None)
    }

    /// What a batch reads of the final hidden states: of each branch of each item that at its last token, or their
    /// sum over the tokens that it is read at, branches of one item beside each other; or, of a batch of
    /// [`SharedTargets`](crate::SharedTargets), one for each target.
    ///
    /// # Shapes
    /// `features`: of the items that have an image, in their order → `[n_items · n_branches, width]`, or
    /// `[n_targets, width]`.
    pub fn hidden_shared(
        &self,
        batch: &SharedBatch,
        features: Option<&Features>,
        adapter: Option<&Adapter>,
    ) -> Tensor {
        let (embedded, deep, rotary) = self.embed_shared(batch, features, adapter);
        let x = (0..self.decoder.n_blocks()).fold(embedded, |x, layer| {
            let given = self
                .decoder
                .block_shared(layer, &x, &rotary, batch, adapter);
            Deep::add(deep.as_ref(), layer, given)
        });
        batch.pooled(&self.decoder.final_norm(&batch.read(&x)))
    }

    /// Embeds a shared batch, images in the prefixes and plain words in the branches, and turns it to its positions.
    ///
    /// # Shapes
    /// → `[1, n_tokens, width]`.
    fn embed_shared(
        &self,
        batch: &SharedBatch,
        features: Option<&Features>,
        adapter: Option<&Adapter>,
    ) -> (Tensor, Option<Deep>, Rotary) {
        let prefixes = self.embed(batch.prefixes(), features, adapter);
        let branches = self.decoder.embed(batch.branches()).flatten(0, 1);
        let rotary = match &prefixes.axial {
            Some(axial) => self.decoder.rotary(&batch.axial_positions(axial)),
            None => self.decoder.rotary(batch.positions()),
        };
        let n_of_branches = batch.branches().numel() as i64;
        let deep = prefixes.deep.map(|deep| deep.before(n_of_branches));
        let x = Tensor::cat(&[prefixes.x.flatten(0, 1), branches], 0);
        (x.unsqueeze(0), deep, rotary)
    }
}

/// Decides between an output layer of its own and one that is the embedding. As in transformers, a stored one counts
/// even where the configuration knows none.
pub(crate) fn settle_head(config: &mut ModelConfig, store: &mut Store) -> Result<(), ModelError> {
    if config.tied() {
        if !store.has(HEAD) || store.same(HEAD, EMBEDDING)? {
            store.drop(HEAD);
        } else {
            config.untie();
        }
    }
    Ok(())
}
