//! LoRA adapters: any number of them on one frozen base, chosen per forward pass.
//!
//! An [`Adapter`] is a plain value that a forward pass is given or not; there is no active-adapter state. All that the base
//! knows is whether one was opened that changes its tower ([`Vlm::sees_anew`]): then it keeps images as pixels, which changes
//! time and memory and no number. Files are PEFT's ([`crate::peft`]).

use std::collections::BTreeMap;
use std::path::Path;

use candor_torch_ext::linears::Term;
use tch::{Kind, Tensor};

use crate::llama::layers::{TARGETS, target_name, target_size};
use crate::peft::paths::{Spelling, WRAPPER, is_of_tower, is_of_vision, slot_of};
use crate::peft::{CONFIG, LoraConfig, PeftFolder, TENSORS};
use crate::tensor_specs::{Part, TensorSpec, tensor_specs};
use crate::weights::{Init, Weights};
use crate::{ModelConfig, ModelError, Vlm, tensor_file};

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

/// A set of low-rank terms for a whole decoder, and perhaps for tower and projector.
#[derive(Debug)]
pub struct Adapter {
    config: LoraConfig,
    blocks: Vec<BlockAdapter>,
    /// Terms of the tower's and the projector's layers, by candor's names of these.
    vision: BTreeMap<String, LowRank>,
    /// How its files name layers.
    spelling: Spelling,
    parameters: BTreeMap<String, Tensor>,
}

impl Adapter {
    /// A fresh adapter of a model, on its device: A is uniform as PEFT initialises it, B is zero, so it changes nothing yet.
    ///
    /// # Errors
    /// A target is none of the decoder's layers, or the rank is not positive.
    pub fn fresh(mut config: LoraConfig, whole: &Vlm, seed: u64) -> Result<Self, ModelError> {
        check_fresh(&config)?;
        let (model, device) = (whole.config(), whole.device());
        let base = model.text();
        let spelling = Spelling::today(model);
        let scale = config.scale();
        let mut weights = Weights::fresh(seed, device, Kind::Float);
        let mut blocks = Vec::new();
        for layer in 0..base.num_hidden_layers {
            let mut block = BlockAdapter::default();
            for (slot, target) in TARGETS.iter().enumerate() {
                if !config.target_modules.iter().any(|t| t == target) {
                    continue;
                }
                let size = target_size(base, target);
                let name = target_name(layer, slot);
                block.slots[slot] = Some(fresh_term(&mut weights, &name, size, config.r, scale)?);
            }
            blocks.push(block);
        }
        let mut vision = BTreeMap::new();
        for tensor in vision_layers(model) {
            if !config.means(tensor.part) {
                continue;
            }
            let Some((layer, size)) = tensor.linear() else {
                continue;
            };
            config.target_modules.push(spelling.layer_in_file(layer));
            let term = fresh_term(&mut weights, layer, size, config.r, scale)?;
            vision.insert(layer.to_owned(), term);
        }
        let adapter = Self {
            config,
            blocks,
            vision,
            spelling,
            parameters: weights.finish()?,
        };
        Ok(adapter.on(whole))
    }

    /// The same, after its model knows of it.
    fn on(self, model: &Vlm) -> Self {
        if self.adapts_tower() {
            model.see_anew();
        }
        self
    }

    /// Reads a PEFT adapter folder for a model, onto its device and in f32 whatever it is stored in.
    ///
    /// # Errors
    /// A file is missing or damaged, the adapter does not fit the model, or it changes more than the linear layers
    /// of the blocks of decoder and tower and of the projector.
    pub fn open(folder: &Path, base: &Vlm) -> Result<Self, ModelError> {
        let peft = PeftFolder::open(folder)?;
        peft.check_switchable(base.config())?;
        Self::of_fitting(&peft, base)
    }

    /// What a folder changes in the blocks of decoder and tower and in the projector, once it is known to fit.
    pub(crate) fn of_fitting(peft: &PeftFolder, whole: &Vlm) -> Result<Self, ModelError> {
        let (model, device) = (whole.config(), whole.device());
        let (base, spelling) = (model.text(), Spelling::today(model));
        let mut vision = BTreeMap::new();
        let mut blocks: Vec<BlockAdapter> = Vec::new();
        blocks.resize_with(base.num_hidden_layers as usize, BlockAdapter::default);
        let mut parameters = BTreeMap::new();
        for (name, term) in peft.terms() {
            let slot = slot_of(name);
            if slot.is_none() && !is_of_vision(name) {
                continue;
            }
            let halves = peft.halves(term)?;
            let [a, b] = halves.map(|half| half.to_kind(Kind::Float).to_device(device));
            for (name, half) in part_names(name).into_iter().zip([&a, &b]) {
                parameters.insert(name, half.shallow_clone());
            }
            let scale = term.scale;
            let term = LowRank { a, b, scale };
            match slot {
                Some((layer, slot)) => blocks[layer as usize].slots[slot] = Some(term),
                None => {
                    vision.insert(name.clone(), term);
                }
            }
        }
        let adapter = Self {
            config: peft.config(spelling, model),
            blocks,
            vision,
            spelling,
            parameters,
        };
        Ok(adapter.on(whole))
    }

    /// The terms of one decoder block.
    #[must_use]
    pub fn block(&self, layer: usize) -> &BlockAdapter {
        &self.blocks[layer]
    }

    /// The term of a layer outside the decoder's blocks, by candor's name of it.
    pub(crate) fn term(&self, layer: &str) -> Option<&LowRank> {
        self.vision.get(layer)
    }

    /// Whether what the tower gives of an image depends on it.
    #[must_use]
    pub fn adapts_tower(&self) -> bool {
        self.vision.keys().any(|layer| is_of_tower(layer))
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
        let term = |name: &str, term: &LowRank| {
            let part = |part: &str| parameters[&format!("{name}.{part}.weight")].shallow_clone();
            LowRank {
                a: part("lora_A"),
                b: part("lora_B"),
                scale: term.scale,
            }
        };
        let blocks = self.blocks.iter().enumerate().map(|(layer, block)| {
            let slot = |slot| {
                block
                    .slot(slot)
                    .map(|found| term(&target_name(layer as i64, slot), found))
            };
            BlockAdapter {
                slots: std::array::from_fn(slot),
            }
        });
        let vision = self.vision.iter();
        let vision = vision.map(|(name, found)| (name.clone(), term(name, found)));
        Self {
            config: self.config.clone(),
            blocks: blocks.collect(),
            vision: vision.collect(),
            spelling: self.spelling,
            parameters,
        }
    }

    /// Makes all parameters trainable, or none.
    pub fn set_trainable(&self, trainable: bool) {
        for tensor in self.parameters.values() {
            let _ = tensor.set_requires_grad(trainable);
        }
    }

    /// Writes a PEFT adapter folder, the configuration last: by that a folder is known as an adapter's, so one that is half
    /// written is none.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), ModelError> {
        let named: BTreeMap<String, &Tensor> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (format!("{WRAPPER}{}", self.spelling.in_file(name)), tensor))
            .collect();
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        tensor_file::write(
            &folder.join(TENSORS[0]),
            named.iter().map(|(n, t)| (n.as_str(), *t)),
            Some(metadata),
        )?;
        self.config.write(&folder.join(CONFIG))
    }
}

/// A term that changes nothing yet, for a layer of this width in and out.
fn fresh_term(
    weights: &mut Weights,
    layer: &str,
    [n_in, n_out]: [i64; 2],
    r: i64,
    scale: f64,
) -> Result<LowRank, ModelError> {
    let [a, b] = part_names(layer);
    // PEFT draws A with Kaiming's uniform (a = √5), whose bound is 1 / √n_in.
    let bound = Init::Uniform((n_in as f64).sqrt().recip());
    Ok(LowRank {
        a: weights.take(&a, &[r, n_in], bound)?,
        b: weights.take(&b, &[n_out, r], Init::Zeros)?,
        scale,
    })
}

/// The weights of the linear layers of a model's tower and projector.
pub(crate) fn vision_layers(model: &ModelConfig) -> impl Iterator<Item = TensorSpec> {
    let specs = tensor_specs(model).into_iter();
    let seeing = |part| [Part::Tower, Part::Projector].contains(&part);
    specs.filter(move |tensor| seeing(tensor.part) && tensor.linear().is_some())
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
            "use q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or decoder for all of them, and projector and tower",
        ),
    }
}
