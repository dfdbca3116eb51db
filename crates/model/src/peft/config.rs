//! `adapter_config.json`: what of it decides the numbers, and what candor refuses.
//!
//! PEFT grows a new kind of adapter with every version, each switched on by a field of its own. A field that candor
//! does not know is therefore refused as soon as it says anything: read as if it were not there, the adapter would
//! give other numbers and no error.

use std::collections::BTreeMap;
use std::path::Path;

use candor_data::bounded::{self, Bound};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MERGE;
use super::matching::Targets;
use crate::llama::layers::TARGETS;
use crate::{ModelError, Part};

const BOUND: Bound = Bound {
    max_bytes: 16 << 20,
    action: "read the adapter's configuration",
    unreadable: "expected a folder that PEFT's save_pretrained has written",
    too_large: "an adapter_config.json has a few kilobytes; copy it again",
};
const EXPECTED: &str = "expected PEFT's adapter_config.json of a LoRA adapter";

/// The largest rank of anything; a layer's own width bounds it more tightly later.
const MAX_RANK: i64 = 1 << 20;

/// An `adapter_config.json` as candor writes it. What is read is brought into this form: patterns over names become
/// the names that they match.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoraConfig {
    /// Always `LORA`.
    pub peft_type: String,
    /// The base model's folder or its name on the hub.
    pub base_model_name_or_path: Option<String>,
    /// `CAUSAL_LM`, or what the adapter was read with.
    pub task_type: Option<String>,
    /// Rank.
    pub r: i64,
    /// Numerator of the scale α / r.
    pub lora_alpha: f64,
    /// Layers that have an adapter: by the last part of their name if every block has one, else by the whole.
    pub target_modules: Vec<String>,
    /// Keeps PEFT from adapting the vision tower, whose projections have the same last names.
    pub exclude_modules: Option<String>,
    /// Other ranks for some layers, by the ends of their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rank_pattern: BTreeMap<String, i64>,
    /// Other numerators for some layers, by the ends of their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Always `none`.
    pub bias: String,
    /// Dropout that the adapter was trained with; candor trains without.
    pub lora_dropout: f64,
    /// Scale α / √r instead of α / r.
    pub use_rslora: bool,
    /// Whether the projector's linear layers have an adapter. Files say so by their names.
    #[serde(skip)]
    pub with_projector: bool,
    /// Whether those of the tower's blocks have one.
    #[serde(skip)]
    pub with_tower: bool,
}

impl LoraConfig {
    /// A configuration for the given layers of the decoder (names of [`crate::TARGETS`], or `decoder` for all of them), and
    /// with `projector` or `tower` among them for the linear layers of these.
    #[must_use]
    pub fn new(r: i64, lora_alpha: f64, targets: &[String]) -> Self {
        let whole = targets.iter().any(|target| target == DECODER);
        let with_tower = targets.iter().any(|target| target == TOWER);
        let layers = targets.iter().map(String::as_str);
        let layers = layers.filter(|target| ![DECODER, PROJECTOR, TOWER].contains(target));
        let mut layers: Vec<String> = layers.map(str::to_owned).collect();
        if whole {
            let missing = TARGETS
                .into_iter()
                .filter(|target| !layers.iter().any(|l| l == target));
            let missing: Vec<String> = missing.map(str::to_owned).collect();
            layers.extend(missing);
        }
        Self {
            peft_type: "LORA".to_owned(),
            base_model_name_or_path: None,
            task_type: Some("CAUSAL_LM".to_owned()),
            r,
            lora_alpha,
            target_modules: layers,
            // Where all of its layers are adapted, their last names mean what they should.
            exclude_modules: (!with_tower).then(|| NOT_THE_TOWER.to_owned()),
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            bias: "none".to_owned(),
            lora_dropout: 0.0,
            use_rslora: false,
            with_projector: targets.iter().any(|target| target == PROJECTOR),
            with_tower,
        }
    }

    /// Whether it has terms for the linear layers of a part besides the decoder.
    #[must_use]
    pub fn means(&self, part: Part) -> bool {
        match part {
            Part::Tower => self.with_tower,
            Part::Projector => self.with_projector,
            Part::Embedding | Part::Blocks | Part::Head => false,
        }
    }

    /// What the terms of all layers are multiplied by, where no pattern says otherwise.
    pub(crate) fn scale(&self) -> f64 {
        scale(self.r, self.lora_alpha, self.use_rslora)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), ModelError> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| ModelError::Config {
            path: path.to_owned(),
            problem: e.to_string(),
            remedy: "numbers must be finite",
        })?;
        Ok(candor_data::atomic::write(path, &json)?)
    }
}

/// What a term of rank `r` is multiplied by.
pub(crate) fn scale(r: i64, alpha: f64, use_rslora: bool) -> f64 {
    let r = r as f64;
    alpha / if use_rslora { r.sqrt() } else { r }
}

/// What stands for all linear layers of the decoder's blocks.
const DECODER: &str = "decoder";
/// What stands for all linear layers of the projector.
const PROJECTOR: &str = "projector";
/// What stands for all linear layers of the tower's blocks.
const TOWER: &str = "tower";

/// PEFT's pattern for modules that stay as they are: the towers of all families, some of whose layers are called as the
/// decoder's and the projector's.
const NOT_THE_TOWER: &str = r".*(vision_tower|visual\.blocks).*";

/// An `adapter_config.json` as it was read, with everything in it that candor understands.
#[derive(Debug, Deserialize)]
pub(crate) struct Declared {
    #[serde(default)]
    pub base_model_name_or_path: Option<String>,
    #[serde(default)]
    pub task_type: Option<String>,
    pub r: i64,
    pub lora_alpha: f64,
    #[serde(skip)]
    pub targets: Targets,
    /// An ordered map: where several patterns match, PEFT takes the first.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub rank_pattern: Map<String, Value>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub alpha_pattern: Map<String, Value>,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    pub lora_dropout: f64,
    #[serde(default)]
    pub use_rslora: bool,
    #[serde(default)]
    init_lora_weights: Value,
}

/// Fields of [`Declared`], and those that say where an adapter comes from or how it started.
const KNOWN: [&str; 30] = [
    "peft_type",
    "base_model_name_or_path",
    "task_type",
    "r",
    "lora_alpha",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "bias",
    "lora_dropout",
    "use_rslora",
    "init_lora_weights",
    // PEFT itself passes over it for linear layers, which are all that a LLaMA has.
    "fan_in_fan_out",
    "peft_version",
    "auto_mapping",
    "revision",
    "inference_mode",
    "runtime_config",
    "megatron_config",
    "megatron_core",
    "qalora_group_size",
    "ensure_weight_tying",
    // Settings of a start that `init_lora_weights` has to choose.
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
];

/// Starts of A and B that leave the base as it is.
const STARTS: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];

impl Declared {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// It cannot be read, is no configuration of a LoRA adapter, or asks for something that candor does not do.
    pub(crate) fn read(path: &Path) -> Result<Self, ModelError> {
        let refuse = |problem: String, remedy| ModelError::Config {
            path: path.to_owned(),
            problem,
            remedy,
        };
        let bytes = bounded::read(path, &BOUND)?;
        let fields: Map<String, Value> =
            serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string(), EXPECTED))?;
        // First, because other kinds of adapters lack the fields of this one.
        if fields.get("peft_type").and_then(Value::as_str) != Some("LORA") {
            let found = fields.get("peft_type").unwrap_or(&Value::Null);
            return Err(refuse(format!("`peft_type` is {found}"), EXPECTED));
        }
        let unknown = fields
            .iter()
            .find(|(name, value)| !KNOWN.contains(&name.as_str()) && says_something(value));
        if let Some((name, value)) = unknown {
            let problem = format!("`{name}` is {value}, which candor does not do");
            return Err(refuse(problem, MERGE));
        }
        let fields = Value::Object(fields);
        let mut declared: Self = parsed(&fields).map_err(|problem| refuse(problem, EXPECTED))?;
        declared.targets = parsed(&fields).map_err(|problem| refuse(problem, EXPECTED))?;
        declared.check().map_err(|problem| refuse(problem, MERGE))?;
        Ok(declared)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(problem) = self.targets.contradiction() {
            return Err(problem.to_owned());
        }
        if let Some(bias) = self.bias.as_deref().filter(|bias| *bias != "none") {
            return Err(format!("`bias` is `{bias}`, and only `none` is supported"));
        }
        let start = match &self.init_lora_weights {
            Value::Null | Value::Bool(_) => None,
            Value::String(start) if STARTS.contains(&start.as_str()) => None,
            other => Some(other),
        };
        if let Some(start) = start {
            return Err(format!(
                "`init_lora_weights` is {start}, which also changes the base's own weights"
            ));
        }
        let ranks = self.rank_pattern.iter();
        let ranks = ranks.map(|(name, r)| (format!("rank_pattern.{name}"), r.as_i64()));
        for (field, r) in ranks.chain([("r".to_owned(), Some(self.r))]) {
            if !r.is_some_and(|r| (1..=MAX_RANK).contains(&r)) {
                let found = r.map_or("no whole number".to_owned(), |r| r.to_string());
                return Err(format!("`{field}` is {found}, and a rank is at least 1"));
            }
        }
        let alphas = self.alpha_pattern.iter();
        let alphas = alphas.map(|(name, a)| (format!("alpha_pattern.{name}"), a.as_f64()));
        for (field, alpha) in alphas.chain([("lora_alpha".to_owned(), Some(self.lora_alpha))]) {
            if !alpha.is_some_and(f64::is_finite) {
                return Err(format!("`{field}` is no finite number"));
            }
        }
        Ok(())
    }
}

/// A part of the configuration; the error names the field.
fn parsed<'a, T: Deserialize<'a>>(fields: &'a Value) -> Result<T, String> {
    serde_path_to_error::deserialize(fields).map_err(|e| match e.path().to_string() {
        // Of a field that is missing the words tell the name.
        whole if whole == "." => e.into_inner().to_string(),
        field => format!("`{field}`: {}", e.into_inner()),
    })
}

/// Whether a field's value differs from "not used".
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    }
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Map<String, Value>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
