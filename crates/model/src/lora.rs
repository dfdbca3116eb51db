//! LoRA adapters: any number of them on one frozen base, chosen per forward pass.
//!
//! An [`Adapter`] is a plain value that a forward pass is given or not; nothing in the base knows of it and
//! there is no active-adapter state. Files are PEFT's: `adapter_config.json` and
//! `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};
use tch::{Device, Kind, Tensor};

use crate::weights::{Init, Weights};
use crate::{ModelError, TextConfig, tensor_file};

/// The decoder's linear layers, in the order of [`BlockAdapter`]'s slots.
pub const TARGETS: [&str; 7] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
];

/// `adapter_config.json`, the fields that decide the numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Always `LORA`.
    pub peft_type: String,
    /// The folder of the base model, for people; candor is told the base explicitly.
    #[serde(default)]
    pub base_model_name_or_path: Option<String>,
    /// Always `CAUSAL_LM`.
    #[serde(default)]
    pub task_type: Option<String>,
    /// Rank.
    pub r: i64,
    /// Numerator of the scale α / r.
    pub lora_alpha: f64,
    /// Layers that have an adapter, by the last part of their name. PEFT may also write one pattern over whole
    /// names; it becomes an empty list here, and [`Adapter::open`] reads off the tensors what it matched.
    #[serde(deserialize_with = "names_or_pattern")]
    pub target_modules: Vec<String>,
    /// Keeps PEFT from adapting the vision tower, whose projections have the same last names.
    #[serde(default)]
    pub exclude_modules: Option<String>,
    /// Other scales for some layers, which candor refuses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alpha_pattern: BTreeMap<String, f64>,
    /// `none` is the only kind supported.
    #[serde(default = "no_bias")]
    pub bias: String,
    /// Dropout of the reference; candor trains adapters without.
    #[serde(default)]
    pub lora_dropout: f64,
    /// Scale α / √r instead of α / r.
    #[serde(default)]
    pub use_rslora: bool,
}

impl LoraConfig {
    /// A configuration for the given decoder layers (names of [`TARGETS`]).
    #[must_use]
    pub fn new(r: i64, lora_alpha: f64, targets: &[String]) -> Self {
        Self {
            peft_type: "LORA".to_owned(),
            base_model_name_or_path: None,
            task_type: Some("CAUSAL_LM".to_owned()),
            r,
            lora_alpha,
            target_modules: targets.to_vec(),
            exclude_modules: Some(NOT_THE_TOWER.to_owned()),
            alpha_pattern: BTreeMap::new(),
            bias: no_bias(),
            lora_dropout: 0.0,
            use_rslora: false,
        }
    }

    /// Reads a PEFT adapter folder's `adapter_config.json`.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("adapter_config.json");
        let text = std::fs::read_to_string(&path).map_err(ModelError::reading(&path))?;
        serde_json::from_str(&text).map_err(|e| ModelError::Config {
            path,
            problem: e.to_string(),
            remedy: "expected PEFT's adapter_config.json of a LoRA adapter",
        })
    }

    fn scale(&self) -> f64 {
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }
}

fn no_bias() -> String {
    "none".to_owned()
}

/// PEFT's pattern for modules that stay as they are.
const NOT_THE_TOWER: &str = ".*vision_tower.*";

#[derive(Deserialize)]
#[serde(untagged)]
enum NamesOrPattern {
    Names(Vec<String>),
    Pattern(#[allow(dead_code)] String), // What it matched is read off the tensors.
}

fn names_or_pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match NamesOrPattern::deserialize(deserializer)? {
        NamesOrPattern::Names(names) => names,
        NamesOrPattern::Pattern(_) => Vec::new(),
    })
}

/// The name of one of [`TARGETS`] in a decoder block.
fn target_name(layer: i64, slot: usize) -> String {
    let part = if slot < 4 { "self_attn" } else { "mlp" };
    format!(
        "language_model.model.layers.{layer}.{part}.{}",
        TARGETS[slot]
    )
}

/// The low-rank term of one layer: `scale · (x Aᵀ) Bᵀ`.
#[derive(Debug)]
pub struct LowRank {
    a: Tensor,
    b: Tensor,
    scale: f64,
}

impl LowRank {
    /// The term in the kind of `x`, computed in the adapter's own, as PEFT does on a base of fewer bits.
    ///
    /// # Shapes
    /// `x`: `[.., n_in]` → `[.., n_out]`, with `a`: `[r, n_in]` and `b`: `[n_out, r]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let low = x.to_kind(self.a.kind()).linear::<&Tensor>(&self.a, None);
        (low.linear::<&Tensor>(&self.b, None) * self.scale).to_kind(x.kind())
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
    /// A fresh adapter: A is uniform as PEFT initialises it, B is zero, so it changes nothing yet.
    ///
    /// # Errors
    /// A target is none of the decoder's layers.
    pub fn fresh(
        config: LoraConfig,
        base: &TextConfig,
        seed: u64,
        device: Device,
    ) -> Result<Self, ModelError> {
        Self::build(
            config,
            base,
            Weights::fresh(seed, device, Kind::Float),
            Path::new("fresh adapter"),
        )
    }

    /// Reads a PEFT adapter folder.
    ///
    /// # Errors
    /// A file is missing or damaged, or the adapter does not fit the decoder.
    pub fn open(folder: &Path, base: &TextConfig, device: Device) -> Result<Self, ModelError> {
        let path = folder.join("adapter_config.json");
        let mut config = LoraConfig::read(folder)?;
        let file = folder.join("adapter_model.safetensors");
        let weights = Weights::open(&file, device, Kind::Float)?;
        if config.target_modules.is_empty() {
            let present =
                |slot: &usize| weights.has(&format!("{}.lora_A.weight", target_name(0, *slot)));
            let slots = (0..TARGETS.len()).filter(present);
            config.target_modules = slots.map(|slot| TARGETS[slot].to_owned()).collect();
            config.exclude_modules = Some(NOT_THE_TOWER.to_owned());
        }
        Self::build(config, base, weights, &path)
    }

    fn build(
        config: LoraConfig,
        base: &TextConfig,
        mut weights: Weights,
        path: &Path,
    ) -> Result<Self, ModelError> {
        let refuse = |problem: String, remedy| ModelError::Config {
            path: path.to_owned(),
            problem,
            remedy,
        };
        if config.peft_type != "LORA" || config.bias != "none" || config.r < 1 {
            let found = format!(
                "peft_type {}, bias {}, r {}",
                config.peft_type, config.bias, config.r
            );
            return Err(refuse(
                found,
                "expected a LoRA adapter of positive rank without biases",
            ));
        }
        if !config.alpha_pattern.is_empty() {
            return Err(refuse(
                "alpha_pattern gives some layers another scale".to_owned(),
                "merge the adapter with PEFT, or train one with a single alpha",
            ));
        }
        if let Some(unknown) = config
            .target_modules
            .iter()
            .find(|t| !TARGETS.contains(&t.as_str()))
        {
            let problem = format!("target module `{unknown}` is no linear layer of the decoder");
            return Err(refuse(
                problem,
                "use q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj",
            ));
        }
        let mut blocks = Vec::new();
        for layer in 0..base.num_hidden_layers {
            let mut block = BlockAdapter::default();
            for (slot, target) in TARGETS.iter().enumerate() {
                if !config.target_modules.iter().any(|t| t == target) {
                    continue;
                }
                let [n_in, n_out] = target_size(base, target);
                let name = target_name(layer, slot);
                // PEFT draws A with Kaiming's uniform (a = √5), whose bound is 1 / √n_in.
                let bound = (n_in as f64).sqrt().recip();
                let a = weights.take(
                    &format!("{name}.lora_A.weight"),
                    &[config.r, n_in],
                    Init::Uniform(bound),
                )?;
                let b = weights.take(
                    &format!("{name}.lora_B.weight"),
                    &[n_out, config.r],
                    Init::Zeros,
                )?;
                block.slots[slot] = Some(LowRank {
                    a,
                    b,
                    scale: config.scale(),
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
        let parameters: BTreeMap<String, Tensor> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (name.clone(), tensor.detach().copy()))
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
        let path = folder.join("adapter_config.json");
        let json = serde_json::to_vec_pretty(&self.config).map_err(|e| ModelError::Config {
            path: path.clone(),
            problem: e.to_string(),
            remedy: "numbers must be finite",
        })?;
        candor_data::atomic::write(&path, &json)?;
        let named: BTreeMap<String, &Tensor> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (peft_name(name), tensor))
            .collect();
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        let file = folder.join("adapter_model.safetensors");
        tensor_file::write(
            &file,
            named.iter().map(|(n, t)| (n.as_str(), *t)),
            Some(metadata),
        )
    }
}

/// The key PEFT gives a tensor when it wraps today's `LlavaForConditionalGeneration`.
fn peft_name(name: &str) -> String {
    let rest = name.strip_prefix("language_model.model.").unwrap_or(name);
    format!("base_model.model.model.language_model.{rest}")
}

/// `[n_in, n_out]` of a decoder layer.
pub(crate) fn target_size(c: &TextConfig, target: &str) -> [i64; 2] {
    let (width, head) = (c.hidden_size, c.head_dim());
    match target {
        "q_proj" => [width, c.num_attention_heads * head],
        "k_proj" | "v_proj" => [width, c.n_kv_heads() * head],
        "o_proj" => [c.num_attention_heads * head, width],
        "down_proj" => [c.intermediate_size, width],
        _ => [width, c.intermediate_size],
    }
}
