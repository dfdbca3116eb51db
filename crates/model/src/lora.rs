//! LoRA adapters: any number of them on one frozen base, chosen per forward pass.
//!
//! An [`Adapter`] is a plain value that a forward pass is given or not; nothing in the base knows of it and
//! there is no active-adapter state. Files are PEFT's ([`crate::peft`]).

use std::collections::BTreeMap;
use std::path::Path;

use candor_torch_ext::linears::Term;
use tch::{Device, Kind, Tensor};

use crate::llama::layers::{TARGETS, target_name, target_size};
use crate::peft::paths::{TODAY, WRAPPER, slot_of};
use crate::peft::{CONFIG, LoraConfig, PeftFolder, TENSORS};
use crate::weights::{Init, Weights};
use crate::{ModelError, TextConfig, Vlm, tensor_file};

/// The low-rank term of one layer: `scale · (x Aᵀ) Bᵀ`, with `a`: `[r, n_in]` and `b`: `[n_out, r]`.
#[derive(Debug)]
pub struct LowRank {
    a: Tensor,
    b: Tensor,
    scale: f64,
}

impl LowRank {
    /// How it is told to the layer that it is added to, which computes it in the kind of its input.
    pub(crate) fn term(&self) -> Term<'_> {
        let Self { a, b, scale } = self;
        let scale = *scale;
        Term { a, b, scale }
    }
}

/// One decoder block's terms; a slot for each of [`TARGETS`].
#[derive(Debug, Default)]
pub struct BlockAdapter {
    slots: [Option<LowRank>; 7],
}

impl BlockAdapter {
    /// The term of the `slot`-th of [`TARGETS`].
    #[must_use]
    pub fn slot(&self, slot: usize) -> Option<&LowRank> {
        self.slots[slot].as_ref()
    }
}

/// A set of low-rank terms for a whole decoder.
#[derive(Debug)]
pub struct Adapter {
    config: LoraConfig,
    blocks: Vec<BlockAdapter>,
    parameters: BTreeMap<String, Tensor>,
}

impl Adapter {
    /// A fresh adapter of a model, on its device: A is uniform as PEFT initialises it, B is zero, so it changes nothing yet.
    ///
    /// # Errors
    /// A target is none of the decoder's layers, or the rank is not positive.
    pub fn fresh(config: LoraConfig, base: &Vlm, seed: u64) -> Result<Self, ModelError> {
        check_fresh(&config)?;
        let (base, device) = (base.config().text(), base.device());
        let scale = config.scale();
        let mut weights = Weights::fresh(seed, device, Kind::Float);
        let mut blocks = Vec::new();
        for layer in 0..base.num_hidden_layers {
            let mut block = BlockAdapter::default();
            for (slot, target) in TARGETS.iter().enumerate() {
                if !config.target_modules.iter().any(|t| t == target) {
                    continue;
                }
                let [n_in, n_out] = target_size(base, target);
                let [a, b] = part_names(&target_name(layer, slot));
                // PEFT draws A with Kaiming's uniform (a = √5), whose bound is 1 / √n_in.
                let bound = Init::Uniform((n_in as f64).sqrt().recip());
                block.slots[slot] = Some(LowRank {
                    a: weights.take(&a, &[config.r, n_in], bound)?,
                    b: weights.take(&b, &[n_out, config.r], Init::Zeros)?,
                    scale,
                });
            }
            blocks.push(block);
        }
        Ok(Self {
            config,
            blocks,
            parameters: weights.finish()?,
        })
    }

    /// Reads a PEFT adapter folder for a model, onto its device and in f32 whatever it is stored in.
    ///
    /// # Errors
    /// A file is missing or damaged, the adapter does not fit the decoder, or it changes more than the linear layers
    /// of the decoder's blocks.
    pub fn open(folder: &Path, base: &Vlm) -> Result<Self, ModelError> {
        let (text, device) = (base.config().text(), base.device());
        Self::of_peft(&PeftFolder::open(folder)?, text, device)
    }

    /// [`Adapter::open`] of a folder that is open already.
    pub(crate) fn of_peft(
        peft: &PeftFolder,
        base: &TextConfig,
        device: Device,
    ) -> Result<Self, ModelError> {
        peft.check_nothing_else()?;
        peft.check_decoder(base)?;
        Self::of_blocks(peft, base, device)
    }

    /// What a folder changes in the decoder's blocks, once it is known to fit.
    pub(crate) fn of_blocks(
        peft: &PeftFolder,
        base: &TextConfig,
        device: Device,
    ) -> Result<Self, ModelError> {
        let mut blocks: Vec<BlockAdapter> = Vec::new();
        blocks.resize_with(base.num_hidden_layers as usize, BlockAdapter::default);
        let mut parameters = BTreeMap::new();
        for (name, term) in peft.terms() {
            let Some((layer, slot)) = slot_of(name) else {
                continue;
            };
            let halves = peft.halves(term)?;
            let [a, b] = halves.map(|half| half.to_kind(Kind::Float).to_device(device));
            for (name, half) in part_names(name).into_iter().zip([&a, &b]) {
                parameters.insert(name, half.shallow_clone());
            }
            let scale = term.scale;
            blocks[layer as usize].slots[slot] = Some(LowRank { a, b, scale });
        }
        Ok(Self {
            config: peft.config(TODAY, base.num_hidden_layers),
            blocks,
            parameters,
        })
    }

    /// The terms of one decoder block.
    #[must_use]
    pub fn block(&self, layer: usize) -> &BlockAdapter {
        &self.blocks[layer]
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// All A and B by name (`language_model.model.layers.N.….lora_A.weight`).
    #[must_use]
    pub fn parameters(&self) -> &BTreeMap<String, Tensor> {
        &self.parameters
    }

    /// A copy with tensors of its own, none of them trainable yet.
    #[must_use]
    pub fn copy(&self) -> Self {
        self.with_each(|tensor| tensor.detach().copy())
    }

    /// The same in another kind, for passes that nothing is learnt from: those of a base of fewer bits would else turn A and
    /// B into its kind anew each time. Tensors of that kind already are shared.
    pub(crate) fn in_kind(&self, kind: Kind) -> Self {
        self.with_each(|tensor| tensor.detach().to_kind(kind))
    }

    fn with_each(&self, make: impl Fn(&Tensor) -> Tensor) -> Self {
        let parameters: BTreeMap<String, Tensor> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (name.clone(), make(tensor)))
            .collect();
        let term = |layer: usize, slot: usize, term: &LowRank| {
            let name = target_name(layer as i64, slot);
            let part = |part: &str| parameters[&format!("{name}.{part}.weight")].shallow_clone();
            LowRank {
                a: part("lora_A"),
                b: part("lora_B"),
                scale: term.scale,
            }
        };
        let blocks = self.blocks.iter().enumerate().map(|(layer, block)| {
            let slot = |slot| block.slot(slot).map(|found| term(layer, slot, found));
            BlockAdapter {
                slots: std::array::from_fn(slot),
            }
        });
        Self {
            config: self.config.clone(),
            blocks: blocks.collect(),
            parameters,
        }
    }

    /// Makes all parameters trainable, or none.
    pub fn set_trainable(&self, trainable: bool) {
        for tensor in self.parameters.values() {
            let _ = tensor.set_requires_grad(trainable);
        }
    }

    /// Writes a PEFT adapter folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        self.config.write(&folder.join(CONFIG))?;
        let named: BTreeMap<String, &Tensor> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (format!("{WRAPPER}{}", TODAY.in_file(name)), tensor))
            .collect();
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        tensor_file::write(
            &folder.join(TENSORS[0]),
            named.iter().map(|(n, t)| (n.as_str(), *t)),
            Some(metadata),
        )
    }
}

/// The names of A and B of the layer `name`.
fn part_names(name: &str) -> [String; 2] {
    ["lora_A", "lora_B"].map(|part| format!("{name}.{part}.weight"))
}

/// Whether a new adapter can be made by this configuration, which a recipe has put together.
fn check_fresh(config: &LoraConfig) -> Result<(), ModelError> {
    let refuse = |problem, remedy| {
        Err(ModelError::Config {
            path: "fresh adapter".into(),
            problem,
            remedy,
        })
    };
    if config.r < 1 {
        return refuse(format!("rank {}", config.r), "a rank is at least 1");
    }
    let unknown = |target: &&String| !TARGETS.contains(&target.as_str());
    match config.target_modules.iter().find(unknown) {
        None => Ok(()),
        Some(unknown) => refuse(
            format!("target module `{unknown}` is no linear layer of the decoder"),
            "use q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj",
        ),
    }
}
